/* The decoder gives the same answers however its input is cut, and its slices lie inside its buffer. */
#include "check.h"
#include "mqtt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t buffer[2][300];

static void inside(struct hil_slice slice, const uint8_t *from, size_t cap) {
    if (slice.data != NULL)
        CHECK(slice.data >= from && slice.len <= cap && slice.data <= from + cap - slice.len);
}

/* Packets and final result, as a checksum. */
static uint32_t run(const uint8_t *data, size_t size, size_t step, unsigned level, uint8_t *buf, size_t cap) {
    struct hil_mqtt_decoder d;
    struct hil_mqtt_packet p;
    uint32_t sum = 0;
    hil_mqtt_decoder_init(&d, buf, cap, level);
    for (size_t at = 0; at < size;) {
        size_t n = size - at < step ? size - at : step, used = 0;
        int rc = hil_mqtt_decode(&d, data + at, n, &used, &p);
        CHECK(used <= n && (rc != 0 || used == n));
        at += used;
        if (rc < 0)
            return sum * 31 + (uint32_t)-rc;
        if (rc == 1) {
            inside(p.topic, buf, cap);
            inside(p.payload, buf, cap);
            inside(p.codes, buf, cap);
            inside(p.properties.reason, buf, cap);
            inside(p.properties.assigned_id, buf, cap);
            sum = sum * 31 + (uint32_t)p.type + (uint32_t)p.size * 17 + p.id;
        }
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    unsigned level = 4 + (data[0] & 1u);
    size_t cap = 8 + data[1] % 292u, step = 1 + data[0] / 2u;
    CHECK_EQ(run(data + 2, size - 2, step, level, buffer[0], cap),
             run(data + 2, size - 2, size, level, buffer[1], cap));
    return 0;
}
