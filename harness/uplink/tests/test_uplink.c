/* De-framing by hand-made streams: RFC 1662 and RFC 1055, in one piece and byte by byte; and what goes on to
 * slirp. */
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

/* Too short for an address, without a byte to spare: ASan sees a read too far. */
static void slirps_own_cut(enum hil_framing framing, const uint8_t *frame, size_t len) {
    for (size_t cut = 0; cut <= len; cut++) {
        uint8_t *exact = malloc(cut > 0 ? cut : 1);
        if (exact == NULL) {
            abort();
        }
        memcpy(exact, frame, cut);
        CHECK(hil_for_slirp(framing, exact, cut, 0x0A000202) == (cut == len));
        free(exact);
    }
}

static void slirps_own_compressed(void) {
    uint8_t frame[4 + 20] = {0xFF, 0x03, 0x00, 0x2F, 0x45, [20] = 10, 0, 2, 0};
    CHECK(hil_for_slirp(HIL_FRAMING_PPP, frame, sizeof frame, 0x0A000202));
    frame[3] = 0x2D; /* means nothing without one of those before it */
    CHECK(!hil_for_slirp(HIL_FRAMING_PPP, frame, sizeof frame, 0x0A000202));
}

/* What a frame is written as is read as the same frame, whatever is in it. */
static void there_and_back(enum hil_framing framing) {
    static struct stream s;
    static struct found f;
    static uint8_t frame[HIL_FRAME_MAX];
    size_t longest = sizeof frame - (framing == HIL_FRAMING_PPP ? 2 : 0); /* its check sequence counts */
    for (size_t len = 40; len <= longest; len += longest - 40) {
        for (size_t i = 0; i < len; i++) {
            frame[i] = (uint8_t)(len == 40 ? 0xC0 : i % 3 == 0 ? 0x7D : 0x7E);
        }
        static const uint8_t PPP[4] = {0xFF, 0x03, 0x00, 0x21}, IP[4] = {0x45};
        memcpy(frame, framing == HIL_FRAMING_PPP ? PPP : IP, 4);
        if (framing == HIL_FRAMING_SLIP) {
            frame[2] = (uint8_t)(len >> 8);
            frame[3] = (uint8_t)len;
        }
        uint8_t out[HIL_ENFRAMED_MAX];
        s.len = 0;
        put(&s, out, hil_enframe(framing, frame, len, out));
        for (size_t i = 0; framing == HIL_FRAMING_PPP && i < s.len; i++) {
            CHECK(s.data[i] >= 0x20); /* no reader's character map may matter */
        }
        deframe(framing, &s, 7, &f);
        CHECK(f.count == 1);
        is(&f, 0, HIL_FRAME_GOOD, frame, len);
    }
}

static int seen;

static void on_frame(void *context, const struct hil_way *way, enum hil_frame what, const uint8_t *frame,
                     size_t len) {
    (void)what;
    (void)frame;
    (void)len;
    CHECK(context == &seen && way != NULL);
    seen++;
}

/* Everything through one way, `piece` bytes at a time, its output taken `drain` at a time. */
static unsigned through(const struct stream *s, bool checked, enum hil_framing framing, size_t piece,
                        size_t drain, struct stream *out) {
    static struct hil_way way;
    unsigned refused = 0;
    memset(&way, 0, sizeof way);
    way.deframer.framing = framing;
    way.checked = checked;
    way.host_address = 0x0A000202;
    seen = 0;
    out->len = 0;
    for (size_t at = 0, rounds = 0; at < s->len || way.out_used > 0 || !hil_way_hungry(&way); rounds++) {
        CHECK(rounds < (size_t)10 * STREAM_MAX); /* it goes on for ever */
        if (hil_way_hungry(&way) && at < s->len) {
            size_t n = s->len - at < piece ? s->len - at : piece;
            memcpy(way.in, s->data + at, n);
            way.in_at = 0;
            way.in_used = n;
            at += n;
        }
        refused += hil_way_work(&way, on_frame, &seen);
        size_t n = way.out_used < drain ? way.out_used : drain;
        put(out, way.out, n);
        hil_way_written(&way, n);
    }
    return refused;
}

static void unchecked(size_t piece) {
    static struct stream s, out;
    s.len = 0;
    put(&s, "\x7E\x21\x45noise", 8);
    put(&s, "\x7D\x7E", 2);
    (void)through(&s, false, HIL_FRAMING_PPP, piece, 3, &out);
    CHECK(out.len == s.len && memcmp(out.data, s.data, s.len) == 0); /* as it came */
    CHECK(seen > 0);
}

