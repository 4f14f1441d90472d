/* A JSON writer with one fixed buffer: lines are written in pieces and flushed when the buffer is full, so no
 * event can need more memory than the buffer. Keys are string literals with their comma, made by the J_*
 * macros; the comma is dropped after `{` and `[`. Strings are escaped, bytes that are not UTF-8 become
 * U+FFFD, and their length is bounded. A write error sets `failed` and everything after it is dropped. */
#ifndef HIL_WIRE_JSON_H
#define HIL_WIRE_JSON_H

#include "bytes.h"

#define HIL_JSON_TEXT_MAX 256U

struct hil_json {
    char *buf;
    size_t len, cap;
    int fd; /* -1: count and drop, for the fuzz targets */
    char last;
    bool failed;
    uint64_t written;
};

bool hil_json_init(struct hil_json *j, int fd, size_t cap);
void hil_json_free(struct hil_json *j);
void hil_json_flush(struct hil_json *j);
void hil_json_raw(struct hil_json *j, const char *s, size_t n);
/* `lit` starts with the comma that separates it from what is before it. */
void hil_json_sep(struct hil_json *j, const char *lit, size_t n);
void hil_json_uint(struct hil_json *j, uint64_t v);
void hil_json_int(struct hil_json *j, int64_t v);
void hil_json_hex(struct hil_json *j, const uint8_t *p, size_t n);
/* Quoted; at most `max` characters. */
void hil_json_text(struct hil_json *j, const uint8_t *p, size_t n, size_t max);
void hil_json_str(struct hil_json *j, const char *s);
/* Decimal digits of v at `to` (20 bytes of room); gives their number. */
size_t hil_decimal(char *to, uint64_t v);

#define J_LIT(j, lit)        hil_json_sep((j), lit, sizeof(lit) - 1)
#define J_KEY(j, key)        J_LIT(j, ",\"" key "\":")
#define J_UINT(j, key, v)    (J_KEY(j, key), hil_json_uint((j), (uint64_t)(v)))
#define J_INT(j, key, v)     (J_KEY(j, key), hil_json_int((j), (int64_t)(v)))
#define J_BOOL(j, key, v)    ((v) ? J_LIT(j, ",\"" key "\":true") : J_LIT(j, ",\"" key "\":false"))
#define J_STR(j, key, s)     (J_KEY(j, key), hil_json_str((j), (s)))
#define J_TEXT(j, key, p, n) (J_KEY(j, key), hil_json_text((j), (p), (n), HIL_JSON_TEXT_MAX))
#define J_HEX(j, key, p, n)  (J_KEY(j, key), hil_json_hex((j), (p), (n)))

#endif
