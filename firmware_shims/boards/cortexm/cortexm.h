/* What bare-metal boards with an Armv7-M or Armv8-M core share: vectors, memory, faults, time, heap, console.
 *
 * A board folder gives board_config.h:
 *   HIL_BOARD_NAME                name in the boot line
 *   HIL_CLOCK_HZ                  clock of the core, for SysTick
 *   HIL_COUNTER_HZ                clock of the free-running counter that hil_counter() reads
 *   HIL_IRQ_COUNT, HIL_BOARD_IRQS entries of the vector table; [number] = handler, … of those in use
 *   HIL_CODE_LOG2                 log2 of the region that the code has to itself (Armv7-M)
 *   HIL_UNMAPPED_ADDRESS          nothing answers there: a precise bus fault
 *   HIL_IP_…                      static address, where net/ethernet.c takes one; HIL_IP_DNS always
 * and implements, beside hil_board_init() and hil_board_watchdog_kick(), what is marked BOARD below.
 */
#ifndef HIL_CORTEXM_H
#define HIL_CORTEXM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "board_config.h"
#include "hil/board.h"

#define HIL_REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* Armv7-M / Armv8-M system control space. */
#define HIL_SYST_CSR  HIL_REG(0xE000E010u)
#define HIL_SYST_RVR  HIL_REG(0xE000E014u)
#define HIL_SYST_CVR  HIL_REG(0xE000E018u)
#define HIL_NVIC_ISER ((volatile uint32_t *)0xE000E100u)
#define HIL_SCB_ICSR  HIL_REG(0xE000ED04u)
#define HIL_SCB_VTOR  HIL_REG(0xE000ED08u)
#define HIL_SCB_AIRCR HIL_REG(0xE000ED0Cu)
#define HIL_SCB_SHCSR HIL_REG(0xE000ED24u)
#define HIL_SCB_CFSR  HIL_REG(0xE000ED28u)
#define HIL_SCB_HFSR  HIL_REG(0xE000ED2Cu)
#define HIL_SCB_MMFAR HIL_REG(0xE000ED34u)
#define HIL_SCB_BFAR  HIL_REG(0xE000ED38u)
#define HIL_SCB_CPACR HIL_REG(0xE000ED88u)

#define HIL_SHCSR_MEMFAULTENA (1u << 16)
#define HIL_ICSR_PENDSTCLR    (1u << 25)
#define HIL_AIRCR_RESET       0x05FA0004u
#define HIL_CPACR_FPU         (0xFu << 20)

static inline uint32_t hil_irq_save(void) {
    uint32_t primask;
    __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(primask)::"memory");
    return primask;
}

static inline void hil_irq_restore(uint32_t primask) {
    __asm volatile("msr primask, %0" ::"r"(primask) : "memory");
}

static inline void hil_irq_enable(unsigned irq) {
    HIL_NVIC_ISER[irq / 32u] = 1u << (irq % 32u);
}

static inline void hil_barrier(void) {
    __asm volatile("dsb\n\tisb" ::: "memory");
}

/* board.c: the first steps of every hil_board_init(): reset cause, faults, memory protection, clock. */
void hil_core_start(void);

/* clock.c */
void hil_clock_start(void);
/* Sleeps until an interrupt or `ms` (bounded by SysTick's 24 bits); call with interrupts masked. */
void hil_clock_sleep(uint32_t ms);
void hil_jitter_stir(void); /* from interrupts: collects the time of arrival */
/* BOARD: starts the counter; reads it: free-running, counts up, wraps after 2^32. */
void hil_counter_start(void);
uint32_t hil_counter(void);

/* console.c: hil_board_uart_read over these two. BOARD: whether bytes wait; up to `cap` of them. */
bool hil_uart_has_input(void);
size_t hil_uart_take(uint8_t *out, size_t cap);

/* mpu.c */
void hil_mpu_start(void);

/* fault.c. BOARD: after a fault was reported; `watchdog`: it was the watchdog's warning. Then the core waits
 * for a reset. */
void hil_board_faulted(bool watchdog);

/* startup.c: survives a reset, not a power cycle; lies outside everything the loader writes. */
struct hil_marker {
    uint32_t magic;
    uint32_t cause;
};
extern volatile struct hil_marker hil_marker;
enum hil_reset hil_marker_take(void);
void hil_marker_set(enum hil_reset cause);

/* Limits from the linker script. */
extern uint32_t hil_stack_limit[], hil_stack_top[], hil_heap_start[], hil_heap_limit[];
extern uint32_t hil_code_start[], hil_code_end[];

/* syscalls.c */
void hil_heap_marks(size_t *peak, size_t *now);

/* Exception handlers. */
void hil_systick_handler(void);
void hil_hardfault_handler(void);
void hil_memmanage_handler(void);
void hil_nmi_handler(void);
void hil_unexpected_handler(void);

#endif
