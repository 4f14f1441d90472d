/* Command side of the shim: SET, PUT, RUN, RESET from a line that may lose bytes and carry foreign ones.
 *
 * A line with a checksum is accepted wherever on the line its command word begins, so noise before it, or a
 * lost line end that glued two commands together, costs at most the damaged command; the host repeats what
 * stays unanswered. A line without a checksum (a person at a terminal) must begin with its command word. Once
 * a checksum was seen, SET and PUT must have one: a line whose checksum was damaged beyond recognition must
 * not pass for one that never had any.
 */
#include "hil/shim.h"

#include "format.h"
#include "hil/board.h"

#include <stdbool.h>
#include <string.h>

#define COMMAND_MAX  640u /* bytes of one command line */
#define PUT_PAUSE_MS 1000u
#define SLICE_MS     250u /* longest wait without a watchdog kick */

static char line[COMMAND_MAX + 1];
static size_t line_len;
static bool line_overflow;
static bool strict;       /* a checksum was seen since boot */
static uint8_t chunk[64]; /* read from the UART, not yet looked at */
static size_t chunk_at, chunk_len;

static struct {
    uint8_t *to; /* NULL: no PUT under way */
    size_t len, have;
    uint32_t last_ms;
    char name[16];
} put;

enum word { WORD_NONE, WORD_SET, WORD_PUT, WORD_RUN, WORD_RESET };
static const char *const WORDS[] = {"?", "SET", "PUT", "RUN", "RESET"};

static enum word word_at(const char *text, size_t len) {
    for (enum word word = WORD_SET; word <= WORD_RESET; word++) {
        size_t n = strlen(WORDS[word]);
        if (len >= n && memcmp(text, WORDS[word], n) == 0 && (len == n || text[n] == ' '))
            return word;
    }
    return WORD_NONE;
}

/* Length of the line before " *crc4", or `len` when it carries none; `crc` is set when it does. */
static size_t body_length(const char *text, size_t len, int *crc) {
    *crc = -1;
    if (len < 6 || text[len - 6] != ' ' || text[len - 5] != '*')
        return len;
    int value = 0;
    for (size_t i = len - 4; i < len; i++) {
        int digit = hil_hex_digit(text[i]);
        if (digit < 0)
            return len;
        value = value * 16 + digit;
    }
    *crc = value;
    return len - 5; /* keeps the space: the checksum covers it */
}

static void refuse(enum word word, const char *reason) {
    hil_event("err", "cmd=%s reason=%s", WORDS[word], reason);
}

/* Splits "word first rest" in place; `rest` is everything after the second space. */
static bool split(char *text, char **first, char **rest) {
    char *at = strchr(text, ' ');
    if (at == NULL || at[1] == '\0' || at[1] == ' ')
        return false;
    *first = at + 1;
    char *space = strchr(*first, ' ');
    if (space == NULL) {
        *rest = *first + strlen(*first);
    } else {
        *space = '\0';
        *rest = space + 1;
    }
    return true;
}

static void do_set(const struct hil_commands *commands, char *text) {
    char *key, *value;
    if (!split(text, &key, &value)) {
        refuse(WORD_SET, "syntax");
        return;
    }
    long len = hil_unescape(value, strlen(value));
    const char *reason = "bad_value";
    if (len >= 0) {
        value[len] = '\0';
        /* A NUL inside would silently cut the value short. */
        reason = strlen(value) == (size_t)len ? commands->set(commands->ctx, key, value) : "bad_value";
    }
    if (reason == NULL)
        hil_event("ok", "cmd=SET key=%s", key);
    else
        hil_event("err", "cmd=SET key=%s reason=%s", key, reason);
}

static void put_finish(const struct hil_commands *commands) {
    uint32_t crc = hil_crc32(0, put.to, put.len);
    put.to[put.len] = 0;
    put.to = NULL;
    commands->put_done(commands->ctx, put.name, put.len);
    hil_event("put", "name=%s len=%lu crc32=%08lx", put.name, (unsigned long)put.len, (unsigned long)crc);
}

