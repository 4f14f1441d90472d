/* The module's UART as two buffers: what was written, and answers that are given out as it is read. */
#ifndef HIL_STUB_AT_H
#define HIL_STUB_AT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern uint8_t stub_at_out[65536];
extern size_t stub_at_out_len;
extern unsigned stub_at_resets;

/* What the module sends next, at most `step` bytes a read. Behind its end every read times out. */
void stub_at_input(const void *data, size_t len, size_t step);
void stub_at_clear(void);

/* Behind all input: this again and again, a piece each millisecond; NULL: silence. */
void stub_at_babble(const char *text);

/* Behind all input: the module is gone. */
extern bool stub_at_gone;

/* What each hil_service() takes. */
extern uint32_t stub_service_ms;

/* Answers one command each, from then on: for a driver that sends many. NULL: none. */
void stub_at_script(const char *const *answers, size_t count);

#endif
