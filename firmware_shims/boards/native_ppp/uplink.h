/* The second terminal of a process that has one; called by boards/native/board.c. */
#ifndef HIL_NATIVE_UPLINK_H
#define HIL_NATIVE_UPLINK_H

#include <stdbool.h>
#include <stdint.h>

/* The descriptor of `--uplink-fd`. False when it is none. */
bool hil_uplink_open(int fd);

/* hil_board_idle with the network; false when the terminal `uart` hung up. */
bool hil_uplink_idle(int uart, uint32_t timeout_ms);

#endif
