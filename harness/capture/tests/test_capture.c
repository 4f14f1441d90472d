/* The writer's blocks, byte by byte; files that cannot be finished; frames that are not ours. */
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int failures;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

static uint32_t word(const uint8_t *data) {
    uint32_t value;
    memcpy(&value, data, sizeof value);
    return value;
}

/* The whole file; *size gets its length. */
static uint8_t *slurp(const char *path, size_t *size) {
    struct stat stat;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &stat) != 0) {
        perror(path);
        exit(1);
    }
    *size = (size_t)stat.st_size;
    uint8_t *data = malloc(*size + 1);
    if (data == NULL || read(fd, data, *size) != (ssize_t)*size) {
        exit(1);
    }
    close(fd);
    return data;
}

/* Walks the blocks: both lengths agree, all are aligned. Returns how many of `kind` there are, or -1. */
static int count(const uint8_t *data, size_t size, uint32_t kind) {
    int found = 0;
    for (size_t at = 0; at < size;) {
        if (size - at < 12) {
            return -1;
        }
        uint32_t length = word(data + at + 4);
        if (length % 4 != 0 || length < 12 || length > size - at || word(data + at + length - 4) != length) {
            return -1;
        }
        found += word(data + at) == kind;
        at += length;
    }
    return found;
}

static void test_blocks(const char *path) {
    struct hil_pcapng file;
    uint8_t frame[61];
    memset(frame, 0xA5, sizeof frame);
    CHECK(hil_pcapng_open(&file, path, 1, "lo", "tcp port 8883", "run 1") == 0);
    for (uint32_t n = 0; n <= sizeof frame; n++) {
        CHECK(hil_pcapng_packet(&file, 0x123456789ABCDEF0u, frame, n, n + 7) == 0);
    }
    CHECK(hil_pcapng_statistics(&file, 1, 2, 62, 3) == 0);
    CHECK(hil_pcapng_close(&file) == 0);

    size_t size;
    uint8_t *data = slurp(path, &size);
    CHECK(word(data) == 0x0A0D0D0A);
    CHECK(word(data + 8) == 0x1A2B3C4D);
    CHECK(count(data, size, 1) == 1);
    CHECK(count(data, size, 6) == 62);
    CHECK(count(data, size, 5) == 1);
    /* The third packet: times, lengths, padding. */
    size_t at = word(data + 4);
    at += word(data + at + 4);
    at += word(data + at + 4);
    at += word(data + at + 4);
    CHECK(word(data + at + 12) == 0x12345678 && word(data + at + 16) == 0x9ABCDEF0);
    CHECK(word(data + at + 20) == 2 && word(data + at + 24) == 9);
    CHECK(memcmp(data + at + 28, "\xA5\xA5\0\0", 4) == 0);
    free(data);
}

static void test_long_texts(const char *path) {
    struct hil_pcapng file;
    size_t length = 100000;
    char *text = malloc(length + 1);
    if (text == NULL) {
        exit(1);
    }
    memset(text, 'x', length);
    text[length] = '\0';
    CHECK(hil_pcapng_open(&file, path, 1, "lo", text, text) == 0);
    CHECK(hil_pcapng_close(&file) == 0);
    size_t size;
    uint8_t *data = slurp(path, &size);
    CHECK(count(data, size, 1) == 1);
    free(data);
    free(text);
}

