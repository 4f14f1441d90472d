/* TLS key logs (the SSLKEYLOGFILE format): lines in, secrets by client random out. Memory is a few dozen
 * bytes a line, in chunks, up to HIL_KEYLOG_MAX. */
#ifndef HIL_WIRE_KEYLOG_H
#define HIL_WIRE_KEYLOG_H

#include "bytes.h"

#define HIL_SECRET_MAX 48
#define HIL_KEYLOG_MAX (16U << 20)

enum hil_label {
    HIL_LABEL_MASTER,
    HIL_LABEL_CLIENT_HANDSHAKE,
    HIL_LABEL_SERVER_HANDSHAKE,
    HIL_LABEL_CLIENT_APP,
    HIL_LABEL_SERVER_APP,
    HIL_LABEL_CLIENT_EARLY,
    HIL_LABEL_COUNT
};

struct hil_keylog_entry;

struct hil_keylog {
    struct hil_keylog_entry **bucket;
    uint8_t *chunk; /* current chunk; its first bytes point to the one before */
    size_t chunk_used, memory;
    uint64_t lines, bad, dropped;
    char tail[512]; /* a line that is not whole yet */
    size_t tail_n;
    bool tail_long;
};

struct hil_secrets {
    bool any;
    uint8_t len[HIL_LABEL_COUNT]; /* 0: not there */
    uint8_t secret[HIL_LABEL_COUNT][HIL_SECRET_MAX];
};

/* Text in pieces of any size; a last line without its end is taken by hil_keylog_end. */
void hil_keylog_feed(struct hil_keylog *k, const uint8_t *p, size_t n);
void hil_keylog_end(struct hil_keylog *k);
bool hil_keylog_find(const struct hil_keylog *k, const uint8_t client_random[32], struct hil_secrets *out);
void hil_keylog_free(struct hil_keylog *k);

#endif
