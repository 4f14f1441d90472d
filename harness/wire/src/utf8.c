#include "utf8.h"

size_t hil_utf8_step(const uint8_t *p, size_t n, uint32_t *cp) {
    if (n == 0) {
        return 0;
    }
    uint8_t c = p[0];
    if (c < 0x80) {
        *cp = c;
        return 1;
    }
    size_t k = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < 0xc2 || c > 0xf4 || n < k) {
        return 0;
    }
    uint32_t v = c & (0xffU >> (k + 1));
    for (size_t i = 1; i < k; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        v = v << 6 | (p[i] & 0x3fU);
    }
    if (v < least[k] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff)) {
        return 0;
    }
    *cp = v;
    return k;
}

unsigned hil_utf8_check(struct hil_span s) {
    unsigned bits = 0;
    while (s.n > 0) {
        uint32_t cp = 0;
        size_t k = hil_utf8_step(s.p, s.n, &cp);
        if (k == 0) {
            return bits | HIL_UTF8_BAD;
        }
        if (cp == 0) {
            bits |= HIL_UTF8_NUL;
        } else if (cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || (cp & 0xfffe) == 0xfffe ||
                   (cp >= 0xfdd0 && cp <= 0xfdef)) {
            bits |= HIL_UTF8_DISCOURAGED;
        }
        s.p += k;
        s.n -= k;
    }
    return bits;
}
