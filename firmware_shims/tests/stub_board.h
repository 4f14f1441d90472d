/* A board of memory: a clock that moves only when someone waits, a UART that is two buffers. */
#ifndef HIL_STUB_BOARD_H
#define HIL_STUB_BOARD_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

extern char stub_out[1 << 20]; /* what was written, NUL-terminated */
extern size_t stub_out_len;
extern uint32_t stub_ms;

/* Forgets the output and the input. */
void stub_clear(void);

/* Input for hil_board_uart_read, given out at most `step` bytes at a time; when it is used up a read lets
 * time pass. */
void stub_input(const void *data, size_t len, size_t step);

/* Where hil_board_reset() jumps to; NULL: it aborts. */
extern jmp_buf *stub_reset_to;

#endif
