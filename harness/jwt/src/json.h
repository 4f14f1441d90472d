/* Strict JSON (RFC 8259), only as far as a token's header and claims need it: one object, its outer members
 * handed out one after the other. Names are unique, text is UTF-8, nesting is bounded. No allocation.
 */
#ifndef HIL_JWT_JSON_H
#define HIL_JWT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hil_json_kind { HIL_JSON_STRING, HIL_JSON_NUMBER, HIL_JSON_OTHER, HIL_JSON_ARRAY };

struct hil_json_member {
    char name[32]; /* as it is in the text, cut; names with escapes are refused */
    enum hil_json_kind kind;
    const uint8_t
        *value; /* a string's contents without quotes and with escapes as they stand; a number's text */
    size_t n;
};

/* Calls `each` for every outer member. NULL when all is well, else what is wrong (static text). */
const char *hil_json_object(const uint8_t *text, size_t n,
                            void (*each)(void *context, const struct hil_json_member *member), void *context);

/* A NumericDate (RFC 7519 2): seconds, a fraction is cut off. False when it is not between 0 and 2^53. */
bool hil_json_seconds(const struct hil_json_member *member, int64_t *seconds);

#endif
