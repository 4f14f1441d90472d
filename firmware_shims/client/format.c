/* Bounded text building, see format.h. */
#include "format.h"

#include <string.h>

static const char HEX[] = "0123456789abcdef";

void hil_text_bytes(struct hil_text *text, const char *data, size_t len) {
    if (text->full || len > text->cap - text->len) {
        text->full = true;
        return;
    }
    memcpy(text->data + text->len, data, len);
    text->len += len;
}

void hil_text_string(struct hil_text *text, const char *string) {
    hil_text_bytes(text, string, strlen(string));
}

void hil_text_number(struct hil_text *text, unsigned long value, unsigned base, unsigned width) {
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = HEX[value % base];
        value /= base;
    } while (value != 0 && at > 0);
    while (at > 0 && sizeof digits - at < width)
        digits[--at] = '0';
    hil_text_bytes(text, digits + at, sizeof digits - at);
}

static void escaped(struct hil_text *text, const char *value) {
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (c > 0x20 && c < 0x7F && c != '%') {
            hil_text_bytes(text, value, 1);
        } else {
            char code[3] = {'%', HEX[c >> 4], HEX[c & 15]};
            hil_text_bytes(text, code, sizeof code);
        }
    }
}

static void decimal(struct hil_text *text, long value) {
    if (value < 0) {
        hil_text_bytes(text, "-", 1);
        hil_text_number(text, 0UL - (unsigned long)value, 10, 0);
    } else {
        hil_text_number(text, (unsigned long)value, 10, 0);
    }
}

void hil_text_format(struct hil_text *text, const char *fmt, va_list args) {
    for (; *fmt != '\0'; fmt++) {
        if (*fmt != '%') {
            hil_text_bytes(text, fmt, 1);
            continue;
        }
        unsigned width = 0;
        bool wide = false;
        for (fmt++; *fmt >= '0' && *fmt <= '9'; fmt++)
            width = width * 10 + (unsigned)(*fmt - '0');
        if (*fmt == 'l') {
            wide = true;
            fmt++;
        }
        switch (*fmt) {
        case 's': {
            const char *value = va_arg(args, const char *);
            escaped(text, value != NULL ? value : "");
            break;
        }
        case 'd':
            decimal(text, wide ? va_arg(args, long) : va_arg(args, int));
            break;
        case 'u':
            hil_text_number(text, wide ? va_arg(args, unsigned long) : va_arg(args, unsigned), 10, width);
            break;
        case 'x':
            hil_text_number(text, wide ? va_arg(args, unsigned long) : va_arg(args, unsigned), 16, width);
            break;
        case 'c': {
            char one[2] = {(char)va_arg(args, int), '\0'};
            escaped(text, one);
            break;
        }
        case '%':
            hil_text_bytes(text, "%", 1);
            break;
        default: /* not in the subset: stop, the argument list cannot be followed any more */
            return;
        }
    }
}

int hil_hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

long hil_unescape(char *text, size_t len) {
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            text[out++] = text[i];
            continue;
        }
        if (len - i < 3)
            return -1;
        int high = hil_hex_digit(text[i + 1]), low = hil_hex_digit(text[i + 2]);
        if (high < 0 || low < 0)
            return -1;
        text[out++] = (char)(high * 16 + low);
        i += 2;
    }
    return (long)out;
}
