/* STM32F405: start, and timer 2 as the clock. */
#include "f405.h"

#define TIM_CR1    HIL_REG(HIL_TIM2_BASE + 0x00u)
#define TIM_EGR    HIL_REG(HIL_TIM2_BASE + 0x14u)
#define TIM_CNT    HIL_REG(HIL_TIM2_BASE + 0x24u)
#define TIM_PSC    HIL_REG(HIL_TIM2_BASE + 0x28u)
#define TIM_ARR    HIL_REG(HIL_TIM2_BASE + 0x2Cu)
#define CR1_ENABLE 1u
#define EGR_UPDATE 1u

int hil_board_init(void) {
    hil_core_start();
    hil_console_start();
    hil_board_uart_write("\n", 1); /* ends the line the reset may have cut */
    return 0;
}

/* There is none (board_config.h). A device that hangs is reset by its probe. */
void hil_board_watchdog_kick(void) {
}

void hil_board_faulted(bool watchdog) {
    (void)watchdog;
}

void hil_counter_start(void) {
    TIM_CR1 = 0;
    TIM_PSC = HIL_TIMER_HZ / HIL_COUNTER_HZ - 1u;
    TIM_ARR = 0xFFFFFFFFu;
    TIM_EGR = EGR_UPDATE;
    TIM_CR1 = CR1_ENABLE;
}

uint32_t hil_counter(void) {
    return TIM_CNT;
}