static void do_put(const struct hil_commands *commands, char *text) {
    char *name, *number;
    size_t len = 0;
    if (!split(text, &name, &number) || *number == '\0' || strlen(name) >= sizeof put.name) {
        refuse(WORD_PUT, "syntax");
        return;
    }
    for (; *number >= '0' && *number <= '9' && len < 100000000u; number++)
        len = len * 10 + (size_t)(*number - '0');
    const char *reason = "syntax";
    uint8_t *to = *number == '\0' ? commands->put(commands->ctx, name, len, &reason) : NULL;
    if (to == NULL) {
        hil_event("err", "cmd=PUT name=%s reason=%s", name, reason);
        return;
    }
    put.to = to;
    put.len = len;
    put.have = 0;
    put.last_ms = hil_board_ms();
    memcpy(put.name, name, strlen(name) + 1);
    hil_event("ok", "cmd=PUT name=%s", put.name);
    if (len == 0)
        put_finish(commands);
}

/* Carries out one command; true for RUN. `text` begins with its word, has no checksum and no trailing space.
 */
static bool execute(const struct hil_commands *commands, enum word word, char *text) {
    switch (word) {
    case WORD_SET:
        do_set(commands, text);
        return false;
    case WORD_PUT:
        do_put(commands, text);
        return false;
    case WORD_RUN:
        hil_event("ok", "cmd=RUN");
        return true;
    case WORD_RESET:
        hil_event("ok", "cmd=RESET");
        hil_board_reset();
    default:
        refuse(WORD_NONE, "unknown");
        return false;
    }
}

/* A whole line has come. True for RUN. */
static bool line_done(const struct hil_commands *commands) {
    size_t len = line_len, start = 0;
    int crc;
    bool overflow = line_overflow;
    line_len = 0;
    line_overflow = false;
    if (overflow) {
        refuse(word_at(line, len), "too_long");
        return false;
    }
    line[len] = '\0';
    while (start < len && (line[start] <= ' ' || line[start] == 0x7F))
        start++;
    if (start == len)
        return false; /* an empty line: a person's Enter */
    size_t body = body_length(line, len, &crc);
    if (crc < 0) {
        /* A NUL would hide the rest from the string functions. */
        bool text = memchr(line + start, '\0', len - start) == NULL;
        enum word word = text ? word_at(line + start, len - start) : WORD_NONE;
        if (strict && (word == WORD_SET || word == WORD_PUT)) {
            refuse(word, "crc");
            return false;
        }
        return execute(commands, word, line + start);
    }
    enum word damaged = WORD_NONE;
    for (size_t at = start; at < body; at++) {
        enum word word = word_at(line + at, body - at);
        if (word == WORD_NONE)
            continue;
        if (hil_crc16(0xFFFF, line + at, body - at) == crc && memchr(line + at, '\0', body - at) == NULL) {
            line[body - 1] = '\0';
            strict = true;
            return execute(commands, word, line + at);
        }
        damaged = word;
    }
    refuse(damaged, damaged == WORD_NONE ? "unknown" : "crc");
    return false;
}

/* Looks at what is in the chunk; true as soon as RUN was there, with the rest kept. */
static bool consume(const struct hil_commands *commands) {
    while (chunk_at < chunk_len) {
        if (put.to != NULL) {
            size_t n = chunk_len - chunk_at, left = put.len - put.have;
            n = n < left ? n : left;
            memcpy(put.to + put.have, chunk + chunk_at, n);
            chunk_at += n;
            put.have += n;
            put.last_ms = hil_board_ms();
            if (put.have == put.len)
                put_finish(commands);
            continue;
        }
        char c = (char)chunk[chunk_at++];
        if (c == '\n') {
            if (line_done(commands))
                return true;
        } else if (c == '\r') {
            continue;
        } else if (line_len < COMMAND_MAX) {
            line[line_len++] = c;
        } else {
            line_overflow = true;
        }
    }
    return false;
}

int hil_command_poll(const struct hil_commands *commands, uint32_t timeout_ms) {
    uint32_t start = hil_board_ms();
    for (;;) {
        hil_board_watchdog_kick();
        if (consume(commands))
            return 1;
        uint32_t now = hil_board_ms(), wait = SLICE_MS;
        if (put.to != NULL && now - put.last_ms >= PUT_PAUSE_MS) {
            put.to = NULL;
            hil_event("err", "cmd=PUT name=%s reason=timeout", put.name);
        }
        if (now - start >= timeout_ms)
            return 0;
        if (timeout_ms - (now - start) < wait)
            wait = timeout_ms - (now - start);
        int got = hil_board_uart_read(chunk, sizeof chunk, wait);
        if (got < 0)
            return got;
        chunk_at = 0;
        chunk_len = (size_t)got;
    }
}
