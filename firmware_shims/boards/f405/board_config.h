/* STM32F405 as QEMU's `netduinoplus2` has it: Cortex-M4 with FPU at 168 MHz.
 *
 * Emulated are core, SysTick, NVIC, MPU, timers 2 to 5 and the USARTs. RCC, PWR, GPIO, flash controller, RNG,
 * IWDG and RTC read 0 and forget what is written; so clocks are not started here (waiting for one would never
 * end), there is no entropy and no watchdog. The unique ID faults. Timers count the emulator's 1 GHz. A real
 * part would need clocks and alternate functions of the pins set here, and its own HIL_TIMER_HZ. */
#ifndef HIL_BOARD_CONFIG_H
#define HIL_BOARD_CONFIG_H

#define HIL_BOARD_NAME "f405"
#define HIL_CLOCK_HZ   168000000u
#define HIL_TIMER_HZ   1000000000u
#define HIL_COUNTER_HZ 1000000u
#define HIL_TIM2_BASE  0x40000000u

#define HIL_CONSOLE_BASE 0x40011000u /* USART1 */
#define HIL_CONSOLE_IRQ  37
#define HIL_UPLINK_BASE  0x40004400u /* USART2 */
#define HIL_UPLINK_IRQ   38

#define HIL_IRQ_COUNT        82
#define HIL_BOARD_IRQS       [HIL_CONSOLE_IRQ] = hil_console_handler, [HIL_UPLINK_IRQ] = hil_uplink_handler
#define HIL_CODE_LOG2        20
#define HIL_UNMAPPED_ADDRESS 0x9F000000u

void hil_console_handler(void);
void hil_uplink_handler(void);

/* Over PPP the peer gives our address, and shall be the gateway itself; SLIP takes what stands here. */
#define HIL_IP_ADDRESS "10.0.2.15"
#define HIL_IP_NETMASK "255.255.255.0"
#define HIL_IP_GATEWAY "10.0.2.2"
#define HIL_IP_DNS     "10.0.2.3"

#endif
