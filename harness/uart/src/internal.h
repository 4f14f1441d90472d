/* What the scanner's files share: the state of the window being scanned. */
#ifndef HIL_UART_INTERNAL_H
#define HIL_UART_INTERNAL_H

#include "hil_uart.h"

#define HIL_UART_CONTEXT 48  /* bytes shown before a number */
#define HIL_UART_SHOWN   200 /* bytes shown of a line */

static inline bool alpha(uint8_t c) {
    return (uint8_t)((c | 0x20) - 'a') < 26;
}

static inline bool digit(uint8_t c) {
    return (uint8_t)(c - '0') < 10;
}

static inline bool ident(uint8_t c) {
    return alpha(c) || digit(c) || c == '_';
}

static inline int hex(uint8_t c) {
    if (digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What is known of the window so far. */
struct state {
    const uint8_t *p;
    size_t n, start; /* start: where the line's text begins, after a time stamp */
    unsigned flags;
    size_t flag_at; /* of the most serious word */
    size_t word_end;
    unsigned word_flags; /* of the last word before the current position */
    struct hil_span api;
    size_t api_end;
    bool word_is_api;
    bool note;
};

/* number.c: hits and candidates, and the forms of numbers. Each form takes the position after its word and
 * returns where it stopped: the same position when it is not that form. */
void hil_uart_hit_at(const struct hil_uart *u, const struct state *s, struct hil_uart_hit *hit, size_t at);
struct hil_span hil_uart_before(const struct state *s, size_t at);
size_t hil_scan_number(struct hil_uart *u, const struct state *s, size_t i);
size_t hil_after_error(struct hil_uart *u, const struct state *s, size_t i);
size_t hil_at_form(struct hil_uart *u, const struct state *s, size_t word, size_t i);
size_t hil_after_connack(struct hil_uart *u, const struct state *s, size_t i);
size_t hil_after_subscribed(struct hil_uart *u, const struct state *s, size_t i);
void hil_dump_connack(struct hil_uart *u, const struct state *s);

/* word.c: one word or identifier at `at`; returns where it ended. */
size_t hil_scan_word(struct hil_uart *u, struct state *s, size_t at);

#endif
