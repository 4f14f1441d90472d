/* Reading from untrusted bytes: every accessor checks before it reads and moves the span only on success. */
#ifndef HIL_WIRE_BYTES_H
#define HIL_WIRE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed piece of memory. */
struct hil_span {
    const uint8_t *p;
    size_t n;
};

static inline uint16_t hil_be16(const uint8_t *p) {
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}
static inline uint32_t hil_be24(const uint8_t *p) {
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}
static inline uint32_t hil_be32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint16_t hil_le16(const uint8_t *p) {
    return (uint16_t)((unsigned)p[1] << 8 | p[0]);
}
static inline uint32_t hil_le32(const uint8_t *p) {
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}
static inline void hil_put16(uint8_t *p, unsigned v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void hil_put64(uint8_t *p, uint64_t v) {
    for (int i = 7; i >= 0; i--) {
        p[i] = (uint8_t)v;
        v >>= 8;
    }
}

static inline bool hil_take(struct hil_span *s, size_t n, struct hil_span *out) {
    if (s->n < n) {
        return false;
    }
    out->p = s->p;
    out->n = n;
    s->p += n;
    s->n -= n;
    return true;
}
static inline bool hil_skip(struct hil_span *s, size_t n) {
    struct hil_span ignored;
    return hil_take(s, n, &ignored);
}
static inline bool hil_u8(struct hil_span *s, uint8_t *v) {
    struct hil_span b;
    if (!hil_take(s, 1, &b)) {
        return false;
    }
    *v = b.p[0];
    return true;
}
static inline bool hil_u16(struct hil_span *s, uint16_t *v) {
    struct hil_span b;
    if (!hil_take(s, 2, &b)) {
        return false;
    }
    *v = hil_be16(b.p);
    return true;
}
static inline bool hil_u24(struct hil_span *s, uint32_t *v) {
    struct hil_span b;
    if (!hil_take(s, 3, &b)) {
        return false;
    }
    *v = hil_be24(b.p);
    return true;
}
static inline bool hil_u32(struct hil_span *s, uint32_t *v) {
    struct hil_span b;
    if (!hil_take(s, 4, &b)) {
        return false;
    }
    *v = hil_be32(b.p);
    return true;
}
/* TLS vectors: a length of 1, 2 or 3 bytes, then that many bytes. */
static inline bool hil_vec8(struct hil_span *s, struct hil_span *out) {
    struct hil_span t = *s;
    uint8_t n;
    if (!hil_u8(&t, &n) || !hil_take(&t, n, out)) {
        return false;
    }
    *s = t;
    return true;
}
static inline bool hil_vec16(struct hil_span *s, struct hil_span *out) {
    struct hil_span t = *s;
    uint16_t n;
    if (!hil_u16(&t, &n) || !hil_take(&t, n, out)) {
        return false;
    }
    *s = t;
    return true;
}
static inline bool hil_vec24(struct hil_span *s, struct hil_span *out) {
    struct hil_span t = *s;
    uint32_t n;
    if (!hil_u24(&t, &n) || !hil_take(&t, n, out)) {
        return false;
    }
    *s = t;
    return true;
}
static inline bool hil_span_eq(struct hil_span a, struct hil_span b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

#endif
