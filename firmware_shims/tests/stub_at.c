#include "stub_at.h"

#include "check.h"
#include "hil/at.h"
#include "hil/service.h"
#include "stub_board.h"

#include <string.h>

uint8_t stub_at_out[65536];
size_t stub_at_out_len;
unsigned stub_at_resets;
static const uint8_t *input;
static size_t input_len, input_step;
static const char *const *script;
static size_t script_len;
static const char *babble;
static unsigned babbled;
uint32_t stub_service_ms;
bool stub_at_gone;

void stub_at_input(const void *data, size_t len, size_t step) {
    input = data;
    input_len = len;
    input_step = step;
}

void stub_at_script(const char *const *answers, size_t count) {
    script = answers;
    script_len = count;
}

void stub_at_babble(const char *text) {
    babble = text;
    babbled = 0;
}

void stub_at_clear(void) {
    stub_service_ms = 0;
    stub_at_gone = false;
    stub_at_babble(NULL);
    stub_at_out_len = 0;
    stub_at_resets = 0;
    stub_at_input(NULL, 0, 1);
    stub_at_script(NULL, 0);
}

int hil_at_uart_reset(void) {
    stub_at_resets++;
    return 0;
}

int hil_at_uart_write(const void *data, size_t len) {
    bool command = len == 1 && *(const char *)data == '\r';
    if (len > sizeof stub_at_out - stub_at_out_len)
        stub_at_out_len = 0; /* a fuzzer's endless output */
    memcpy(stub_at_out + stub_at_out_len, data, len);
    stub_at_out_len += len;
    if (command && script_len > 0) {
        stub_at_input(*script, strlen(*script), 7);
        script++;
        script_len--;
    }
    return 0;
}

int hil_at_uart_read(void *data, size_t cap, uint32_t timeout_ms) {
    size_t n = input_len < input_step ? input_len : input_step;
    n = n < cap ? n : cap;
    if (n == 0 && babble != NULL) {
        CHECK(++babbled < 10000); /* whoever listens this long listens for ever */
        stub_ms++;
        n = strlen(babble) < cap ? strlen(babble) : cap;
        memcpy(data, babble, n);
        return (int)n;
    }
    if (n == 0 && stub_at_gone)
        return -1;
    if (n == 0) {
        stub_ms += timeout_ms > 0 ? timeout_ms : 1;
        return 0;
    }
    memcpy(data, input, n);
    input += n;
    input_len -= n;
    return (int)n;
}

void hil_heartbeat(void) {
}

void hil_service(void) {
    stub_ms += stub_service_ms;
}
