/* TLS alerts as stacks print them, with the direction where the words say it. */
#include "hil_uart.h"

#include <string.h>

/* First place of `what` in p[from, n), or n. Case of ASCII letters is ignored. */
static size_t find(const uint8_t *p, size_t n, size_t from, const char *what) {
    size_t len = strlen(what);
    for (size_t i = from; i + len <= n; i++) {
        size_t k = 0;
        while (k < len && (p[i + k] | 0x20) == (uint8_t)(what[k] | 0x20))
            k++;
        if (k == len)
            return i;
    }
    return n;
}

/* "40", "0x28", "-1" at `at`; returns the end, or `at` when there is no number. */
static size_t number(const uint8_t *p, size_t n, size_t at, int *out) {
    if (at >= n)
        return at;
    size_t i = at;
    bool minus = i < n && p[i] == '-';
    int value = 0, base = 10;
    if (minus)
        i++;
    if (n - i > 2 && p[i] == '0' && (p[i + 1] | 0x20) == 'x') {
        base = 16;
        i += 2;
    }
    size_t start = i;
    for (; i < n && i - start < 5; i++) {
        int digit = p[i] >= '0' && p[i] <= '9'                     ? p[i] - '0'
                    : (p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f' ? (p[i] | 0x20) - 'a' + 10
                                                                   : 99;
        if (digit >= base)
            break;
        value = value * base + digit;
    }
    if (i == start)
        return at;
    *out = minus ? -value : value;
    return i;
}

static size_t skip(const uint8_t *p, size_t n, size_t at, const char *set) {
    while (at < n && p[at] != 0 && strchr(set, p[at]))
        at++;
    return at;
}

static bool put(struct hil_alert *out, size_t max, size_t *count, const char *direction, int level, int code,
                size_t from, size_t to) {
    if (*count >= max || code < -1 || code > 255)
        return false;
    out[(*count)++] = (struct hil_alert){direction, level, code, from, to};
    return true;
}

/* "rx level 2 code 40" */
static void history(const uint8_t *p, size_t n, const char *words, const char *direction,
                    struct hil_alert *out, size_t max, size_t *count) {
    size_t at = find(p, n, 0, words);
    int level = -1, code = -1;
    if (at == n)
        return;
    size_t i = number(p, n, at + strlen(words), &level);
    size_t c = find(p, n, i, " code ");
    if (c == n || c != i)
        return;
    size_t end = number(p, n, c + 6, &code);
    put(out, max, count, direction, level, code, at, end);
}

/* Who sent it, from the words right around: "received alert 40", "alert 48 sent". */
static const char *direction_near(const uint8_t *p, size_t n, size_t at, size_t end) {
    size_t from = at > 24 ? at - 24 : 0, to = n - end > 16 ? end + 16 : n;
    const uint8_t *q = p + from;
    size_t len = to - from;
    if (find(q, len, 0, "receiv") != len || find(q, len, 0, "recv") != len || find(q, len, 0, "got ") != len)
        return "rx";
    if (find(q, len, 0, "sent") != len || find(q, len, 0, "send") != len)
        return "tx";
    return "";
}

static const struct {
    const char *words;
    const char *direction;
} forms[] = {
    {"alert message, type: [", "rx"}, /* mbedTLS: got an alert message, type: [2:40] */
    {"fatal alert message (msg ", "rx"},
    {"send alert level=", "tx"}, /* mbedTLS: send alert level=2 message=48 */
    {"alert number ", "rx"},     /* OpenSSL: SSL alert number 40 */
    {"received alert [", "rx"},  /* GnuTLS */
};

size_t hil_uart_alerts(const uint8_t *p, size_t n, struct hil_alert *out, size_t max) {
    size_t count = 0;
    history(p, n, "rx level ", "rx", out, max, &count);
    history(p, n, "tx level ", "tx", out, max, &count);
    if (count || find(p, n, 0, "alert history") != n)
        return count;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        size_t at = find(p, n, 0, forms[f].words);
        if (at == n)
            continue;
        int first = -1, second = -1;
        size_t start = at + strlen(forms[f].words);
        size_t i = number(p, n, start, &first);
        if (i == start)
            continue;
        size_t end = i;
        if (i < n && (p[i] == ':' || p[i] == ' ')) {
            size_t j = i + 1;
            if (n - j > 8 && memcmp(p + j, "message=", 8) == 0)
                j += 8;
            else if (p[i] == ' ')
                j = i; /* a space and no "message=": one number only */
            if (j > i)
                end = number(p, n, j, &second);
        }
        if (second >= 0)
            put(out, max, &count, forms[f].direction, first, second, at, end);
        else
            put(out, max, &count, forms[f].direction, -1, first, at, end);
        return count;
    }
    /* Anything else: "alert" and a number soon after; "level" before it makes it the level. */
    int level = -1;
    for (size_t at = find(p, n, 0, "alert"); at < n; at = find(p, n, at + 5, "alert")) {
        size_t i = at + 5, limit = i + 24 < n ? i + 24 : n;
        bool is_level = false;
        while (i < limit) {
            size_t word = i;
            i = skip(p, limit, i, " :=([#,_");
            if (find(p, limit, i, "level") == i) {
                is_level = true;
                i += 5;
                continue;
            }
            int value = -1;
            size_t end = number(p, n, i, &value);
            bool whole = end == n || !((p[end] | 0x20) >= 'a' && (p[end] | 0x20) <= 'z');
            if (end > i && whole) {
                if (value == 21 && find(p, at, at > 12 ? at - 12 : 0, "type") != at)
                    ; /* "Content Type: Alert (21)": the record type */
                else if (is_level)
                    level = value;
                else if (put(out, max, &count, direction_near(p, n, at, end), level, value, at, end))
                    return count;
                break;
            }
            while (i < limit && (p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'z')
                i++;
            if (i == word)
                break; /* something that is neither a word nor a number */
        }
    }
    return count;
}
