#include "reader.h"

#include <stdlib.h>

#define BUF_START   ((size_t)256 * 1024)
#define BUF_MAX     (HIL_FRAME_MAX + 65536U)
#define SECRETS_MAX (HIL_FRAME_MAX)

#define NG_SECTION    0x0a0d0d0aU
#define NG_INTERFACE  1U
#define NG_OLD_PACKET 2U
#define NG_SIMPLE     3U
#define NG_ENHANCED   6U
#define NG_SECRETS    10U
#define NG_MAGIC      0x1a2b3c4dU
#define SECRETS_TLS   0x544c534bU

__extension__ typedef __int128 wide;
__extension__ typedef unsigned __int128 uwide;

static uint16_t get16(const struct hil_reader *r, const uint8_t *p) {
    return r->swapped ? hil_be16(p) : hil_le16(p);
}

static uint32_t get32(const struct hil_reader *r, const uint8_t *p) {
    return r->swapped ? hil_be32(p) : hil_le32(p);
}

/* Makes n bytes available at pos if the source has them. */
static bool ensure(struct hil_reader *r, size_t n) {
    if (r->end - r->pos >= n) {
        return true;
    }
    if (n > r->cap) {
        size_t cap = r->cap;
        while (cap < n && cap < BUF_MAX) {
            cap *= 2;
        }
        uint8_t *grown = n <= cap ? realloc(r->buf, cap) : NULL;
        if (grown == NULL) {
            return false;
        }
        r->buf = grown;
        r->cap = cap;
    }
    memmove(r->buf, r->buf + r->pos, r->end - r->pos);
    r->end -= r->pos;
    r->pos = 0;
    while (r->end < n && !r->eof) {
        ssize_t got = r->source(r->ctx, r->buf + r->end, r->cap - r->end);
        if (got <= 0) {
            r->eof = true;
            r->source_failed = got < 0;
            break;
        }
        r->end += (size_t)got;
    }
    return r->end >= n;
}

static void advance(struct hil_reader *r, size_t n) {
    r->pos += n;
    r->consumed += n;
}

/* Leaves out n bytes however many they are. */
static bool discard(struct hil_reader *r, uint64_t n) {
    while (n > 0) {
        if (r->end == r->pos && !ensure(r, 1)) {
            r->source_failed = true; /* it ends inside what it announced */
            return false;
        }
        size_t have = r->end - r->pos;
        size_t k = n < have ? (size_t)n : have;
        advance(r, k);
        n -= k;
    }
    return true;
}

static int64_t clamp(wide v) {
    return v > INT64_MAX ? INT64_MAX : v < 0 ? 0 : (int64_t)v;
}