/* A file limit in the middle of a block leaves whole blocks. */
static void test_limit(const char *path) {
    static uint8_t frame[HIL_SNAPLEN];
    struct rlimit old;
    struct hil_pcapng file;
    getrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 100; limit < 4000; limit += 97) {
        struct rlimit small = {limit, old.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        int rc = hil_pcapng_open(&file, path, 1, "lo", "", "");
        if (rc == 0) {
            for (int i = 0; i < 100 && hil_pcapng_packet(&file, 0, frame, 100, 100) == 0; i++) {
                rc = hil_pcapng_flush(&file);
            }
            CHECK(rc == -1 && errno == EFBIG);
            CHECK(hil_pcapng_packet(&file, 0, frame, 100, 100) == -1);
            CHECK(hil_pcapng_close(&file) == EFBIG);
        } else {
            CHECK(errno == EFBIG && limit < 300);
        }
        setrlimit(RLIMIT_FSIZE, &old);
        size_t size;
        uint8_t *data = slurp(path, &size);
        CHECK(size <= limit && count(data, size, 6) >= 0);
        free(data);
    }
    /* Many blocks in one write, cut inside. */
    struct rlimit small = {100000, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    CHECK(hil_pcapng_open(&file, path, 1, "lo", "", "") == 0);
    for (int i = 0; i < 2000; i++) {
        CHECK(hil_pcapng_packet(&file, 0, frame, 100, 100) == 0);
    }
    CHECK(hil_pcapng_close(&file) == EFBIG);
    setrlimit(RLIMIT_FSIZE, &old);
    size_t size;
    uint8_t *data = slurp(path, &size);
    CHECK(count(data, size, 6) > 700);
    free(data);
    /* The largest packets. */
    CHECK(hil_pcapng_open(&file, path, 1, "lo", "", "") == 0);
    for (int i = 0; i < 5; i++) {
        CHECK(hil_pcapng_packet(&file, 0, frame, HIL_SNAPLEN, HIL_SNAPLEN) == 0);
    }
    CHECK(hil_pcapng_close(&file) == 0);
    data = slurp(path, &size);
    CHECK(count(data, size, 6) == 5);
    free(data);
    CHECK(hil_pcapng_open(&file, "/nonexistent/x", 1, "lo", "", "") == -1 && errno == ENOENT);
}

static void test_marker(void) {
    uint8_t frame[62] = {0};
    struct hil_marker marker = {.fd = -1, .port = 0x1234, .round = 7, .waiting = 1};
    frame[12] = 0x08;
    frame[14] = 0x45;
    frame[23] = 17;
    /* Bytes of a frame, no text: NOLINTBEGIN(bugprone-not-null-terminated-result) */
    memcpy(frame + 34, "\x12\x34\x12\x34", 4);
    memcpy(frame + 42, "hil-capture mark\x07\0\0\0", 20);
    /* NOLINTEND(bugprone-not-null-terminated-result) */
    /* Exactly as long as the buffer, so that a read beyond is seen. */
    for (size_t length = 0; length < sizeof frame; length++) {
        uint8_t *copy = malloc(length + (length == 0));
        if (copy == NULL) {
            exit(1);
        }
        memcpy(copy, frame, length);
        CHECK(!hil_marker_take(&marker, copy, length));
        free(copy);
    }
    CHECK(marker.waiting == 1 && marker.seen == 0);
    CHECK(hil_marker_take(&marker, frame, sizeof frame));
    CHECK(marker.waiting == 0 && marker.seen == 1);
    CHECK(hil_marker_take(&marker, frame, sizeof frame)); /* one too many does not wrap */
    CHECK(marker.waiting == 0);
    for (size_t at = 12; at < 58; at++) {
        bool matters = at == 12 || at == 13 || at == 14 || at == 23 || (at >= 34 && at < 38) || at >= 42;
        frame[at] ^= 0x40;
        CHECK(hil_marker_take(&marker, frame, sizeof frame) == !matters);
        frame[at] ^= 0x40;
    }
    CHECK(hil_marker_open(&marker) == 0 && marker.port != 0);
    CHECK(hil_marker_send(&marker, false) == 0 && marker.waiting == 1);
    CHECK(hil_marker_send(&marker, true) == 0 && marker.waiting >= 1 && marker.round == 2);
    hil_marker_close(&marker);
}

int main(void) {
    char path[] = "/tmp/hil-capture-test-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    close(fd);
    test_blocks(path);
    test_long_texts(path);
    test_limit(path);
    test_marker();
    unlink(path);
    return failures == 0 ? 0 : 1;
}
