#include "mbedtls_hello.h"

#include <mbedtls/ssl_internal.h>

#include <string.h>

enum { EXT_SNI = 0, EXT_GROUPS = 10, EXT_SIGALGS = 13 };

static const struct hil_hello_edit *pending;
static void (*next_checksum)(mbedtls_ssl_context *, const unsigned char *, size_t);

static size_t u16(const uint8_t *at) {
    return ((size_t)at[0] << 8) | at[1];
}

static void put_u16(uint8_t *at, size_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* Where the extensions' length stands, or 0. */
static size_t extensions_at(const uint8_t *m, size_t len) {
    size_t at = 4 + 2 + 32; /* header, version, random */
    if (len < at + 1 || m[0] != MBEDTLS_SSL_HS_CLIENT_HELLO)
        return 0;
    at += 1u + m[at]; /* session id */
    if (at + 2 > len)
        return 0;
    at += 2 + u16(m + at); /* suites */
    if (at + 1 > len)
        return 0;
    at += 1u + m[at]; /* compression */
    return at + 2 <= len && at + 2 + u16(m + at) == len ? at : 0;
}

static size_t write_sigalgs(uint8_t *out, const struct hil_hello_edit *edit) {
    size_t n = (size_t)edit->sigalg_count * 2;
    put_u16(out, EXT_SIGALGS);
    put_u16(out + 2, n + 2);
    put_u16(out + 4, n);
    for (size_t i = 0; i < (size_t)edit->sigalg_count; i++)
        put_u16(out + 6 + 2 * i, edit->sigalgs[i]);
    return 6 + n;
}

size_t hil_hello_rewrite(uint8_t *m, size_t len, const struct hil_hello_edit *edit) {
    size_t start = extensions_at(m, len);
    if (start == 0)
        return 0;
    size_t in = start + 2, out = in;
    while (in + 4 <= len) {
        size_t type = u16(m + in), size = 4 + u16(m + in + 2);
        if (size > len - in)
            return 0;
        bool drop = (type == EXT_SNI && edit->no_sni) || (type == EXT_GROUPS && edit->no_groups);
        if (type == EXT_SIGALGS && edit->sigalg_count > 0) {
            /* The library offers more than any list of ours; a longer one would run into what follows. */
            if (6 + (size_t)edit->sigalg_count * 2 > in - out + size)
                return 0;
            out += write_sigalgs(m + out, edit);
        } else if (!drop) {
            memmove(m + out, m + in, size);
            out += size;
        }
        in += size;
    }
    put_u16(m + start, out - start - 2);
    size_t body = out - 4;
    m[1] = (uint8_t)(body >> 16);
    put_u16(m + 2, body & 0xFFFF);
    return out;
}

static void on_checksum(mbedtls_ssl_context *ssl, const unsigned char *message, size_t len) {
    ssl->handshake->update_checksum = next_checksum;
    if (message == ssl->out_msg && pending != NULL) {
        size_t edited = hil_hello_rewrite(ssl->out_msg, len, pending);
        if (edited != 0)
            ssl->out_msglen = len = edited;
    }
    pending = NULL;
    next_checksum(ssl, message, len);
}

void hil_mbedtls_edit_hello(mbedtls_ssl_context *ssl, const struct hil_hello_edit *edit) {
    pending = edit;
    next_checksum = ssl->handshake->update_checksum;
    ssl->handshake->update_checksum = on_checksum;
}
