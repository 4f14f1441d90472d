/* The board's own part of hil/board.h: start, idle, watchdog, marks, resets and the machine's defects. */
#include "cmsdk.h"
#include "net/port.h"

#define WDOG_LOAD        HIL_REG(HIL_WATCHDOG_BASE + 0x0u)
#define WDOG_CONTROL     HIL_REG(HIL_WATCHDOG_BASE + 0x8u)
#define WDOG_INTCLR      HIL_REG(HIL_WATCHDOG_BASE + 0xCu)
#define WDOG_LOCK        HIL_REG(HIL_WATCHDOG_BASE + 0xC00u)
#define WDOG_UNLOCK      0x1ACCE551u
#define WDOG_INT_RESET   3u
#define STACK_PAINT      0xA5A5A5A5u
#define UNMAPPED_ADDRESS 0x9F000000u /* nothing answers there on either image: a precise bus fault */

static enum hil_reset reset_cause;

int hil_board_init(void) {
    reset_cause = hil_marker_take();
    HIL_SCB_SHCSR |= HIL_SHCSR_MEMFAULTENA;
    hil_mpu_start();
    hil_clock_start();
    hil_uart_start();
    hil_board_uart_write("\n", 1); /* ends the line the reset may have cut */
    WDOG_LOCK = WDOG_UNLOCK;
    WDOG_LOAD = HIL_WATCHDOG_MS * (HIL_CLOCK_HZ / 1000u);
    WDOG_CONTROL = WDOG_INT_RESET;
    return 0;
}

const char *hil_board_name(void) {
    return HIL_BOARD_NAME;
}

enum hil_reset hil_board_reset_cause(void) {
    return reset_cause;
}

/* Clearing the interrupt reloads the counter. */
void hil_board_watchdog_kick(void) {
    WDOG_INTCLR = 1u;
}

void hil_board_idle(uint32_t timeout_ms) {
    uint32_t sleep = hil_net_poll();
    if (sleep > timeout_ms) {
        sleep = timeout_ms;
    }
    uint32_t mask = hil_irq_save();
    if (!hil_net_wants_poll()) {
        hil_clock_sleep(sleep);
    }
    hil_irq_restore(mask);
    (void)hil_net_poll();
}

/* Neither image has a random generator: the client takes the injected seed. */
int hil_board_entropy(void *data, size_t len) {
    (void)data;
    (void)len;
    return -1;
}

void hil_board_marks(size_t *heap_peak, size_t *heap_now, size_t *stack) {
    hil_heap_marks(heap_peak, heap_now);
    const uint32_t *word = hil_stack_limit;
    while ((uintptr_t)word < (uintptr_t)hil_stack_top && *word == STACK_PAINT) {
        word++;
    }
    *stack = (size_t)((uintptr_t)hil_stack_top - (uintptr_t)word);
}

_Noreturn void hil_board_reset(void) {
    hil_marker_set(HIL_RESET_SOFTWARE);
    HIL_SCB_AIRCR = HIL_AIRCR_RESET;
    hil_barrier();
    for (;;) {
    }
}

_Noreturn void hil_board_hardfault(void) {
    (void)HIL_REG(UNMAPPED_ADDRESS);
    hil_barrier();
    for (;;) {
    }
}

/* With FAULTMASK set there is no priority left to take a fault at: the processor locks up. */
_Noreturn void hil_board_lockup(void) {
    __asm volatile("cpsid f\n\tudf #0" ::: "memory");
    for (;;) {
    }
}

/* Until the network is linked in, nothing needs polling. */
__attribute__((weak)) uint32_t hil_net_poll(void) {
    return UINT32_MAX;
}

__attribute__((weak)) bool hil_net_wants_poll(void) {
    return false;
}