/* Each way to spell a packet to slirp's console that slirp would understand and we might not. */
static void disguises(size_t piece) {
    static const uint8_t PLAIN[20] = {0x45, 0, 0, 20, [16] = 10, 0, 2, 0};
    static const uint8_t GOOD[20] = {0x45, 0, 0, 20, [16] = 10, 0, 2, 2};
    static struct stream s, out;
    static struct found f;
    s.len = 0;
    put(&s, "\xC0", 1);
    put(&s, PLAIN, 20);
    put(&s, "\xC0", 1);
    put(&s, PLAIN, 20);
    put(&s, "z\xC0", 2); /* longer than it says: trimmed by its reader */
    put(&s, PLAIN, 20);
    put(&s, "\xDB\x41\xC0", 3); /* RFC 1055: leave the byte alone */
    put(&s, "\x75", 1);         /* compressible: its reader takes three bits off */
    put(&s, PLAIN + 1, 19);
    put(&s, "\xC0", 1);
    for (int i = 0; i < 4090; i++) {
        put(&s, "\xC0", 1);
    }
    put(&s, PLAIN, 20);
    put(&s, "\xC0", 1);
    put(&s, PLAIN, 20);
    for (unsigned i = 0; i < HIL_FRAME_MAX; i++) {
        put(&s, "z", 1); /* longer than any */
    }
    put(&s, "\xC0", 1);
    put(&s, GOOD, 20);
    put(&s, "\xC0", 1);
    CHECK(through(&s, true, HIL_FRAMING_SLIP, piece, 5, &out) == 2);
    CHECK(seen == 7); /* all of them are told of */
    deframe(HIL_FRAMING_SLIP, &out, STREAM_MAX, &f);
    CHECK(f.count == 1);
    is(&f, 0, HIL_FRAME_GOOD, GOOD, 20);
}

/* A damaged PPP frame may be a good one to a reader that takes control characters out (RFC 1662 4.2). */
static void damaged_frames_stay_here(size_t piece) {
    static const uint8_t BARE[5] = {0x21, 0x45, 0x00, 0x00, 0x11};
    static const uint8_t SHOWN[7] = {0xFF, 0x03, 0x21, 0x45, 0x00, 0x00, 0x11};
    static struct stream s, out;
    static struct found f;
    s.len = 0;
    put(&s, "boot 1.0\r\n\x7E", 11);
    put_ppp(&s, BARE, sizeof BARE);
    s.data[s.len - 2] ^= 1;
    put_ppp(&s, BARE, sizeof BARE);
    CHECK(through(&s, true, HIL_FRAMING_PPP, piece, 5, &out) == 0);
    CHECK(seen == 2);
    deframe(HIL_FRAMING_PPP, &out, STREAM_MAX, &f);
    CHECK(f.count == 1);
    is(&f, 0, HIL_FRAME_GOOD, SHOWN, sizeof SHOWN);
}

/* The fullest read: nothing is lost where there is no room. */
static void no_room(void) {
    static struct stream s, out;
    static struct found f;
    static uint8_t long_one[2000];
    s.len = 0;
    put_byte(&s, 0x7E);
    memset(long_one, 0x7E, sizeof long_one);
    long_one[0] = 0x21;
    for (int i = 0; i < 3; i++) {
        put_ppp(&s, long_one, sizeof long_one);
    }
    (void)through(&s, true, HIL_FRAMING_PPP, HIL_READ_MAX, 1, &out);
    deframe(HIL_FRAMING_PPP, &out, STREAM_MAX, &f);
    CHECK(seen == 3 && f.count == 3);
}

/* Who is not there has no number that could be somebody else's when it is ended. */
static void no_such_program(void) {
    int pid = 1;
    CHECK(hil_slirp_start("/nonexistent/slirp", HIL_FRAMING_PPP, 0x0A000202, &pid) < 0);
    CHECK(pid == -1);
}

int main(void) {
    static const size_t PIECES[] = {1, 2, 3, 7, STREAM_MAX};
    check_sequence();
    for (size_t i = 0; i < sizeof PIECES / sizeof *PIECES; i++) {
        ppp(PIECES[i]);
        ppp_bounds(PIECES[i]);
        slip(PIECES[i]);
        unchecked(PIECES[i] < HIL_READ_MAX ? PIECES[i] : HIL_READ_MAX);
        disguises(PIECES[i] < HIL_READ_MAX ? PIECES[i] : HIL_READ_MAX);
        damaged_frames_stay_here(PIECES[i] < HIL_READ_MAX ? PIECES[i] : HIL_READ_MAX);
    }
    slirps_own();
    static const uint8_t OWN[24] = {0xFF, 0x03, 0x00, 0x21, 0x45, [20] = 10, 0, 2, 1};
    slirps_own_cut(HIL_FRAMING_PPP, OWN, sizeof OWN);
    slirps_own_cut(HIL_FRAMING_SLIP, OWN + 4, sizeof OWN - 4);
    slirps_own_compressed();
    there_and_back(HIL_FRAMING_PPP);
    there_and_back(HIL_FRAMING_SLIP);
    no_room();
    no_such_program();
    if (failures == 0) {
        puts("uplink: all checks passed");
    }
    return failures == 0 ? 0 : 1;
}
