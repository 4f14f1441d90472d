#include "stub_board.h"

#include "hil/board.h"
#include "hil/service.h"

#include <stdlib.h>
#include <string.h>

char stub_out[1 << 20];
size_t stub_out_len;
uint32_t stub_ms;
static const uint8_t *input;
static size_t input_len, input_step;

void stub_clear(void) {
    stub_out_len = 0;
    stub_out[0] = '\0';
    input_len = 0;
}

void stub_input(const void *data, size_t len, size_t step) {
    input = data;
    input_len = len;
    input_step = step;
}

uint32_t hil_board_ms(void) {
    return stub_ms;
}

void hil_board_uart_write(const void *data, size_t len) {
    if (len > sizeof stub_out - 1 - stub_out_len)
        stub_out_len = 0; /* a fuzzer's endless output */
    memcpy(stub_out + stub_out_len, data, len);
    stub_out_len += len;
    stub_out[stub_out_len] = '\0';
}

int hil_board_uart_read(void *data, size_t cap, uint32_t timeout_ms) {
    size_t n = input_len < input_step ? input_len : input_step;
    n = n < cap ? n : cap;
    if (n == 0) {
        stub_ms += timeout_ms > 0 ? timeout_ms : 1;
        return 0;
    }
    memcpy(data, input, n);
    input += n;
    input_len -= n;
    return (int)n;
}

void hil_board_idle(uint32_t timeout_ms) {
    stub_ms += timeout_ms;
}

void hil_board_watchdog_kick(void) {
}

int hil_board_entropy(void *data, size_t len) {
    static uint8_t next;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)data)[i] = next++;
    return 0;
}

void hil_board_marks(size_t *heap_peak, size_t *heap_now, size_t *stack) {
    *heap_peak = *heap_now = *stack = 0;
}

jmp_buf *stub_reset_to;

/* Nothing under test may reset on its own: a reset that no test waits for ends the program. */
_Noreturn void hil_board_reset(void) {
    if (stub_reset_to == NULL)
        abort();
    longjmp(*stub_reset_to, 1);
}
