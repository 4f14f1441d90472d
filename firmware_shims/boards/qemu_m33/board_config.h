/* QEMU `mps2-an505`: Cortex-M33 with FPU, started Secure; the Secure aliases are used throughout and the SAU
 * stays off. */
#ifndef HIL_BOARD_CONFIG_H
#define HIL_BOARD_CONFIG_H

#define HIL_BOARD_NAME    "qemu-m33"
#define HIL_CLOCK_HZ      20000000u
#define HIL_COUNTER_HZ    HIL_CLOCK_HZ
#define HIL_UART0_BASE    0x50200000u
#define HIL_UART0_RX_IRQ  32
#define HIL_TIMER0_BASE   0x50000000u
#define HIL_WATCHDOG_BASE 0x50081000u
#define HIL_LAN9118_BASE  0x52000000u
#define HIL_LAN9118_IRQ   48

#define HIL_IRQ_COUNT        64
#define HIL_BOARD_IRQS       [HIL_UART0_RX_IRQ] = hil_uart_rx_handler, [HIL_LAN9118_IRQ] = hil_lan9118_handler
#define HIL_CODE_LOG2        22
#define HIL_UNMAPPED_ADDRESS 0x9F000000u

void hil_uart_rx_handler(void);
void hil_lan9118_handler(void);

/* QEMU's user network. */
#define HIL_IP_ADDRESS "10.0.2.15"
#define HIL_IP_NETMASK "255.255.255.0"
#define HIL_IP_GATEWAY "10.0.2.2"
#define HIL_IP_DNS     "10.0.2.3"

#endif
