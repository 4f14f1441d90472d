/* HDLC-like framing (RFC 1662, sections 3.1, 4.2, 4.3) and SLIP (RFC 1055), both ways. */
#include "uplink.h"

#include <string.h>

enum {
    PPP_FLAG = 0x7E,
    PPP_ESCAPE = 0x7D,
    PPP_XOR = 0x20,
    PPP_ALL_STATIONS = 0xFF,
    PPP_UNNUMBERED = 0x03,
    PPP_IP = 0x21,
    PPP_VJ_UNCOMPRESSED = 0x2F, /* the addresses are where they are in IP */
    FCS_SIZE = 2,
    PPP_SHORTEST = 1 + FCS_SIZE, /* a compressed protocol and the check sequence */
    SLIP_END = 0xC0,
    SLIP_ESC = 0xDB,
    SLIP_ESC_END = 0xDC,
    SLIP_ESC_ESC = 0xDD,
    IPV4_HEADER = 20,
    IPV6_HEADER = 40
};
#define FCS_GOOD 0xF0B8u
#define FRONT    2u /* room for FF 03 */

uint16_t hil_fcs16(uint16_t fcs, const uint8_t *data, size_t len) {
    uint32_t value = fcs;
    for (size_t i = 0; i < len; i++) {
        value ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            value = (value & 1u) != 0 ? (value >> 1) ^ 0x8408u : value >> 1;
        }
    }
    return (uint16_t)value;
}

static size_t u16(const uint8_t *at) {
    return (size_t)at[0] << 8 | at[1];
}

/* A packet as long as its header says. SLIP has no check sequence, and noise on the line has no other sign.
 */
static bool is_ip(const uint8_t *data, size_t len) {
    if (len >= IPV4_HEADER && data[0] >> 4 == 4) {
        return u16(data + 2) == len && (size_t)(data[0] & 15) * 4 >= IPV4_HEADER;
    }
    return len >= IPV6_HEADER && data[0] >> 4 == 6 && IPV6_HEADER + u16(data + 4) == len;
}

static enum hil_frame end_ppp(struct hil_deframer *d, const uint8_t **frame, size_t *frame_len) {
    uint8_t *start = d->data + FRONT;
    size_t len = d->used;
    if (d->broken || d->escaped || len < PPP_SHORTEST) { /* escape, flag: the sender gave it up */
        return HIL_FRAME_NOISE;
    }
    bool good = hil_fcs16(0xFFFF, start, len) == FCS_GOOD;
    len -= FCS_SIZE;
    if (len < 2 || start[0] != PPP_ALL_STATIONS || start[1] != PPP_UNNUMBERED) {
        start = d->data;
        start[0] = PPP_ALL_STATIONS;
        start[1] = PPP_UNNUMBERED;
        len += FRONT;
    }
    *frame = start;
    *frame_len = len;
    return good ? HIL_FRAME_GOOD : HIL_FRAME_DAMAGED;
}

static enum hil_frame end_slip(struct hil_deframer *d, const uint8_t **frame, size_t *frame_len) {
    if (d->broken || d->escaped || !is_ip(d->data + FRONT, d->used)) {
        return HIL_FRAME_NOISE;
    }
    *frame = d->data + FRONT;
    *frame_len = d->used;
    return HIL_FRAME_GOOD;
}

/* One byte of content; false when it makes the frame unusable. */
static bool unescape(struct hil_deframer *d, uint8_t *byte) {
    if (d->framing == HIL_FRAMING_PPP) {
        *byte ^= PPP_XOR;
        return true;
    }
    *byte = *byte == SLIP_ESC_END ? SLIP_END : *byte == SLIP_ESC_ESC ? SLIP_ESC : 0;
    return *byte != 0;
}

static void take(struct hil_deframer *d, uint8_t byte) {
    uint8_t escape = d->framing == HIL_FRAMING_PPP ? PPP_ESCAPE : SLIP_ESC;
    if (d->escaped) {
        d->escaped = false;
        d->broken = d->broken || !unescape(d, &byte);
    } else if (byte == escape) {
        d->escaped = true;
        return;
    }
    if (d->used == HIL_FRAME_MAX) {
        d->broken = true;
    }
    if (!d->broken) {
        d->data[FRONT + d->used++] = byte;
    }
}

size_t hil_deframe(struct hil_deframer *d, const uint8_t *bytes, size_t len, enum hil_frame *what,
                   const uint8_t **frame, size_t *frame_len) {
    uint8_t flag = d->framing == HIL_FRAMING_PPP ? PPP_FLAG : SLIP_END;
    *what = HIL_FRAME_NONE;
    *frame = NULL;
    *frame_len = 0;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != flag) {
            if (d->synced) {
                take(d, bytes[i]);
            }
            continue;
        }
        bool empty = !d->synced || (d->used == 0 && !d->broken && !d->escaped);
        if (!empty) {
            *what =
                d->framing == HIL_FRAMING_PPP ? end_ppp(d, frame, frame_len) : end_slip(d, frame, frame_len);
        }
        d->synced = true;
        d->escaped = d->broken = false;
        d->used = 0;
        if (!empty) {
            return i + 1;
        }
    }
    return len;
}

bool hil_for_slirp(enum hil_framing framing, const uint8_t *frame, size_t len, uint32_t host_address) {
    if (framing == HIL_FRAMING_PPP) {
        size_t at = len >= 3 && (frame[2] & 1) != 0 ? 3 : 4; /* after FF 03: one byte when it is odd */
        bool ip = len >= at && (frame[at - 1] == PPP_IP || frame[at - 1] == PPP_VJ_UNCOMPRESSED);
        if (!ip || (at == 4 && frame[2] != 0)) {
            return false;
        }
        frame += at;
        len -= at;
    }
    if (len < IPV4_HEADER || frame[0] >> 4 != 4) {
        return false;
    }
    uint32_t to = (uint32_t)(u16(frame + 16) << 16 | u16(frame + 18));
    uint32_t network = host_address & 0xFFFFFF00u;
    return to == network || to == network + 1u;
}

static size_t put(enum hil_framing framing, uint8_t byte, uint8_t *out) {
    if (framing == HIL_FRAMING_PPP) {
        bool escape = byte < 0x20 || byte == PPP_FLAG || byte == PPP_ESCAPE;
        out[0] = escape ? PPP_ESCAPE : byte;
        out[escape ? 1 : 0] = escape ? byte ^ PPP_XOR : byte;
        return escape ? 2 : 1;
    }
    bool escape = byte == SLIP_END || byte == SLIP_ESC;
    out[0] = escape ? SLIP_ESC : byte;
    out[escape ? 1 : 0] = !escape ? byte : byte == SLIP_END ? SLIP_ESC_END : SLIP_ESC_ESC;
    return escape ? 2 : 1;
}

size_t hil_enframe(enum hil_framing framing, const uint8_t *frame, size_t len,
                   uint8_t out[HIL_ENFRAMED_MAX]) {
    uint8_t flag = framing == HIL_FRAMING_PPP ? PPP_FLAG : SLIP_END;
    size_t used = 0;
    out[used++] = flag;
    for (size_t i = 0; i < len; i++) {
        used += put(framing, frame[i], out + used);
    }
    if (framing == HIL_FRAMING_PPP) {
        uint16_t fcs = (uint16_t)~hil_fcs16(0xFFFF, frame, len);
        used += put(framing, (uint8_t)fcs, out + used);
        used += put(framing, (uint8_t)(fcs >> 8), out + used);
    }
    out[used++] = flag;
    return used;
}
