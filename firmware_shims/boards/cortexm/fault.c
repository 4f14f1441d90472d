/* Faults and the watchdog's warning: one `fault` event by polled UART, then wait for the reset.
 *
 * The entry code leaves the broken stack for one of its own before any C runs. The warning of a watchdog that
 * has one arrives as NMI and so preempts even a HardFault: it reports where the program hung and marks the
 * cause.
 */
#include "cortexm.h"
#include "hil/shim.h"

#define CFSR_MSTKERR   (1u << 4)
#define CFSR_STKERR    (1u << 12)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_BFARVALID (1u << 15)

struct hil_frame {
    uint32_t r0, r1, r2, r3, r12, lr, pc, xpsr;
};

static uint32_t fault_stack[512] __attribute__((aligned(8), used));

void hil_fault_report(const struct hil_frame *frame, uint32_t exception);

/* r0: the frame, r1: the exception's number; MSP moves to the fault stack. */
#define HIL_FAULT_ENTRY(name, number)                                                                        \
    __attribute__((naked)) void name(void) {                                                                 \
        __asm volatile("mrs r0, msp\n\t"                                                                     \
                       "movs r1, #" #number "\n\t"                                                           \
                       "ldr r2, =fault_stack + 2048\n\t"                                                     \
                       "msr msp, r2\n\t"                                                                     \
                       "b hil_fault_report\n\t"                                                              \
                       ".ltorg");                                                                            \
    }

HIL_FAULT_ENTRY(hil_nmi_handler, 2)
HIL_FAULT_ENTRY(hil_hardfault_handler, 3)
HIL_FAULT_ENTRY(hil_memmanage_handler, 4)
HIL_FAULT_ENTRY(hil_unexpected_handler, 16)

static const char *kind_of(uint32_t exception) {
    switch (exception) {
    case 2:
        return "watchdog";
    case 4:
        return "memmanage";
    case 3:
        return "hardfault";
    default:
        return "assert"; /* an interrupt nobody asked for */
    }
}

__attribute__((used)) void hil_fault_report(const struct hil_frame *frame, uint32_t exception) {
    static bool reported; /* a fault in here, or the watchdog that ends the wait below, must not start over */
    uint32_t cfsr = HIL_SCB_CFSR;
    uint32_t pc = 0;
    uint32_t lr = 0;
    uint32_t address = 0;
    if ((cfsr & (CFSR_MSTKERR | CFSR_STKERR)) == 0) {
        pc = frame->pc;
        lr = frame->lr;
    }
    if ((cfsr & CFSR_BFARVALID) != 0) {
        address = HIL_SCB_BFAR;
    } else if ((cfsr & CFSR_MMARVALID) != 0) {
        address = HIL_SCB_MMFAR;
    }
    if (exception == 2) {
        hil_marker_set(HIL_RESET_WATCHDOG);
    }
    if (!reported) {
        reported = true;
        hil_board_uart_write("\n", 1); /* whatever line was being written ends here */
        hil_event("fault", "kind=%s pc=%08x lr=%08x cfsr=%08x hfsr=%08x bfar=%08x", kind_of(exception),
                  (unsigned)pc, (unsigned)lr, (unsigned)cfsr, (unsigned)HIL_SCB_HFSR, (unsigned)address);
    }
    hil_board_faulted(exception == 2);
    for (;;) {
        __asm volatile("wfi");
    }
}
