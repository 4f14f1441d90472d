/* hil-uart: what matters in a UART log.
 *
 * A log is hostile: binary bytes, escape sequences, megabytes without a newline, 10 GB of flood. The scanner
 * does no I/O and allocates nothing: bytes go in (pointer, length), hits come out through a callback. Memory
 * is the size of `struct hil_uart`, whatever the input.
 *
 *     static struct hil_uart u;
 *     hil_uart_init(&u, on_hit, ctx);
 *     while ((n = read(fd, buf, sizeof buf)) > 0) hil_uart_feed(&u, buf, (size_t)n);
 *     hil_uart_end(&u);
 *
 * What it finds:
 *  - shim lines (docs/shim-protocol.md) anywhere in a line, CRC checked; damaged ones and gaps in `seq`;
 *  - numbers that may be result codes, in the forms people print (0x10005, -0x7780, 65541, rc=5,
 * error:0A000086:…). It does not know what a number means: that is a table's business
 * (harness/diagnosis/codes);
 *  - symbolic names (NX_…, MBEDTLS_ERR_…, ECONNREFUSED);
 *  - TLS alerts as stacks print them, with the direction;
 *  - lines of text that matter: faults, asserts, watchdog, memory, boot, banners of stacks with their
 * version, errors.
 *
 * A line longer than HIL_UART_WINDOW is scanned in overlapping windows; a hit needs at most HIL_UART_AHEAD
 * bytes. Every span in a hit points into the caller's or the scanner's buffer and is valid only during the
 * callback.
 */
#ifndef HIL_UART_H
#define HIL_UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HIL_UART_WINDOW 8192
#define HIL_UART_AHEAD  512
#define HIL_UART_BACK   64
#define HIL_UART_FIELDS                                                                                      \
    32                     /* of a shim line; a line of 240 bytes cannot hold many more that are meaningful  \
                            */
#define HIL_UART_SHIM  240 /* longest shim line, marker to CRC */
#define HIL_UART_CANDS 32  /* number candidates of one window */

enum hil_uart_kind {
    HIL_UART_EVENT,   /* a shim line with a good CRC */
    HIL_UART_DAMAGED, /* a shim line that is cut, too long, or has a wrong CRC */
    HIL_UART_GAP,     /* sequence numbers missing before this event */
    HIL_UART_NUMBER,
    HIL_UART_NAME,
    HIL_UART_ALERT,
    HIL_UART_TEXT,
    HIL_UART_KINDS
};

struct hil_span {
    const uint8_t *at;
    size_t len;
};

struct hil_uart_field {
    struct hil_span key;
    struct hil_span value; /* still with %XX */
};

struct hil_uart_hit {
    enum hil_uart_kind kind;
    uint64_t line; /* 1-based */
    bool has_t;
    double t;             /* seconds: of the epoch (ISO stamp), of the day (clock) or since boot ([ 1.234]) */
    struct hil_span text; /* the line, or the part around the hit */

    /* EVENT */
    struct hil_span event;
    uint64_t seq, ms;
    size_t n_fields;
    struct hil_uart_field fields[HIL_UART_FIELDS];

    /* DAMAGED: "crc", "cut", "long", "syntax". TEXT: "fault", "assert", "watchdog", "panic", "memory",
     * "boot", "banner", "error", "milestone", "registers", "at", "note" (the bench's own lines, which begin
     * with
     * "-- hil: "). */
    const char *what;

    /* GAP: first missing and first seen. ALERT: level and code (-1 unknown). NUMBER: value. */
    uint64_t from, to;
    int level, code;
    int64_t value;

    /* NUMBER: "hex", "neg_hex", "dec", "neg_dec", "openssl", "verify", "at", "wind", "connack", "suback".
     * ALERT: "rx", "tx" or "". */
    const char *form;
    struct hil_span token;   /* NUMBER, NAME: as printed. TEXT/banner: the stack's name */
    struct hil_span context; /* NUMBER: what stands before it, at most 48 bytes */
    struct hil_span api;     /* NUMBER: the last function-like word before it, or empty */
    struct hil_span version; /* TEXT/banner */
};

