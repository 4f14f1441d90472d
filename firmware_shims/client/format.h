/* Bounded text building for event lines: appends into a caller's buffer, drops whatever does not fit, never
 * overruns. */
#ifndef HIL_FORMAT_H
#define HIL_FORMAT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct hil_text {
    char *data;
    size_t len, cap;
    bool full; /* something was dropped; nothing is added any more */
};

void hil_text_bytes(struct hil_text *text, const char *data, size_t len);
void hil_text_string(struct hil_text *text, const char *string);
void hil_text_number(struct hil_text *text, unsigned long value, unsigned base, unsigned width);

/* printf's subset of hil_event(): %s is escaped (%XX for everything but printable ASCII without space and
 * '%'). */
void hil_text_format(struct hil_text *text, const char *fmt, va_list args);

/* Value of a hex digit, -1 for anything else. */
int hil_hex_digit(char c);

/* Undoes %XX in place; returns the new length, or -1 when an escape is broken. The result may hold NUL bytes.
 */
long hil_unescape(char *text, size_t len);

#endif
