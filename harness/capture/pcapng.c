/* pcapng writer: draft-ietf-opsawg-pcapng, sections 4.1, 4.2, 4.3, 4.6. Little-endian or big-endian as the
 * host. */
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BLOCK_SECTION = 0x0A0D0D0A,
    BLOCK_INTERFACE = 1,
    BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6,
    OPT_COMMENT = 1,
    SHB_APPLICATION = 4,
    IF_NAME = 2,
    IF_TSRESOL = 9,
    IF_FILTER = 11,
    EPB_FLAGS = 2,
    ISB_START = 2,
    ISB_END = 3,
    ISB_RECEIVED = 4,
    ISB_DROPPED = 5,
};

#define BUFFER_SIZE (HIL_SNAPLEN + (256u * 1024u))
#define OPTION_MAX  8192u /* longest text kept of a comment or filter */

static int give_up(struct hil_pcapng *file, int error) {
    if (file->error == 0) {
        file->error = error;
    }
    errno = file->error;
    return -1;
}

/* How many bytes of whole blocks the first `n` bytes of the buffer hold. */
static size_t whole_blocks(const uint8_t *buffer, size_t n) {
    size_t at = 0;
    uint32_t length = 0;
    while (n - at >= 12) {
        memcpy(&length, buffer + at + 4, sizeof length);
        if (length > n - at) {
            break;
        }
        at += length;
    }
    return at;
}

int hil_pcapng_flush(struct hil_pcapng *file) {
    if (file->error != 0) {
        return give_up(file, file->error);
    }
    size_t done = 0;
    while (done < file->used) {
        ssize_t n = write(file->fd, file->buffer + done, file->used - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            int error = n < 0 ? errno : ENOSPC;
            file->size += whole_blocks(file->buffer, done);
            /* So that what was captured can be read. */
            (void)!ftruncate(file->fd, (off_t)file->size);
            return give_up(file, error);
        }
        done += (size_t)n;
    }
    file->size += file->used;
    file->used = 0;
    return 0;
}

static void put(struct hil_pcapng *file, const void *data, size_t n) {
    if (n > 0) {
        memcpy(file->buffer + file->used, data, n);
        file->used += n;
    }
}

static void put16(struct hil_pcapng *file, uint16_t value) {
    put(file, &value, sizeof value);
}

static void put32(struct hil_pcapng *file, uint32_t value) {
    put(file, &value, sizeof value);
}

static void pad(struct hil_pcapng *file, size_t n) {
    static const uint8_t zero[4] = {0};
    put(file, zero, (4 - n % 4) % 4);
}

/* Makes room for a block of at most `most` bytes and starts it; block_end() fills its length in. */
static int block_begin(struct hil_pcapng *file, uint32_t type, size_t most, size_t *start) {
    if (file->error != 0 || (BUFFER_SIZE - file->used < most && hil_pcapng_flush(file) != 0)) {
        return give_up(file, file->error);
    }
    *start = file->used;
    put32(file, type);
    put32(file, 0);
    return 0;
}

static void block_end(struct hil_pcapng *file, size_t start) {
    uint32_t length = (uint32_t)(file->used - start + sizeof length);
    put32(file, length);
    memcpy(file->buffer + start + 4, &length, sizeof length);
}

static void option(struct hil_pcapng *file, uint16_t code, const void *data, size_t n) {
    put16(file, code);
    put16(file, (uint16_t)n);
    put(file, data, n);
    pad(file, n);
}

static void text_option(struct hil_pcapng *file, uint16_t code, const char *text) {
    size_t n = strnlen(text, OPTION_MAX);
    if (n > 0) {
        option(file, code, text, n);
    }
}