typedef void (*hil_uart_sink)(void *ctx, const struct hil_uart_hit *hit);

struct hil_uart_cand {
    struct hil_uart_hit hit;
    size_t at;
    bool sure;
};

struct hil_uart {
    hil_uart_sink sink;
    void *ctx;
    uint64_t line, bytes, skipped, binary, longest, this_line;
    bool has_t;
    double t;
    bool seq_known;
    uint64_t seq_next;
    bool continued; /* the buffer holds the tail of a window of the same line */
    size_t skip;    /* of that tail, bytes already scanned */
    size_t len;
    struct hil_uart_cand cands[HIL_UART_CANDS];
    size_t n_cands;
    uint8_t buf[HIL_UART_WINDOW];
};

void hil_uart_init(struct hil_uart *u, hil_uart_sink sink, void *ctx);
void hil_uart_feed(struct hil_uart *u, const uint8_t *data, size_t len);
/* Bytes that are not looked at: only their lines are counted. For the middle of a huge log. */
void hil_uart_skip(struct hil_uart *u, const uint8_t *data, size_t len);
void hil_uart_end(
    struct hil_uart *u); /* scans an unfinished last line; `u->line` is then the number of lines */

/* CRC-16/CCITT-FALSE, as shim lines carry it. */
uint16_t hil_uart_crc(const uint8_t *data, size_t len);

/* One shim line. `p` starts at "@H1 ". Fills `hit` (EVENT or DAMAGED); returns how many bytes it took (at
 * least 4). `complete`: no more bytes of this line will come. */
size_t hil_shim_parse(const uint8_t *p, size_t n, bool complete, struct hil_uart_hit *hit);

/* A time stamp at the start of a line; 0 when there is none, else its length with the separator. */
size_t hil_uart_stamp(const uint8_t *p, size_t n, double *t);

/* Words. Flags of a lower-case word, 0 when it means nothing. */
enum {
    HIL_W_NUM = 1,   /* a number after it is a result code */
    HIL_W_ERR = 2,   /* the line reports something going wrong */
    HIL_W_FAULT = 4, /* CPU fault */
    HIL_W_ASSERT = 8,
    HIL_W_WDG = 16,
    HIL_W_PANIC = 32,
    HIL_W_MEM = 64,
    HIL_W_BOOT = 128,
    HIL_W_BANNER = 256,
    HIL_W_MILE = 512,
    HIL_W_ALERT = 1024,
    HIL_W_CONNACK = 2048,
    HIL_W_REG = 4096,    /* a CPU register, when a hexadecimal number follows */
    HIL_W_OFKIND = 8192, /* "fault": counts after hard, bus, usage, … */
    HIL_W_CALL = 32768,  /* a panic when it is called: abort() */
    HIL_W_AT = 16384,    /* an AT module\'s command or answer: AT+S.…, -S.… */
};
unsigned hil_uart_word(const uint8_t *p, size_t n);
bool hil_uart_is_name(const uint8_t *p, size_t n); /* a symbol of a known library */

/* Alerts of a line. Returns how many; `end` is where the last one ended. */
struct hil_alert {
    const char *direction;
    int level, code;
    size_t from, to;
};
size_t hil_uart_alerts(const uint8_t *p, size_t n, struct hil_alert *out, size_t max);

/* JSON lines with bounded output: identical hits are printed 8 times, then counted; see src/emit.c. */
struct hil_emit;
size_t hil_emit_size(void);
void hil_emit_init(struct hil_emit *e, void (*write)(void *, const char *, size_t), void *ctx);
void hil_emit_hit(void *emit, const struct hil_uart_hit *hit); /* a hil_uart_sink */
void hil_emit_end(struct hil_emit *e, const struct hil_uart *u);

#endif