static int64_t ng_time(const struct hil_interface *i, uint64_t ticks) {
    static const int64_t p10[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    wide ns;
    unsigned e = i->resolution & 0x7fU;
    if (i->resolution & 0x80U) {
        ns = e >= 64 ? 0 : (wide)(((uwide)ticks * 1000000000U) >> e);
    } else if (e <= 9) {
        ns = (wide)ticks * p10[9 - e];
    } else {
        wide v = (wide)ticks;
        for (unsigned k = 9; k < e && v > 0; k++) {
            v /= 10;
        }
        ns = v;
    }
    return clamp(ns + (wide)i->offset * 1000000000);
}

/* Options of an interface block: resolution, offset, comment. Malformed ones end the list. */
static void interface_options(struct hil_reader *r, struct hil_interface *i, struct hil_span o) {
    while (o.n >= 4) {
        uint16_t code = get16(r, o.p);
        uint16_t len = get16(r, o.p + 2);
        size_t padded = ((size_t)len + 3U) & ~(size_t)3U;
        if (code == 0 || o.n - 4 < padded) {
            return;
        }
        const uint8_t *v = o.p + 4;
        if (code == 9 && len >= 1) {
            i->resolution = v[0];
        } else if (code == 14 && len >= 8) {
            uint64_t lo = get32(r, v);
            uint64_t hi = get32(r, v + 4);
            uint64_t raw = r->swapped ? lo << 32 | hi : hi << 32 | lo;
            i->offset = (int64_t)raw;
        } else if (code == 1 && r->comment[0] == 0 && len > 0) {
            size_t k = len < sizeof r->comment - 1 ? len : sizeof r->comment - 1;
            memcpy(r->comment, v, k);
            r->comment[k] = 0;
        }
        hil_skip(&o, 4 + padded);
    }
}

static void add_interface(struct hil_reader *r, struct hil_span b) {
    if (b.n < 8) {
        return;
    }
    if (r->interface_n == HIL_INTERFACES_MAX) {
        r->interface_dropped++;
        return;
    }
    struct hil_interface *i = &r->interfaces[r->interface_n++];
    i->link = get16(r, b.p);
    i->resolution = 6;
    i->offset = 0;
    hil_skip(&b, 8);
    interface_options(r, i, b);
}

static void take_secrets(struct hil_reader *r, struct hil_span b) {
    if (b.n < 8 || get32(r, b.p) != SECRETS_TLS) {
        return;
    }
    size_t n = get32(r, b.p + 4);
    hil_skip(&b, 8);
    if (n > b.n) {
        n = b.n;
    }
    r->secrets_bytes += n;
    if (r->secrets != NULL) {
        r->secrets(r->secrets_ctx, b.p, n);
    }
}

/* Options of an enhanced packet block: whether its flags tell an error of the link layer (a check sequence, a
 * length, …: section 4.3.1, bits 24 to 31). */
static bool link_error(const struct hil_reader *r, struct hil_span o) {
    while (o.n >= 4) {
        uint16_t code = get16(r, o.p);
        size_t len = get16(r, o.p + 2);
        size_t padded = (len + 3U) & ~(size_t)3U;
        if (code == 0 || o.n - 4 < padded) {
            break;
        }
        if (code == 2 && len == 4) {
            return (get32(r, o.p + 4) & 0xff000000U) != 0;
        }
        hil_skip(&o, 4 + padded);
    }
    return false;
}

static bool packet_block(struct hil_reader *r, uint32_t type, struct hil_span b, struct hil_frame *f) {
    uint32_t iface = 0;
    uint64_t ticks = 0;
    size_t head = type == NG_SIMPLE ? 4 : 20;
    if (b.n < head) {
        return false;
    }
    if (type == NG_SIMPLE) {
        f->wirelen = get32(r, b.p);
        f->caplen = (uint32_t)(b.n - 4) < f->wirelen ? (uint32_t)(b.n - 4) : f->wirelen;
    } else {
        iface = type == NG_OLD_PACKET ? get16(r, b.p) : get32(r, b.p);
        ticks = (uint64_t)get32(r, b.p + 4) << 32 | get32(r, b.p + 8);
        f->caplen = get32(r, b.p + 12);
        f->wirelen = get32(r, b.p + 16);
    }
    if (f->caplen > b.n - head) {
        return false;
    }
    f->data = b.p + head;
    f->damaged = false;
    size_t padded = ((size_t)f->caplen + 3U) & ~(size_t)3U;
    if (type == NG_ENHANCED && b.n - head > padded) {
        f->damaged = link_error(r, (struct hil_span){b.p + head + padded, b.n - head - padded});
    }
    f->number = ++r->frames;
    f->t = 0;
    f->link = 0xffff;
    if (iface < r->interface_n) {
        f->link = r->interfaces[iface].link;
        if (type != NG_SIMPLE) {
            f->t = ng_time(&r->interfaces[iface], ticks);
        }
    } else {
        r->unknown_interface++;
    }
    return true;
}

static enum hil_read ended(struct hil_reader *r) {
    bool whole = r->end == r->pos && !r->source_failed;
    r->consumed += r->end - r->pos;
    r->pos = r->end;
    return whole ? HIL_READ_END : HIL_READ_TRUNCATED;
}

/* A section header: the byte order holds for what follows, interfaces start anew. */
static bool section(struct hil_reader *r) {
    if (!ensure(r, 12)) {
        return false;
    }
    const uint8_t *p = r->buf + r->pos;
    if (hil_le32(p + 8) == NG_MAGIC) {
        r->swapped = false;
    } else if (hil_be32(p + 8) == NG_MAGIC) {
        r->swapped = true;
    } else {
        return false;
    }
    r->interface_n = 0;
    return true;
}

/* One block; `got` says whether it was a packet. False: nothing more can be read. */
static bool ng_block(struct hil_reader *r, struct hil_frame *f, bool *got) {
    *got = false;
    if (!ensure(r, 12)) {
        return false;
    }
    if (hil_le32(r->buf + r->pos) == NG_SECTION && !section(r)) {
        return false;
    }
    const uint8_t *p = r->buf + r->pos;
    uint32_t type = get32(r, p);
    uint32_t total = get32(r, p + 4);
    if (total < 12 || total % 4 != 0) {
        return false;
    }
    bool packet = type == NG_ENHANCED || type == NG_SIMPLE || type == NG_OLD_PACKET;
    bool wanted = packet || type == NG_INTERFACE || type == NG_SECRETS;
    if (!wanted || total > HIL_FRAME_MAX) {
        if (packet) {
            r->frames++;
            r->oversize++;
        }
        return discard(r, total);
    }
    if (!ensure(r, total)) {
        return false;
    }
    struct hil_span body = {r->buf + r->pos + 8, total - 12};
    advance(r, total);
    if (packet) {
        *got = packet_block(r, type, body, f);
        return *got;
    }
    if (type == NG_INTERFACE) {
        add_interface(r, body);
    } else {
        take_secrets(r, body);
    }
    return true;
}

static enum hil_read ng_next(struct hil_reader *r, struct hil_frame *f) {
    for (;;) {
        bool got;
        if (!ng_block(r, f, &got)) {
            return ended(r);
        }
        if (got) {
            return HIL_READ_FRAME;
        }
    }
}

static enum hil_read classic_next(struct hil_reader *r, struct hil_frame *f) {
    size_t head = r->modified ? 24 : 16;
    for (;;) {
        if (!ensure(r, head)) {
            return ended(r);
        }
        const uint8_t *p = r->buf + r->pos;
        uint32_t caplen = get32(r, p + 8);
        if (caplen > 0x10000000U) {
            r->source_failed = true; /* no capture tool writes this: the rest cannot be framed */
            return ended(r);
        }
        if (caplen > HIL_FRAME_MAX) {
            r->oversize++;
            r->frames++;
            if (!discard(r, head + (uint64_t)caplen)) {
                return HIL_READ_TRUNCATED;
            }
            continue;
        }
        if (!ensure(r, head + caplen)) {
            return ended(r);
        }
        p = r->buf + r->pos;
        uint32_t frac = get32(r, p + 4);
        f->t = (int64_t)get32(r, p) * 1000000000 + (r->nano ? (int64_t)frac : (int64_t)frac * 1000);
        f->caplen = caplen;
        f->wirelen = get32(r, p + 12);
        f->link = r->link;
        f->damaged = false;
        f->data = p + head;
        f->number = ++r->frames;
        advance(r, head + caplen);
        return HIL_READ_FRAME;
    }
}

enum hil_read hil_reader_next(struct hil_reader *r, struct hil_frame *f) {
    return r->ng ? ng_next(r, f) : classic_next(r, f);
}

static const char *classic_open(struct hil_reader *r, uint32_t magic_le) {
    switch (magic_le) {
    case 0xa1b2c3d4U:
    case 0xa1b23c4dU:
    case 0xa1b2cd34U:
        r->swapped = false;
        break;
    case 0xd4c3b2a1U:
    case 0x4d3cb2a1U:
    case 0x34cdb2a1U:
        r->swapped = true;
        break;
    default:
        return "not a capture file (neither pcap nor pcapng)";
    }
    uint32_t magic = r->swapped ? __builtin_bswap32(magic_le) : magic_le;
    r->nano = magic == 0xa1b23c4dU;
    r->modified = magic == 0xa1b2cd34U;
    if (!ensure(r, 24)) {
        return "pcap header cut off";
    }
    r->link = (uint16_t)get32(r, r->buf + r->pos + 20);
    advance(r, 24);
    return NULL;
}

/* Reads blocks up to the first packet, so that secrets and interface names are known. */
static const char *ng_open(struct hil_reader *r) {
    r->ng = true;
    r->interfaces = calloc(HIL_INTERFACES_MAX, sizeof *r->interfaces);
    if (r->interfaces == NULL) {
        return "out of memory";
    }
    if (!section(r)) {
        return "pcapng section header damaged";
    }
    for (;;) {
        if (!ensure(r, 12)) {
            return NULL; /* no packet at all: next() reports the end */
        }
        uint32_t type = get32(r, r->buf + r->pos);
        if (type == NG_ENHANCED || type == NG_SIMPLE || type == NG_OLD_PACKET) {
            return NULL;
        }
        struct hil_frame ignored;
        bool got;
        if (!ng_block(r, &ignored, &got)) {
            return NULL;
        }
    }
}

const char *hil_reader_open(struct hil_reader *r, hil_source source, void *ctx) {
    r->source = source;
    r->ctx = ctx;
    r->cap = BUF_START;
    r->buf = calloc(1, r->cap);
    if (r->buf == NULL) {
        return "out of memory";
    }
    if (!ensure(r, 4)) {
        return r->source_failed ? "cannot be read" : r->end == 0 ? "empty" : "too short for a capture file";
    }
    if (r->buf[0] == 0x1f && r->buf[1] == 0x8b) {
        r->gunzip = hil_gunzip_new(source, ctx, r->buf, r->end);
        if (r->gunzip == NULL) {
            return "out of memory";
        }
        r->source = hil_gunzip_read;
        r->ctx = r->gunzip;
        r->pos = r->end = 0;
        r->eof = false;
        if (!ensure(r, 4)) {
            return "gzip data damaged or empty";
        }
    }
    uint32_t magic = hil_le32(r->buf + r->pos);
    return magic == NG_SECTION ? ng_open(r) : classic_open(r, magic);
}

void hil_reader_close(struct hil_reader *r) {
    free(r->buf);
    free(r->interfaces);
    hil_gunzip_free(r->gunzip);
    memset(r, 0, sizeof *r);
}
