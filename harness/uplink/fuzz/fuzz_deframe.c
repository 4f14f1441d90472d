/* libFuzzer target: the first byte chooses the framing and how the rest is cut into pieces; what is found
 * must not depend on the pieces, and what goes on to slirp is what was understood. */
#include "uplink.h"

#include <stdlib.h>
#include <string.h>

struct sum {
    uint64_t hash, count;
};

static void add(struct sum *sum, enum hil_frame what, const uint8_t *frame, size_t len) {
    if ((what == HIL_FRAME_NOISE) != (frame == NULL) || len > HIL_FRAME_MAX + 2) {
        abort();
    }
    sum->count++;
    sum->hash = (sum->hash ^ (uint64_t)what) * 0x100000001B3u;
    for (size_t i = 0; i < len; i++) {
        sum->hash = (sum->hash ^ frame[i]) * 0x100000001B3u;
    }
}

static struct sum run(enum hil_framing framing, const uint8_t *data, size_t size, size_t piece) {
    static struct hil_deframer state;
    struct hil_deframer *d = &state;
    struct sum sum = {0xCBF29CE484222325u, 0};
    memset(d, 0, sizeof *d);
    d->framing = framing;
    for (size_t at = 0; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        uint8_t *copy = malloc(n); /* exact size: reads past the end are seen */
        if (copy == NULL) {
            abort();
        }
        memcpy(copy, data + at, n);
        for (size_t used = 0; used < n;) {
            enum hil_frame what;
            const uint8_t *frame;
            size_t len;
            size_t taken = hil_deframe(d, copy + used, n - used, &what, &frame, &len);
            if (taken == 0 || taken > n - used) {
                abort();
            }
            used += taken;
            if (what != HIL_FRAME_NONE) {
                add(&sum, what, frame, len);
                if (frame != NULL && hil_for_slirp(framing, frame, len, 0x0A000202u)) {
                    sum.hash++;
                }
            } else if (used != n) {
                abort();
            }
        }
        free(copy);
    }
    return sum;
}

struct passed {
    struct sum sum;
    struct hil_deframer reader;
};

static void on_frame(void *context, const struct hil_way *way, enum hil_frame what, const uint8_t *frame,
                     size_t len) {
    struct passed *passed = context;
    size_t check = way->deframer.framing == HIL_FRAMING_PPP ? 2 : 0;
    if (what == HIL_FRAME_GOOD && len + check <= HIL_FRAME_MAX &&
        !hil_for_slirp(way->deframer.framing, frame, len, way->host_address)) {
        add(&passed->sum, what, frame, len);
    }
}

/* What goes on to slirp is the good frames, each as it was understood, and not one that slirp keeps for
 * itself. */
static void pass(enum hil_framing framing, const uint8_t *data, size_t size) {
    static struct hil_way way;
    static struct passed passed;
    struct sum read = {0xCBF29CE484222325u, 0};
    memset(&way, 0, sizeof way);
    memset(&passed, 0, sizeof passed);
    passed.sum.hash = read.hash;
    passed.reader.framing = way.deframer.framing = framing;
    way.checked = true;
    way.host_address = 0x0A000202u;
    while (size > 0 || !hil_way_hungry(&way)) {
        if (hil_way_hungry(&way)) {
            size_t n = size < sizeof way.in ? size : sizeof way.in;
            memcpy(way.in, data, n);
            way.in_at = 0;
            way.in_used = n;
            data += n;
            size -= n;
        }
        (void)hil_way_work(&way, on_frame, &passed);
        for (size_t at = 0; at < way.out_used;) {
            enum hil_frame what;
            const uint8_t *frame;
            size_t len;
            at += hil_deframe(&passed.reader, way.out + at, way.out_used - at, &what, &frame, &len);
            if (what != HIL_FRAME_NONE) {
                add(&read, what, frame, len);
                if (what != HIL_FRAME_GOOD || hil_for_slirp(framing, frame, len, way.host_address)) {
                    abort();
                }
            }
        }
        hil_way_written(&way, way.out_used);
    }
    if (read.hash != passed.sum.hash || read.count != passed.sum.count) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    enum hil_framing framing = (data[0] & 1) != 0 ? HIL_FRAMING_SLIP : HIL_FRAMING_PPP;
    struct sum whole = run(framing, data + 1, size - 1, size);
    struct sum cut = run(framing, data + 1, size - 1, (size_t)(data[0] >> 1) + 1);
    if (whole.hash != cut.hash || whole.count != cut.count) {
        abort();
    }
    pass(framing, data + 1, size - 1);
    return 0;
}
