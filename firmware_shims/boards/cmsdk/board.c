/* The CMSDK boards' own part: start, watchdog, the timer that is the clock. */
#include "cmsdk.h"

#define WDOG_LOAD      HIL_REG(HIL_WATCHDOG_BASE + 0x0u)
#define WDOG_CONTROL   HIL_REG(HIL_WATCHDOG_BASE + 0x8u)
#define WDOG_INTCLR    HIL_REG(HIL_WATCHDOG_BASE + 0xCu)
#define WDOG_LOCK      HIL_REG(HIL_WATCHDOG_BASE + 0xC00u)
#define WDOG_UNLOCK    0x1ACCE551u
#define WDOG_INT_RESET 3u
#define WDOG_GRACE_MS  20u
#define TIMER_CTRL     HIL_REG(HIL_TIMER0_BASE + 0x0u)
#define TIMER_VALUE    HIL_REG(HIL_TIMER0_BASE + 0x4u)
#define TIMER_RELOAD   HIL_REG(HIL_TIMER0_BASE + 0x8u)
#define TIMER_ENABLE   1u

int hil_board_init(void) {
    hil_core_start();
    hil_uart_start();
    hil_board_uart_write("\n", 1); /* ends the line the reset may have cut */
    WDOG_LOCK = WDOG_UNLOCK;
    WDOG_LOAD = HIL_WATCHDOG_MS * (HIL_CLOCK_HZ / 1000u);
    WDOG_CONTROL = WDOG_INT_RESET;
    return 0;
}

/* Clearing the interrupt reloads the counter. */
void hil_board_watchdog_kick(void) {
    WDOG_INTCLR = 1u;
}

/* Its first expiry was the warning, the second resets: that need not take as long. */
void hil_board_faulted(bool watchdog) {
    if (watchdog) {
        WDOG_LOAD = WDOG_GRACE_MS * (HIL_CLOCK_HZ / 1000u);
    }
}

void hil_counter_start(void) {
    TIMER_CTRL = 0;
    TIMER_RELOAD = 0xFFFFFFFFu;
    TIMER_VALUE = 0xFFFFFFFFu;
    TIMER_CTRL = TIMER_ENABLE;
}

uint32_t hil_counter(void) {
    return 0xFFFFFFFFu - TIMER_VALUE;
}
