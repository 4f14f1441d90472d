/* What the fuzz targets share: a decoder whose output is counted and dropped. */
#ifndef HIL_WIRE_FUZZ_FIXTURE_H
#define HIL_WIRE_FUZZ_FIXTURE_H

#include "decoder.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct memory {
    const uint8_t *p;
    size_t n;
};

static inline ssize_t memory_read(void *ctx, uint8_t *buf, size_t n) {
    struct memory *m = ctx;
    size_t k = n < m->n ? n : m->n;
    if (k > 0) {
        memcpy(buf, m->p, k);
    }
    m->p += k;
    m->n -= k;
    return (ssize_t)k;
}

static inline void fixture_init(struct hil_decoder *d) {
    struct hil_options o = {.events = UINT64_MAX, .der = true, .summary = true};
    if (!hil_decoder_init(d, &o, -1)) {
        abort();
    }
}

/* All memory that counts against the budget must have been given back. */
static inline void fixture_free(struct hil_decoder *d) {
    if (d->table.memory != 0) {
        abort();
    }
    hil_decoder_free(d);
}

/* Segments of one made connection: side 0 is the client. */
static inline struct hil_segment fixture_segment(int side, uint32_t seq, uint8_t flags, const uint8_t *p,
                                                 uint32_t n, uint16_t port) {
    struct hil_segment s;
    memset(&s, 0, sizeof s);
    s.src.b[15] = (uint8_t)(side + 1);
    s.dst.b[15] = (uint8_t)(2 - side);
    s.sport = side == 0 ? 40000 : port;
    s.dport = side == 0 ? port : 40000;
    s.seq = seq;
    s.flags = flags;
    s.data = p;
    s.len = s.wirelen = n;
    return s;
}

#endif
