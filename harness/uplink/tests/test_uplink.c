/* De-framing by hand-made streams: RFC 1662 and RFC 1055, in one piece and byte by byte. */
#include "uplink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

#define STREAM_MAX 16384u
#define FRAMES_MAX 16

struct stream {
    size_t len;
    uint8_t data[STREAM_MAX];
};

struct found {
    int count;
    struct {
        enum hil_frame what;
        size_t len;
        uint8_t data[HIL_FRAME_MAX + 2];
    } frames[FRAMES_MAX];
};

static void put(struct stream *s, const void *data, size_t len) {
    if (len > STREAM_MAX - s->len) {
        abort();
    }
    memcpy(s->data + s->len, data, len);
    s->len += len;
}

static void put_byte(struct stream *s, uint8_t byte) {
    put(s, &byte, 1);
}

static void put_escaped(struct stream *s, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (data[i] == 0x7E || data[i] == 0x7D || data[i] < 0x20) {
            put_byte(s, 0x7D);
            put_byte(s, data[i] ^ 0x20);
        } else {
            put_byte(s, data[i]);
        }
    }
}

/* A frame with its check sequence, with its closing flag only. */
static void put_ppp(struct stream *s, const uint8_t *data, size_t len) {
    uint16_t fcs = (uint16_t)~hil_fcs16(0xFFFF, data, len);
    uint8_t trailer[2] = {(uint8_t)fcs, (uint8_t)(fcs >> 8)};
    put_escaped(s, data, len);
    put_escaped(s, trailer, sizeof trailer);
    put_byte(s, 0x7E);
}

static void deframe(enum hil_framing framing, const struct stream *s, size_t piece, struct found *found) {
    static struct hil_deframer d;
    memset(&d, 0, sizeof d);
    memset(found, 0, sizeof *found);
    d.framing = framing;
    for (size_t at = 0; at < s->len;) {
        size_t left = s->len - at < piece ? s->len - at : piece;
        const uint8_t *frame;
        size_t len;
        enum hil_frame what;
        size_t taken = hil_deframe(&d, s->data + at, left, &what, &frame, &len);
        CHECK(taken > 0 && taken <= left);
        if (taken == 0) {
            return;
        }
        at += taken;
        if (what != HIL_FRAME_NONE && found->count < FRAMES_MAX) {
            found->frames[found->count].what = what;
            found->frames[found->count].len = len;
            if (len > 0) {
                memcpy(found->frames[found->count].data, frame, len);
            }
            found->count++;
        }
    }
}

static void is(const struct found *found, int at, enum hil_frame what, const void *data, size_t len) {
    CHECK(at < found->count);
    CHECK(found->frames[at].what == what);
    CHECK(found->frames[at].len == len);
    CHECK(len == 0 || memcmp(found->frames[at].data, data, len) == 0);
}

/* RFC 1662, appendix C.2's method against a frame computed by another program (pppd's first
 * Configure-Request). */
static void check_sequence(void) {
    CHECK(hil_fcs16(0xFFFF, (const uint8_t *)"123456789", 9) == (uint16_t)~0x906E);
    static const uint8_t frame[] = {0xFF, 0x03, 0xC0, 0x21, 0x01, 0x01, 0x00, 0x04, 0xD1, 0xB5};
    CHECK(hil_fcs16(0xFFFF, frame, sizeof frame) == 0xF0B8);
}

static void ppp(size_t piece) {
    static struct stream s;
    static struct found f;
    static const uint8_t full[] = {0xFF, 0x03, 0xC0, 0x21, 0x01, 0x7E, 0x7D, 0x11};
    static const uint8_t bare[] = {0x21, 0x45, 0x00, 0x00};
    static const uint8_t bare_shown[] = {0xFF, 0x03, 0x21, 0x45, 0x00, 0x00};
    s.len = 0;
    put(&s, "Slirp v1.0\r\n", 12); /* a greeting is no frame */
    put_byte(&s, 0x7E);
    put_byte(&s, 0x7E); /* and neither is nothing */
    put_ppp(&s, full, sizeof full);
    put_ppp(&s, bare, sizeof bare); /* one flag between two frames */
    put_byte(&s, 0x7E);
    put_ppp(&s, bare, sizeof bare);
    s.data[s.len - 2] ^= 1;         /* damaged */
    put(&s, "\x21\x45\x7D\x7E", 4); /* aborted */
    put(&s, "\x21\x45\x7E",
        3); /* shorter than a check sequence with anything before it: a wrong one at most */
    put(&s, "\x21\x7E", 2);
    put_ppp(&s, full, sizeof full);
    put(&s, "\x21\x45", 2); /* no end */
    deframe(HIL_FRAMING_PPP, &s, piece, &f);
    CHECK(f.count == 7);
    is(&f, 0, HIL_FRAME_GOOD, full, sizeof full);
    is(&f, 1, HIL_FRAME_GOOD, bare_shown, sizeof bare_shown);
    is(&f, 2, HIL_FRAME_DAMAGED, bare_shown, sizeof bare_shown);
    is(&f, 3, HIL_FRAME_NOISE, NULL, 0);
    is(&f, 4, HIL_FRAME_NOISE, NULL, 0);
    is(&f, 5, HIL_FRAME_NOISE, NULL, 0);
    is(&f, 6, HIL_FRAME_GOOD, full, sizeof full);
}

