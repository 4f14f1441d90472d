/* See paho.h. */
#include "paho.h"

#define LENGTH_BYTES 4u

void hil_paho_init(struct hil_paho *p, uint8_t *buf, size_t cap) {
    p->buf = buf;
    p->cap = cap;
    p->have = p->body = p->need = 0;
}

static uint32_t left(const struct hil_paho *p, uint32_t start, uint32_t timeout_ms) {
    uint32_t gone = p->ms() - start;
    return gone < timeout_ms ? timeout_ms - gone : 0;
}

/* Until `upto` bytes are here: 1, 0: the time is over, or HIL_PAHO_LOST. */
static int fill(struct hil_paho *p, size_t upto, uint32_t start, uint32_t timeout_ms) {
    while (p->have < upto) {
        int got = p->mqttread(p->ctx, p->buf + p->have, upto - p->have, left(p, start, timeout_ms));
        if (got < 0 || (size_t)got > upto - p->have)
            return HIL_PAHO_LOST;
        if (got == 0)
            return 0;
        p->have += (size_t)got;
    }
    return 1;
}

static int fixed_header(struct hil_paho *p, uint32_t start, uint32_t timeout_ms) {
    int rc = fill(p, 1, start, timeout_ms);
    while (rc == 1 && p->body == 0) {
        size_t digits = p->have - 1;
        if (digits > 0 && (p->buf[digits] & 0x80u) == 0)
            p->body = p->have;
        else if (digits == LENGTH_BYTES)
            return HIL_PAHO_LENGTH;
        else if ((rc = fill(p, p->have + 1, start, timeout_ms)) <= 0 && p->careless) {
            p->buf[1] = 0; /* decodePacket's result is not looked at */
            p->have = p->body = 2;
            return 1;
        }
    }
    return rc;
}

int hil_paho_read_packet(struct hil_paho *p, uint32_t timeout_ms) {
    uint32_t start = p->ms();
    if (p->cap < 1 + LENGTH_BYTES)
        return HIL_PAHO_TOO_LARGE;
    if (p->need != 0 && p->have == p->need)
        p->have = p->body = p->need = 0;
    if (p->need == 0) {
        int rc = p->body == 0 ? fixed_header(p, start, timeout_ms) : 1;
        if (rc != 1)
            return rc;
        size_t remaining = 0;
        for (size_t i = p->body - 1; i > 0; i--)
            remaining = remaining << 7 | (p->buf[i] & 0x7Fu);
        if (remaining > p->cap - p->body)
            return HIL_PAHO_TOO_LARGE;
        p->need = p->body + remaining;
    }
    return fill(p, p->need, start, timeout_ms);
}

bool hil_paho_connack(const uint8_t *packet, size_t len, bool careless, bool *present, uint8_t *code) {
    size_t at = 1, remaining = 0;
    if (len < 2 || packet[0] != 0x20)
        return false;
    for (unsigned shift = 0; at < len && shift < 7 * LENGTH_BYTES; shift += 7) {
        remaining |= (size_t)(packet[at] & 0x7Fu) << shift;
        if ((packet[at++] & 0x80u) == 0)
            break;
    }
    if (remaining < 2 || len - at < 2)
        return careless;
    *present = (packet[at] & 1u) != 0;
    *code = packet[at + 1];
    return true;
}
