/* The same packets however the stream is cut; nothing beyond the buffer. The first byte says how it is cut.
 */
#include "check.h"
#include "paho.h"
#include "stub_board.h"

#include "hil/board.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *stream;
static size_t left, step;
static bool pause_next;

static int mqttread(void *ctx, uint8_t *data, size_t len, uint32_t timeout_ms) {
    (void)ctx;
    stub_ms += timeout_ms;
    pause_next = !pause_next;
    if (pause_next && step != 0 && left > 0)
        return 0;
    size_t n = len < left ? len : left;
    n = step != 0 && n > step ? step : n;
    if (n == 0)
        return -1;
    memcpy(data, stream, n);
    stream += n;
    left -= n;
    return (int)n;
}

/* Packets and the final result, as a checksum. */
static uint32_t run(const uint8_t *data, size_t size, size_t at_once, bool careless) {
    static uint8_t buf[200];
    struct hil_paho client = {.mqttread = mqttread, .ms = hil_board_ms, .careless = careless};
    uint32_t sum = 0;
    stream = data;
    left = size;
    step = at_once;
    pause_next = false;
    hil_paho_init(&client, buf, sizeof buf);
    for (;;) {
        int rc = hil_paho_read_packet(&client, 10);
        if (rc < 0)
            return sum * 31 + (uint32_t)-rc;
        if (rc == 0)
            continue;
        bool present = false;
        uint8_t code = 0;
        CHECK(client.need >= 2 && client.need <= sizeof buf);
        (void)hil_paho_connack(buf, client.need, careless, &present, &code);
        for (size_t i = 0; i < client.need; i++)
            sum = sum * 31 + buf[i];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    uint32_t whole = run(data + 1, size - 1, 0, false);
    CHECK(run(data + 1, size - 1, 1u + data[0] % 7u, false) == whole);
    (void)run(data + 1, size - 1, 1u + data[0] % 7u, true);
    return 0;
}
