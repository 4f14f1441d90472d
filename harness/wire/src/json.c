#include "json.h"
#include "utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

bool hil_json_init(struct hil_json *j, int fd, size_t cap) {
    memset(j, 0, sizeof *j);
    j->buf = malloc(cap);
    j->cap = cap;
    j->fd = fd;
    return j->buf != NULL;
}

void hil_json_free(struct hil_json *j) {
    free(j->buf);
    j->buf = NULL;
    j->cap = j->len = 0;
}

void hil_json_flush(struct hil_json *j) {
    size_t done = 0;
    j->written += j->len;
    while (j->fd >= 0 && !j->failed && done < j->len) {
        ssize_t n = write(j->fd, j->buf + done, j->len - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno != EINTR) {
            j->failed = true;
        }
    }
    j->len = 0;
}

/* Room for n more bytes; n is small and constant everywhere. */
static inline void need(struct hil_json *j, size_t n) {
    if (j->cap - j->len < n) {
        hil_json_flush(j);
    }
}

void hil_json_raw(struct hil_json *j, const char *s, size_t n) {
    while (n > 0) {
        need(j, 1);
        size_t room = j->cap - j->len;
        size_t k = n < room ? n : room;
        if (k == 0) {
            return;
        }
        memcpy(j->buf + j->len, s, k);
        j->len += k;
        j->last = s[k - 1];
        s += k;
        n -= k;
    }
}

void hil_json_sep(struct hil_json *j, const char *lit, size_t n) {
    if ((j->last == '{' || j->last == '[') && n > 0 && lit[0] == ',') {
        lit++;
        n--;
    }
    hil_json_raw(j, lit, n);
}

size_t hil_decimal(char *to, uint64_t v) {
    static const char pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243"
        "4445464748495051525354555657585960616263646566676869707172737475767778798081828384858687"
        "888990919293949596979899";
    char tmp[20];
    size_t i = sizeof tmp;
    while (v >= 100) {
        unsigned r = (unsigned)(v % 100) * 2;
        v /= 100;
        tmp[--i] = pairs[r + 1];
        tmp[--i] = pairs[r];
    }
    if (v >= 10) {
        tmp[--i] = pairs[v * 2 + 1];
        tmp[--i] = pairs[v * 2];
    } else {
        tmp[--i] = (char)('0' + v);
    }
    size_t n = sizeof tmp - i;
    memcpy(to, tmp + i, n);
    return n;
}

void hil_json_uint(struct hil_json *j, uint64_t v) {
    need(j, 20);
    j->len += hil_decimal(j->buf + j->len, v);
    j->last = '0';
}

void hil_json_int(struct hil_json *j, int64_t v) {
    if (v < 0) {
        hil_json_raw(j, "-", 1);
        hil_json_uint(j, (uint64_t)0 - (uint64_t)v);
    } else {
        hil_json_uint(j, (uint64_t)v);
    }
}

void hil_json_hex(struct hil_json *j, const uint8_t *p, size_t n) {
    static const char digit[] = "0123456789abcdef";
    hil_json_raw(j, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        need(j, 2);
        j->buf[j->len++] = digit[p[i] >> 4];
        j->buf[j->len++] = digit[p[i] & 15];
    }
    hil_json_raw(j, "\"", 1);
}

static void put_char(struct hil_json *j, const uint8_t *p, size_t k) {
    static const char digit[] = "0123456789abcdef";
    need(j, 6);
    char *o = j->buf + j->len;
    uint8_t c = p[0];
    if (k > 1) {
        memcpy(o, p, k);
        j->len += k;
    } else if (c == '"' || c == '\\') {
        o[0] = '\\';
        o[1] = (char)c;
        j->len += 2;
    } else if (c < 0x20 || c == 0x7f) {
        memcpy(o, "\\u00", sizeof "\\u00" - 1); /* NOLINT(bugprone-not-null-terminated-result) */
        o[4] = digit[c >> 4];
        o[5] = digit[c & 15];
        j->len += 6;
    } else {
        o[0] = (char)c;
        j->len++;
    }
}

void hil_json_text(struct hil_json *j, const uint8_t *p, size_t n, size_t max) {
    hil_json_raw(j, "\"", 1);
    for (size_t chars = 0; n > 0; chars++) {
        if (chars == max) {
            hil_json_raw(j, "\xe2\x80\xa6", 3); /* an ellipsis says that there was more */
            break;
        }
        uint32_t cp = 0;
        size_t k = hil_utf8_step(p, n, &cp);
        if (k == 0) {
            hil_json_raw(j, "\xef\xbf\xbd", 3);
            k = 1;
        } else {
            put_char(j, p, k);
        }
        p += k;
        n -= k;
    }
    hil_json_raw(j, "\"", 1);
}

void hil_json_str(struct hil_json *j, const char *s) {
    hil_json_text(j, (const uint8_t *)s, strlen(s), HIL_JSON_TEXT_MAX);
}
