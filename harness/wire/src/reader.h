/* Capture files: pcap (micro- and nanoseconds, both byte orders, the "modified" form) and pcapng (sections,
 * interfaces with any resolution, enhanced, simple and old packet blocks, Decryption Secrets Blocks), plain
 * or gzip. Bytes come from a callback, so a file, a pipe and a fuzzer's buffer are the same. One buffer is
 * kept; it grows to HIL_FRAME_MAX and no further. */
#ifndef HIL_WIRE_READER_H
#define HIL_WIRE_READER_H

#include "bytes.h"
#include <sys/types.h>

#define HIL_FRAME_MAX      (1U << 20) /* longer frames are skipped and counted */
#define HIL_INTERFACES_MAX 256

/* Up to n bytes into buf; 0 at the end, < 0 on error. */
typedef ssize_t (*hil_source)(void *ctx, uint8_t *buf, size_t n);

struct hil_frame {
    int64_t t; /* ns since 1970 */
    uint64_t number;
    uint32_t caplen, wirelen;
    uint16_t link; /* LINKTYPE_ number */
    bool damaged;  /* the link layer saw an error: whoever received it threw it away */
    const uint8_t *data;
};

struct hil_interface {
    uint16_t link;
    uint8_t resolution; /* if_tsresol as it is in the file */
    int64_t offset;     /* if_tsoffset, seconds */
};

enum hil_read { HIL_READ_FRAME, HIL_READ_END, HIL_READ_TRUNCATED };

struct hil_gunzip;

struct hil_reader {
    hil_source source;
    void *ctx;
    struct hil_gunzip *gunzip;
    uint8_t *buf;
    size_t pos, end, cap;
    uint64_t consumed; /* bytes of capture, after decompression */
    uint64_t frames, oversize, unknown_interface;
    bool ng, swapped, nano, modified, source_failed, eof;
    uint16_t link;
    struct hil_interface *interfaces;
    uint32_t interface_n, interface_dropped;
    char comment[256]; /* first interface comment */
    uint64_t secrets_bytes;
    /* called for the text of each TLS key log found in the capture */
    void (*secrets)(void *ctx, const uint8_t *p, size_t n);
    void *secrets_ctx;
};

/* Reads the file header and, for pcapng, everything before the first packet. NULL, or what is wrong. */
const char *hil_reader_open(struct hil_reader *r, hil_source source, void *ctx);
/* The frame's data stays valid until the next call. */
enum hil_read hil_reader_next(struct hil_reader *r, struct hil_frame *f);
void hil_reader_close(struct hil_reader *r);

/* A source that inflates another one; members that follow each other are joined. */
struct hil_gunzip *hil_gunzip_new(hil_source source, void *ctx, const uint8_t *head, size_t n);
ssize_t hil_gunzip_read(void *gunzip, uint8_t *buf, size_t n);
void hil_gunzip_free(struct hil_gunzip *g);

#endif
