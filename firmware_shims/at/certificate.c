/* Subject key identifier and common name, found without a buffer for the certificate; see hil/at.h. */
#include "hil/at.h"

#include <string.h>

static const char BEGIN[] = "-----BEGIN ", END[] = "-----END ", DASHES[] = "-----";

/* Where `word` is in [at, len), or len. */
static size_t find(struct hil_blob blob, size_t at, const char *word) {
    size_t n = strlen(word);
    for (; blob.len >= n && at <= blob.len - n; at++)
        if (memcmp(blob.data + at, word, n) == 0)
            return at;
    return blob.len;
}

bool hil_at_next_certificate(struct hil_blob blob, size_t *at, struct hil_blob *one) {
    if (blob.data == NULL || *at >= blob.len)
        return false;
    size_t begin = find(blob, *at, BEGIN);
    if (begin == blob.len) {
        bool first = *at == 0; /* DER, or nothing the module will know: it is to say so */
        *one = blob;
        *at = blob.len;
        return first;
    }
    size_t end = find(blob, begin, END);
    end = end < blob.len ? find(blob, end + sizeof END - 1, DASHES) : blob.len;
    end = end < blob.len ? end + sizeof DASHES - 1 : blob.len;
    if (end < blob.len && blob.data[end] == '\r')
        end++;
    if (end < blob.len && blob.data[end] == '\n')
        end++;
    *one = (struct hil_blob){blob.data + begin, end - begin};
    *at = end;
    return true;
}

/* Bytes of DER, or of the base64 between the lines of PEM. */
struct reader {
    const uint8_t *at, *end;
    uint32_t bits;
    unsigned have;
    bool pem;
};

static struct reader reader_of(struct hil_blob one) {
    struct reader r = {.at = one.data, .end = one.data + one.len};
    size_t begin = find(one, 0, BEGIN);
    if (begin < one.len) {
        size_t body = find(one, begin + sizeof BEGIN - 1, "\n");
        r.pem = true;
        r.at += body;
    }
    return r;
}

static int sextet(uint8_t c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The next byte, -1 at the end. */
static int next(struct reader *r) {
    if (!r->pem)
        return r->at < r->end ? *r->at++ : -1;
    while (r->have < 8) {
        if (r->at >= r->end || *r->at == '-' || *r->at == '=')
            return -1;
        int six = sextet(*r->at++);
        if (six < 0)
            continue;
        r->bits = (r->bits << 6 | (uint32_t)six) & 0xFFFFu;
        r->have += 6;
    }
    r->have -= 8;
    return (int)(r->bits >> r->have & 0xFFu);
}

/* The value behind an object identifier 2.5.x.y: inside the OCTET STRING of an extension, or a string. */
static size_t value_of(struct hil_blob one, uint8_t arc, uint8_t leaf, uint8_t *out, size_t cap) {
    if (one.data == NULL)
        return 0;
    struct reader r = reader_of(one);
    uint64_t window = 0;
    const uint64_t want = 0x0603550000u | (uint64_t)arc << 8 | leaf;
    int c;
    while ((c = next(&r)) >= 0) {
        window = (window << 8 | (uint64_t)c) & 0xFFFFFFFFFFu;
        if (window != want)
            continue;
        int tag = next(&r), len = next(&r);
        if (tag == 0x01 && len == 1) { /* critical */
            (void)next(&r);
            tag = next(&r);
            len = next(&r);
        }
        if (arc == 0x1D) { /* an extension's value is DER in an OCTET STRING */
            if (tag != 0x04)
                return 0;
            tag = next(&r);
            len = next(&r);
            if (tag != 0x04)
                return 0;
        }
        if (len <= 0 || len >= 0x80 || (size_t)len > cap)
            return 0;
        for (int i = 0; i < len; i++) {
            if ((c = next(&r)) < 0)
                return 0;
            out[i] = (uint8_t)c;
        }
        return (size_t)len;
    }
    return 0;
}

size_t hil_at_key_identifier(struct hil_blob certificate, uint8_t *out, size_t cap) {
    return value_of(certificate, 0x1D, 0x0E, out, cap);
}

size_t hil_at_common_name(struct hil_blob certificate, uint8_t *out, size_t cap) {
    return value_of(certificate, 0x04, 0x03, out, cap);
}
