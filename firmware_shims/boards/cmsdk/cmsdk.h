/* CMSDK: the shared part of boards built from Arm's Cortex-M System Design Kit peripherals (MPS2 FPGA images,
 * as QEMU emulates them), on top of boards/cortexm. Each board gives in board_config.h, beside what cortexm.h
 * asks:
 *
 *   HIL_UART0_BASE, HIL_UART0_RX_IRQ   CMSDK APB UART
 *   HIL_TIMER0_BASE                    CMSDK APB timer, used as the free-running counter
 *   HIL_WATCHDOG_BASE                  CMSDK APB watchdog, its interrupt wired to NMI
 *   HIL_LAN9118_BASE, HIL_LAN9118_IRQ  Ethernet
 *   HIL_IP_ADDRESS, _NETMASK, _GATEWAY, _DNS   the static address (HIL_NET_DHCP asks a server instead)
 */
#ifndef HIL_CMSDK_H
#define HIL_CMSDK_H

#include "cortexm.h"

/* uart.c */
void hil_uart_start(void);

#endif