static void ppp_bounds(size_t piece) {
    static struct stream s;
    static struct found f;
    static uint8_t longest[HIL_FRAME_MAX + 1];
    static uint8_t shown[HIL_FRAME_MAX + 2] = {0xFF, 0x03};
    memset(longest, 0x7E, sizeof longest); /* every byte escaped */
    longest[0] = 0x21;
    s.len = 0;
    put_byte(&s, 0x7E);
    put_ppp(&s, longest, HIL_FRAME_MAX - 2);
    put_ppp(&s, longest, HIL_FRAME_MAX - 1);
    put_ppp(&s, longest, 5);
    deframe(HIL_FRAMING_PPP, &s, piece, &f);
    CHECK(f.count == 3);
    memcpy(shown + 2, longest, HIL_FRAME_MAX - 2);
    is(&f, 0, HIL_FRAME_GOOD, shown, HIL_FRAME_MAX);
    is(&f, 1, HIL_FRAME_NOISE, NULL, 0);
    is(&f, 2, HIL_FRAME_GOOD, shown, 7);
}

static void slip(size_t piece) {
    static struct stream s;
    static struct found f;
    uint8_t packet[24] = {0x45, 0, 0, 24, [20] = 0xC0, 0xDB, 0xDC, 0xDD};
    uint8_t six[41] = {0x60, 0, 0, 0, 0, 1};
    s.len = 0;
    put(&s, "hello\xC0\xC0", 7);
    put(&s, packet, 20);
    put(&s, "\xDB\xDC\xDB\xDD\xDC\xDD\xC0", 7);
    put(&s, six, sizeof six);
    put(&s, "\xC0[talking]\xC0", 11); /* no IP: noise */
    put(&s, packet, 20);
    put(&s, "\xDB\x41zzz\xC0", 6); /* what is no escape breaks the packet */
    packet[3] = 25;
    put(&s, packet, 20);
    put(&s, "zzzz\xC0", 5); /* its length is wrong */
    packet[3] = 24;
    deframe(HIL_FRAMING_SLIP, &s, piece, &f);
    CHECK(f.count == 5);
    is(&f, 0, HIL_FRAME_GOOD, packet, sizeof packet);
    is(&f, 1, HIL_FRAME_GOOD, six, sizeof six);
    is(&f, 2, HIL_FRAME_NOISE, NULL, 0);
    is(&f, 3, HIL_FRAME_NOISE, NULL, 0);
    is(&f, 4, HIL_FRAME_NOISE, NULL, 0);
}

static void slirps_own(void) {
    static const uint32_t HOST = 0x0A000202;
    uint8_t frame[4 + 20] = {0xFF, 0x03, 0x00, 0x21, 0x45, [20] = 10, 0, 2, 1};
    CHECK(hil_for_slirp(HIL_FRAMING_PPP, frame, sizeof frame, HOST));
    CHECK(hil_for_slirp(HIL_FRAMING_SLIP, frame + 4, 20, HOST));
    frame[3] = 0x57; /* not IPv4 */
    CHECK(!hil_for_slirp(HIL_FRAMING_PPP, frame, sizeof frame, HOST));
    memmove(frame + 3, frame + 4, 20); /* the protocol in one byte */
    frame[2] = 0x21;
    CHECK(hil_for_slirp(HIL_FRAMING_PPP, frame, sizeof frame - 1, HOST));
    frame[22] = 0;
    CHECK(hil_for_slirp(HIL_FRAMING_PPP, frame, sizeof frame - 1, HOST));
    frame[22] = 2;
    CHECK(!hil_for_slirp(HIL_FRAMING_PPP, frame, sizeof frame - 1, HOST));
    CHECK(!hil_for_slirp(HIL_FRAMING_PPP, frame, 3, HOST));
    CHECK(!hil_for_slirp(HIL_FRAMING_PPP, frame, 0, HOST));
    CHECK(!hil_for_slirp(HIL_FRAMING_SLIP, frame, 0, HOST));
}

int main(void) {
    static const size_t PIECES[] = {1, 2, 3, 7, STREAM_MAX};
    check_sequence();
    for (size_t i = 0; i < sizeof PIECES / sizeof *PIECES; i++) {
        ppp(PIECES[i]);
        ppp_bounds(PIECES[i]);
        slip(PIECES[i]);
    }
    slirps_own();
    if (failures == 0) {
        puts("uplink: all checks passed");
    }
    return failures == 0 ? 0 : 1;
}
