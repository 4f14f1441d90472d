/* A Paho-style MQTT 3.1.1 client's read path: a packet is read in pieces, its length byte by byte, through a
 * function with a time-out. No I/O of its own, no heap. Written from the standard (2.2.3, 3.2) and from how
 * such clients behave (story 002), not from their sources.
 *
 * The read of a piece may end early; the next call goes on where it stopped. The client of 2022 did not, and
 * took what it could not read for 0: `careless`.
 */
#ifndef HIL_PAHO_H
#define HIL_PAHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HIL_PAHO_LOST = -1,     /* mqttread failed */
    HIL_PAHO_LENGTH = -2,   /* more than four length bytes */
    HIL_PAHO_TOO_LARGE = -3 /* the packet does not fit the buffer */
};

#define HIL_PAHO_CONNACK_UNSET 255u /* what `code` held before there was one */

struct hil_paho {
    uint8_t *buf;
    size_t cap;
    /* 1..len bytes, 0: none within timeout_ms, negative: the connection is gone. */
    int (*mqttread)(void *ctx, uint8_t *data, size_t len, uint32_t timeout_ms);
    void *ctx;
    uint32_t (*ms)(void);
    bool careless;
    /* state */
    size_t have, body; /* bytes here; where the body begins, 0: not known */
    size_t need;       /* whole packet, 0: not known */
};

void hil_paho_init(struct hil_paho *p, uint8_t *buf, size_t cap);

/* 1: p->need bytes in p->buf are a packet, which the next call forgets; 0: not yet; HIL_PAHO_*. */
int hil_paho_read_packet(struct hil_paho *p, uint32_t timeout_ms);

/* CONNACK's flags and code. False: it is none or too short; the careless client says true all the same and
 * leaves *code as it was. */
bool hil_paho_connack(const uint8_t *packet, size_t len, bool careless, bool *present, uint8_t *code);

#endif
