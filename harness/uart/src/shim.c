/* The shim's line: "@H1 <seq> <ms> <event> [key=value]… *<crc>". The same grammar as
 * harness/device/shimline.py; tests/streams/shim_lines.json holds both to it. */
#include "hil_uart.h"

#include <string.h>

uint16_t hil_uart_crc(const uint8_t *data, size_t len) {
    uint16_t crc = 0xFFFF;
    for (size_t i = 0; i < len; i++) {
        crc = (uint16_t)(crc ^ (uint16_t)(data[i] << 8));
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)((crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

static int hex_value(uint8_t c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1; /* the protocol writes lower case */
}

/* A decimal number of at most 10 digits, then a space. */
static bool decimal(const uint8_t **p, const uint8_t *end, uint64_t *out) {
    const uint8_t *q = *p;
    uint64_t value = 0;
    while (q < end && *q >= '0' && *q <= '9' && q - *p < 10)
        value = value * 10 + (uint64_t)(*q++ - '0');
    if (q == *p || q == end || *q != ' ')
        return false;
    *p = q + 1;
    *out = value;
    return true;
}

static size_t damaged(struct hil_uart_hit *hit, const char *what, const uint8_t *p, size_t len) {
    hit->kind = HIL_UART_DAMAGED;
    hit->what = what;
    hit->text = (struct hil_span){p, len};
    return len;
}

static bool is_key(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/* The words between "@H1 " and the CRC. */
static bool parse_body(const uint8_t *p, const uint8_t *end, struct hil_uart_hit *hit) {
    if (!decimal(&p, end, &hit->seq) || !decimal(&p, end, &hit->ms))
        return false;
    const uint8_t *word = p;
    while (p < end && ((*p >= 'a' && *p <= 'z') || *p == '_'))
        p++;
    if (p == word || p - word > 16 || p == end || *p != ' ')
        return false;
    hit->event = (struct hil_span){word, (size_t)(p - word)};
    hit->n_fields = 0;
    p++;
    while (p < end) { /* every key=value ends in a space: the one before '*' at the latest */
        const uint8_t *key = p;
        while (p < end && is_key(*p))
            p++;
        if (p == key || p - key > 32 || p == end || *p != '=')
            return false;
        struct hil_span k = {key, (size_t)(p - key)};
        const uint8_t *value = ++p;
        while (p < end && *p != ' ')
            p++;
        if (p == end)
            return false;
        if (hit->n_fields < HIL_UART_FIELDS)
            hit->fields[hit->n_fields++] = (struct hil_uart_field){k, {value, (size_t)(p - value)}};
        p++;
    }
    return true;
}

size_t hil_shim_parse(const uint8_t *p, size_t n, bool complete, struct hil_uart_hit *hit) {
    size_t limit = n < HIL_UART_SHIM ? n : HIL_UART_SHIM;
    for (size_t i = 4; i < limit; i++) {
        if (p[i] == '@' && n - i >= 4 && memcmp(p + i, "@H1 ", 4) == 0)
            return damaged(hit, "cut", p, i); /* the next line began before this one ended */
        if (p[i] < 0x20 || p[i] > 0x7E)
            return damaged(hit, "cut", p, i);
        if (p[i] != '*' || p[i - 1] != ' ')
            continue;
        if (limit - i < 5)
            break;
        unsigned crc = 0;
        for (size_t k = 1; k <= 4; k++) {
            int digit = hex_value(p[i + k]);
            if (digit < 0)
                return damaged(hit, "crc", p, i + k);
            crc = crc << 4 | (unsigned)digit;
        }
        if (crc != hil_uart_crc(p, i))
            return damaged(hit, "crc", p, i + 5);
        hit->kind = HIL_UART_EVENT;
        hit->text = (struct hil_span){p, i + 5};
        if (!parse_body(p + 4, p + i, hit))
            return damaged(hit, "syntax", p, i + 5);
        return i + 5;
    }
    (void)complete; /* the caller looks ahead far enough that a shorter rest is the end of the line */
    return damaged(hit, n > HIL_UART_SHIM ? "long" : "cut", p, limit < 4 ? 4 : limit);
}
