/* The STM32F405 board's own parts, on top of boards/cortexm. */
#ifndef HIL_F405_H
#define HIL_F405_H

#include "cortexm.h"

/* usart.c: USART1 is the console; USART2 is started by the network (net/port.h: hil_serial_start). */
void hil_console_start(void);

#endif
