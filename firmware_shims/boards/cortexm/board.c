/* The core's part of hil/board.h: idle, marks, resets and the machine's defects. */
#include "cortexm.h"
#include "net/port.h"

#define STACK_PAINT 0xA5A5A5A5u

static enum hil_reset reset_cause;

void hil_core_start(void) {
    reset_cause = hil_marker_take();
    HIL_SCB_SHCSR |= HIL_SHCSR_MEMFAULTENA;
    hil_mpu_start();
    hil_clock_start();
}

const char *hil_board_name(void) {
    return HIL_BOARD_NAME;
}

enum hil_reset hil_board_reset_cause(void) {
    return reset_cause;
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

/* No random generator is used: the client takes the injected seed. */
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
    (void)HIL_REG(HIL_UNMAPPED_ADDRESS);
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
