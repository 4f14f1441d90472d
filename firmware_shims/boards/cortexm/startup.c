/* From reset to main(): memory, FPU, stack paint; the vector table; and the marker that tells one reset from
 * another. */
#include <stddef.h>
#include <string.h>

#include "cortexm.h"

#define HIL_MARKER_MAGIC 0x48494C31u /* "HIL1" */
#define HIL_STACK_PAINT  0xA5A5A5A5u

extern uint32_t hil_data_load[], hil_data_start[], hil_data_end[], hil_bss_start[], hil_bss_end[];

int main(void);
_Noreturn void hil_reset_handler(void);

typedef void (*hil_vector)(void);

struct hil_vectors {
    const void *stack;
    hil_vector exception[15];
    hil_vector irq[HIL_IRQ_COUNT];
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init" /* every entry has a default */
__attribute__((section(".vectors"), used)) const struct hil_vectors hil_vectors = {
    .stack = hil_stack_top,
    .exception = {[0] = hil_reset_handler,
                  [1] = hil_nmi_handler,
                  [2] = hil_hardfault_handler,
                  [3] = hil_memmanage_handler,
                  [4] = hil_hardfault_handler, /* bus, usage and secure faults are left to escalate */
                  [5] = hil_hardfault_handler,
                  [6] = hil_hardfault_handler,
                  [10] = hil_unexpected_handler,
                  [11] = hil_unexpected_handler,
                  [13] = hil_unexpected_handler,
                  [14] = hil_systick_handler},
    .irq = {[0 ... HIL_IRQ_COUNT - 1] = hil_unexpected_handler, HIL_BOARD_IRQS},
};
#pragma GCC diagnostic pop

/* What the marker holds when nobody set it since the last boot is an outside reset: a pin, a debugger,
 * system_reset. */
enum hil_reset hil_marker_take(void) {
    enum hil_reset cause = HIL_RESET_POWER;
    if (hil_marker.magic == HIL_MARKER_MAGIC && hil_marker.cause <= HIL_RESET_WATCHDOG) {
        cause = (enum hil_reset)hil_marker.cause;
    }
    hil_marker_set(HIL_RESET_PIN);
    return cause;
}

void hil_marker_set(enum hil_reset cause) {
    hil_marker.magic = HIL_MARKER_MAGIC;
    hil_marker.cause = (uint32_t)cause;
    hil_barrier();
}

/* Runs on the stack it paints: from its limit up to just below the frame in use. */
static void paint_stack(void) {
    uintptr_t here;
    __asm volatile("mov %0, sp" : "=r"(here));
    for (volatile uint32_t *word = hil_stack_limit; (uintptr_t)word < here - 64u; word++) {
        *word = HIL_STACK_PAINT;
    }
}

_Noreturn void hil_reset_handler(void) {
    HIL_SCB_VTOR = (uint32_t)(uintptr_t)&hil_vectors;
    HIL_SCB_CPACR |= HIL_CPACR_FPU;
    hil_barrier();
    memcpy(hil_data_start, hil_data_load, (size_t)((uintptr_t)hil_data_end - (uintptr_t)hil_data_start));
    memset(hil_bss_start, 0, (size_t)((uintptr_t)hil_bss_end - (uintptr_t)hil_bss_start));
    paint_stack();
    (void)main();
    hil_board_reset();
}
