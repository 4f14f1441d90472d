#include "reader.h"

#include <stdlib.h>
#include <zlib.h>

#define IN_SIZE ((size_t)256 * 1024) /* as much as the reader may have read ahead */

struct hil_gunzip {
    hil_source source;
    void *ctx;
    z_stream z;
    bool eof, between; /* between: a member ended and no byte of the next one was seen */
    uint8_t in[IN_SIZE];
};

struct hil_gunzip *hil_gunzip_new(hil_source source, void *ctx, const uint8_t *head, size_t n) {
    struct hil_gunzip *g = calloc(1, sizeof *g);
    if (g == NULL) {
        return NULL;
    }
    g->source = source;
    g->ctx = ctx;
    if (n > IN_SIZE || inflateInit2(&g->z, 15 + 16) != Z_OK) {
        free(g);
        return NULL;
    }
    memcpy(g->in, head, n);
    g->z.next_in = g->in;
    g->z.avail_in = (uInt)n;
    return g;
}

void hil_gunzip_free(struct hil_gunzip *g) {
    if (g != NULL) {
        inflateEnd(&g->z);
        free(g);
    }
}

static int refill(struct hil_gunzip *g) {
    ssize_t n = g->source(g->ctx, g->in, IN_SIZE);
    if (n < 0) {
        return -1;
    }
    g->z.next_in = g->in;
    g->z.avail_in = (uInt)n;
    g->eof = n == 0;
    return 0;
}

ssize_t hil_gunzip_read(void *gunzip, uint8_t *buf, size_t n) {
    struct hil_gunzip *g = gunzip;
    if (n > (1U << 30)) {
        n = 1U << 30;
    }
    g->z.next_out = buf;
    g->z.avail_out = (uInt)n;
    while (g->z.avail_out == n) {
        if (g->z.avail_in == 0 && !g->eof && refill(g) != 0) {
            return -1;
        }
        if (g->z.avail_in == 0 && g->eof) {
            return g->between ? 0 : -1; /* cut in the middle of a member */
        }
        g->between = false;
        int rc = inflate(&g->z, Z_NO_FLUSH);
        if (rc == Z_STREAM_END) {
            g->between = true;
            inflateReset(&g->z);
        } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
            size_t got = n - g->z.avail_out;
            return got > 0 ? (ssize_t)got : -1;
        }
    }
    return (ssize_t)(n - g->z.avail_out);
}