static int write_headers(struct hil_pcapng *file, uint16_t link, const char *interface, const char *filter,
                         const char *comment) {
    size_t start = 0;
    if (block_begin(file, BLOCK_SECTION, 128, &start) != 0) {
        return -1;
    }
    const int64_t unknown = -1;
    put32(file, 0x1A2B3C4D);
    put16(file, 1);
    put16(file, 0);
    put(file, &unknown, sizeof unknown);
    text_option(file, SHB_APPLICATION, program_invocation_short_name);
    put32(file, 0);
    block_end(file, start);

    if (block_begin(file, BLOCK_INTERFACE, (size_t)4 * OPTION_MAX, &start) != 0) {
        return -1;
    }
    put16(file, link);
    put16(file, 0);
    put32(file, HIL_SNAPLEN);
    text_option(file, IF_NAME, interface);
    option(file, IF_TSRESOL, "\x09", 1);
    if (filter[0] != '\0') {
        char expression[OPTION_MAX + 1] = {0}; /* first byte 0: a libpcap expression */
        size_t n = strnlen(filter, OPTION_MAX);
        memcpy(expression + 1, filter, n);
        option(file, IF_FILTER, expression, n + 1);
    }
    text_option(file, OPT_COMMENT, comment);
    put32(file, 0);
    block_end(file, start);
    return hil_pcapng_flush(file);
}

int hil_pcapng_open(struct hil_pcapng *file, const char *path, uint16_t link, const char *interface,
                    const char *filter, const char *comment) {
    memset(file, 0, sizeof *file);
    file->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file->fd < 0) {
        return -1;
    }
    file->buffer = malloc(BUFFER_SIZE);
    if (file->buffer == NULL || write_headers(file, link, interface, filter, comment) != 0) {
        int error = file->buffer == NULL ? ENOMEM : file->error;
        (void)hil_pcapng_close(file);
        errno = error;
        return -1;
    }
    return 0;
}

static int packet(struct hil_pcapng *file, uint64_t ns, const void *data, uint32_t captured, uint32_t length,
                  const uint32_t *flags) {
    size_t start = 0;
    if (captured > HIL_SNAPLEN) {
        captured = HIL_SNAPLEN;
    }
    if (block_begin(file, BLOCK_PACKET, captured + 64u, &start) != 0) {
        return -1;
    }
    put32(file, 0);
    put32(file, (uint32_t)(ns >> 32));
    put32(file, (uint32_t)ns);
    put32(file, captured);
    put32(file, length);
    put(file, data, captured);
    pad(file, captured);
    if (flags != NULL) {
        option(file, EPB_FLAGS, flags, sizeof *flags);
        put32(file, 0);
    }
    block_end(file, start);
    return 0;
}

int hil_pcapng_packet(struct hil_pcapng *file, uint64_t ns, const void *data, uint32_t captured,
                      uint32_t length) {
    return packet(file, ns, data, captured, length, NULL);
}

int hil_pcapng_packet_flags(struct hil_pcapng *file, uint64_t ns, const void *data, uint32_t captured,
                            uint32_t length, uint32_t flags) {
    return packet(file, ns, data, captured, length, &flags);
}

static void time_option(struct hil_pcapng *file, uint16_t code, uint64_t ns) {
    const uint32_t halves[2] = {(uint32_t)(ns >> 32), (uint32_t)ns};
    option(file, code, halves, sizeof halves);
}

int hil_pcapng_statistics(struct hil_pcapng *file, uint64_t start_ns, uint64_t end_ns, uint64_t received,
                          uint64_t dropped) {
    size_t start = 0;
    if (block_begin(file, BLOCK_STATISTICS, 128, &start) != 0) {
        return -1;
    }
    put32(file, 0);
    put32(file, (uint32_t)(end_ns >> 32));
    put32(file, (uint32_t)end_ns);
    time_option(file, ISB_START, start_ns);
    time_option(file, ISB_END, end_ns);
    option(file, ISB_RECEIVED, &received, sizeof received);
    option(file, ISB_DROPPED, &dropped, sizeof dropped);
    put32(file, 0);
    block_end(file, start);
    return hil_pcapng_flush(file);
}

int hil_pcapng_close(struct hil_pcapng *file) {
    if (file->buffer != NULL) {
        (void)hil_pcapng_flush(file);
        free(file->buffer);
        file->buffer = NULL;
    }
    /* Network file systems report a full disk only here. */
    if (close(file->fd) != 0 && file->error == 0) {
        file->error = errno;
    }
    return file->error;
}
