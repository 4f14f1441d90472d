/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef HIL_WIRE_UTF8_H
#define HIL_WIRE_UTF8_H

#include "bytes.h"

/* Length of the character at p (1..4) and its code point, or 0 when it is not well formed or cut off. */
size_t hil_utf8_step(const uint8_t *p, size_t n, uint32_t *cp);

enum hil_utf8 {
    HIL_UTF8_OK = 0,
    HIL_UTF8_BAD = 1,         /* ill-formed, surrogates included */
    HIL_UTF8_NUL = 2,         /* holds U+0000 */
    HIL_UTF8_DISCOURAGED = 4, /* control characters or non-characters: MQTT says SHOULD NOT */
};
/* Bits of enum hil_utf8 that hold for the string. */
unsigned hil_utf8_check(struct hil_span s);

#endif
