#include "netx_pem.h"

#include <string.h>

static const char BEGIN[] = "-----BEGIN ";
static const char END[] = "-----END ";
static const char DASHES[] = "-----";

static int sextet(uint8_t c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Where `word` begins in data[from..len), or len. */
static size_t find(const uint8_t *data, size_t from, size_t len, const char *word) {
    size_t n = strlen(word);
    for (; from + n <= len; from++)
        if (memcmp(data + from, word, n) == 0)
            return from;
    return len;
}

static int decode(const uint8_t *text, size_t len, uint8_t *out, size_t cap) {
    uint32_t bits = 0;
    unsigned have = 0;
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        int value = sextet(text[i]);
        if (text[i] == '=')
            break;
        if (value < 0 && text[i] != '\n' && text[i] != '\r' && text[i] != ' ' && text[i] != '\t')
            return -1;
        if (value < 0)
            continue;
        bits = (bits << 6 | (uint32_t)value) & 0xFFFFFu;
        have += 6;
        if (have >= 8) {
            have -= 8;
            if (used == cap)
                return -1;
            out[used++] = (uint8_t)(bits >> have);
        }
    }
    return used > 0 ? (int)used : -1;
}

static int next_pem(const uint8_t *data, size_t len, size_t *at, uint8_t *out, size_t cap) {
    size_t begin = find(data, *at, len, BEGIN);
    if (begin == len)
        return 0;
    size_t body = find(data, begin + sizeof BEGIN - 1, len, DASHES);
    size_t end = body < len ? find(data, body, len, END) : len;
    if (end == len)
        return -1;
    size_t after = find(data, end + sizeof END - 1, len, DASHES);
    *at = after < len ? after + sizeof DASHES - 1 : len;
    body += sizeof DASHES - 1;
    return body < end ? decode(data + body, end - body, out, cap) : -1;
}

static int next_der(const uint8_t *data, size_t len, size_t *at, uint8_t *out, size_t cap) {
    size_t left = len - *at, head = 2, body;
    const uint8_t *p = data + *at;
    if (left == 0)
        return 0;
    if (left < 2 || p[0] != 0x30)
        return -1;
    body = p[1];
    if (body > 0x80) {
        size_t bytes = body & 0x7Fu;
        if (bytes > 2 || left < 2 + bytes)
            return -1;
        body = 0;
        for (size_t i = 0; i < bytes; i++)
            body = body << 8 | p[2 + i];
        head += bytes;
    } else if (body == 0x80) {
        return -1;
    }
    if (body > left - head || head + body > cap)
        return -1;
    memcpy(out, p, head + body);
    *at += head + body;
    return (int)(head + body);
}

int hil_der_next(struct hil_blob in, size_t *at, uint8_t *out, size_t cap) {
    if (in.data == NULL || *at >= in.len)
        return 0;
    if (in.data[0] == 0x30)
        return next_der(in.data, in.len, at, out, cap);
    int got = next_pem(in.data, in.len, at, out, cap);
    return got == 0 && *at == 0 ? -1 : got; /* neither the one nor the other */
}

/* Tag and length of at most 65,535 bytes, in front of what `out` holds from `room` on. */
static size_t head(uint8_t *out, uint8_t tag, size_t len) {
    size_t n = len < 0x80 ? 2 : len < 0x100 ? 3 : 4;
    out[0] = tag;
    out[1] = (uint8_t)(n == 2 ? len : 0x80u + n - 2);
    if (n == 4)
        out[2] = (uint8_t)(len >> 8);
    if (n > 2)
        out[n - 1] = (uint8_t)len;
    return n;
}

static size_t head_size(size_t len) {
    return len < 0x80 ? 2 : len < 0x100 ? 3 : 4;
}

int hil_der_pkcs8(const uint8_t *key, size_t len, bool rsa, uint8_t *out, size_t cap) {
    static const uint8_t VERSION[] = {0x02, 0x01, 0x00};
    static const uint8_t RSA[] = {0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86,
                                  0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00};
    /* id-ecPublicKey, prime256v1 */
    static const uint8_t EC[] = {0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01,
                                 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07};
    const uint8_t *algorithm = rsa ? RSA : EC;
    size_t algorithm_len = rsa ? sizeof RSA : sizeof EC;
    size_t inner = sizeof VERSION + algorithm_len + head_size(len) + len, at = 0;
    if (len > 0xF000 || head_size(inner) + inner > cap)
        return -1;
    at += head(out, 0x30, inner);
    memcpy(out + at, VERSION, sizeof VERSION);
    at += sizeof VERSION;
    memcpy(out + at, algorithm, algorithm_len);
    at += algorithm_len;
    at += head(out + at, 0x04, len);
    memcpy(out + at, key, len);
    return (int)(at + len);
}
