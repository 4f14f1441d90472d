/* One way of the line, bytes to bytes: no I/O here. */
#include "uplink.h"

#include <string.h>

void hil_way_forget(struct hil_way *way) {
    way->deframer.synced = way->deframer.escaped = way->deframer.broken = false;
    way->deframer.used = way->in_at = way->in_used = way->out_used = 0;
}

bool hil_way_hungry(const struct hil_way *way) {
    return way->in_at == way->in_used;
}

/* A frame that was checked goes on in our own spelling: what its reader finds in it is what we found. */
static bool pass_on(struct hil_way *way, enum hil_frame what, const uint8_t *frame, size_t len) {
    enum hil_framing framing = way->deframer.framing;
    size_t check = framing == HIL_FRAMING_PPP ? 2 : 0;
    if (what != HIL_FRAME_GOOD || len + check > HIL_FRAME_MAX) {
        return false; /* dropped, as a receiver does */
    }
    if (hil_for_slirp(framing, frame, len, way->host_address)) {
        return true;
    }
    way->out_used += hil_enframe(framing, frame, len, way->out + way->out_used);
    return false;
}

unsigned hil_way_work(struct hil_way *way, hil_on_frame *on_frame, void *context) {
    unsigned refused = 0;
    if (!way->checked && way->in_at == 0) { /* as it came, and all of it at once */
        if (way->in_used > sizeof way->out - way->out_used) {
            return 0;
        }
        memcpy(way->out + way->out_used, way->in, way->in_used);
        way->out_used += way->in_used;
    }
    while (way->in_at < way->in_used &&
           (!way->checked || sizeof way->out - way->out_used >= HIL_ENFRAMED_MAX)) {
        enum hil_frame what;
        const uint8_t *frame;
        size_t len;
        way->in_at +=
            hil_deframe(&way->deframer, way->in + way->in_at, way->in_used - way->in_at, &what, &frame, &len);
        if (what != HIL_FRAME_NONE) {
            on_frame(context, way, what, frame, len);
            refused += way->checked && pass_on(way, what, frame, len);
        }
    }
    return refused;
}

void hil_way_written(struct hil_way *way, size_t n) {
    way->out_used -= n;
    memmove(way->out, way->out + n, way->out_used);
}
