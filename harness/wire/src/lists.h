/* Lists of numbers in events. */
#ifndef HIL_WIRE_LISTS_H
#define HIL_WIRE_LISTS_H

#include "json.h"

static inline void hil_ints16(struct hil_json *j, const char *key, size_t key_n, struct hil_span list) {
    hil_json_sep(j, key, key_n);
    for (size_t i = 0; i + 1 < list.n; i += 2) {
        J_LIT(j, ",");
        hil_json_uint(j, hil_be16(list.p + i));
    }
    J_LIT(j, "]");
}
#define INTS16(j, key, list) hil_ints16((j), ",\"" key "\":[", sizeof(",\"" key "\":[") - 1, (list))

static inline void hil_ints8(struct hil_json *j, const char *key, size_t key_n, struct hil_span list) {
    hil_json_sep(j, key, key_n);
    for (size_t i = 0; i < list.n; i++) {
        J_LIT(j, ",");
        hil_json_uint(j, list.p[i]);
    }
    J_LIT(j, "]");
}
#define INTS8(j, key, list) hil_ints8((j), ",\"" key "\":[", sizeof(",\"" key "\":[") - 1, (list))

static inline void hil_ints(struct hil_json *j, const char *key, size_t key_n, const uint16_t *v, size_t n) {
    hil_json_sep(j, key, key_n);
    for (size_t i = 0; i < n; i++) {
        J_LIT(j, ",");
        hil_json_uint(j, v[i]);
    }
    J_LIT(j, "]");
}
#define INTS(j, key, v, n) hil_ints((j), ",\"" key "\":[", sizeof(",\"" key "\":[") - 1, (v), (n))

static inline void hil_version_key(struct hil_json *j, const char *key, size_t key_n, uint16_t v) {
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    hil_json_sep(j, key, key_n);
    hil_json_hex(j, b, 2);
}
#define VERSION(j, key, v) hil_version_key((j), ",\"" key "\":", sizeof(",\"" key "\":") - 1, (v))

#endif
