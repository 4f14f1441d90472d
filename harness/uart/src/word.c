/* Words and identifiers: what they say of the line, banners, symbols. */
#include "internal.h"

#include <string.h>

/* "wolfSSL 5.5.4", "NetX Duo 6.4.2", "Mbed TLS v3.6.0", "mbedTLS-2.28": the word ending at `i`. */
static void banner(struct hil_uart *u, const struct state *s, size_t word, size_t i) {
    size_t k = i;
    size_t name_end = i;
    for (int hop = 0; hop < 3 && k < s->n; hop++) {
        while (k < s->n &&
               (s->p[k] == ' ' || s->p[k] == '-' || s->p[k] == '_' || s->p[k] == '/' || s->p[k] == ':'))
            k++;
        static const char *const extra[] = {"Duo", "DUO",     "duo",     "TLS",    "SSL", "Secure", "RTOS",
                                            "OS",  "version", "Version", "Kernel", "V",   "v"};
        bool took = false;
        for (size_t e = 0; e < sizeof extra / sizeof *extra && !took; e++) {
            size_t len = strlen(extra[e]);
            if (s->n - k > len && memcmp(s->p + k, extra[e], len) == 0 && !alpha(s->p[k + len])) {
                k += len;
                took = true;
                if (hop == 0 && len == 3) /* NetX Duo, Mbed TLS */
                    name_end = k;
            }
        }
        if (!took)
            break;
    }
    size_t at = k;
    unsigned dots = 0;
    while (k < s->n && (digit(s->p[k]) || (s->p[k] == '.' && k + 1 < s->n && digit(s->p[k + 1]))) &&
           k - at < 16)
        dots += s->p[k++] == '.';
    struct hil_uart_hit hit;
    hil_uart_hit_at(u, s, &hit, word);
    hit.kind = HIL_UART_TEXT;
    hit.what = "banner";
    hit.token = (struct hil_span){s->p + word, name_end - word};
    if (dots > 0)
        hit.version = (struct hil_span){s->p + at, k - at};
    u->sink(u->ctx, &hit);
}

static void word_seen(struct state *s, size_t at, size_t end, unsigned flags) {
    static const unsigned order[] = {HIL_W_FAULT, HIL_W_ASSERT, HIL_W_PANIC, HIL_W_WDG, HIL_W_MEM,
                                     HIL_W_REG,   HIL_W_ERR,    HIL_W_BOOT,  HIL_W_MILE};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (s->flags & order[i])
            break;
        if (flags & order[i]) {
            s->flag_at = at;
            break;
        }
    }
    s->flags |= flags;
    s->word_end = end;
    s->word_flags = flags;
    s->word_is_api = false;
}

/* "fault" after what kind of fault; a register's name before its value. */
static unsigned in_context(const struct state *s, size_t at, size_t end, unsigned flags) {
    if (flags & HIL_W_OFKIND) {
        static const char *const kinds[] = {"hard",         "bus",       "usage",   "memory", "mem",
                                            "manage",       "memmanage", "mpu",     "cpu",    "secure",
                                            "segmentation", "double",    "security"};
        size_t stop = at;
        while (stop > 0 && (s->p[stop - 1] == ' ' || s->p[stop - 1] == '-' || s->p[stop - 1] == '_'))
            stop--;
        size_t from = stop;
        while (from > 0 && alpha(s->p[from - 1]))
            from--;
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            size_t len = strlen(kinds[k]), same = 0;
            if (stop - from != len)
                continue;
            while (same < len && (s->p[from + same] | 0x20) == kinds[k][same])
                same++;
            if (same == len)
                return flags | HIL_W_FAULT;
        }
    }
    if ((flags & HIL_W_CALL) && end < s->n && s->p[end] == '(')
        return flags | HIL_W_PANIC;
    if (flags & HIL_W_REG) {
        size_t k = end;
        while (k < s->n && k - end < 6 &&
               (s->p[k] == ' ' || s->p[k] == ':' || s->p[k] == '=' || s->p[k] == '(' || s->p[k] == '['))
            k++;
        size_t digits = 0;
        if (s->n - k > 2 && s->p[k] == '0' && (s->p[k + 1] | 0x20) == 'x')
            k += 2, digits = 8;
        while (k < s->n && hex(s->p[k]) >= 0 && digits < 16)
            k++, digits++;
        if (digits < 8 || k == end)
            flags &= ~(unsigned)HIL_W_REG;
    }
    return flags;
}

static bool ends_with(const struct state *s, size_t at, const char *text) {
    size_t len = strlen(text);
    return at >= len && memcmp(s->p + at - len, text, len) == 0;
}

/* Python prints an OpenSSL reason as "[SSL: WRONG_VERSION_NUMBER]". */
static bool python_name(const struct state *s, size_t at, size_t len) {
    return len >= 5 && len <= 64 && at + len < s->n && s->p[at + len] == ']' &&
           (ends_with(s, at, "[SSL: ") || ends_with(s, at, "[X509: ") || ends_with(s, at, "[PEM: "));
}

size_t hil_scan_word(struct hil_uart *u, struct state *s, size_t at) {
    size_t i = at;
    bool underscore = false;
    unsigned upper = 0;
    while (i < s->n && ident(s->p[i]) && i - at < 128) {
        underscore |= s->p[i] == '_';
        upper += s->p[i] >= 'A' && s->p[i] <= 'Z';
        i++;
    }
    size_t len = i - at;
    bool file = i + 1 < s->n && s->p[i] == '.' &&
                (s->p[i + 1] == 'c' || s->p[i + 1] == 'h' || s->p[i + 1] == 'o') &&
                (i + 2 >= s->n || !ident(s->p[i + 2]));
    if (file) {
        s->word_end = i;
        s->word_flags = 0;
        s->word_is_api = false;
        return i + 2;
    }
    bool call = i < s->n && s->p[i] == '(';
    bool camel = len >= 6 && upper >= 2 && upper < len;
    if (hil_uart_is_name(s->p + at, len) || python_name(s, at, len)) {
        struct hil_uart_hit hit;
        hil_uart_hit_at(u, s, &hit, at);
        hit.kind = HIL_UART_NAME;
        hit.token = (struct hil_span){s->p + at, len};
        hit.api = s->api;
        hit.context = hil_uart_before(s, at);
        u->sink(u->ctx, &hit);
        word_seen(s, at, i, HIL_W_NUM);
        return i;
    }
    unsigned flags = 0;
    if (underscore) {
        size_t head = 0;
        while (head < len && s->p[at + head] != '_')
            head++;
        flags = hil_uart_word(s->p + at, head) & (HIL_W_FAULT | HIL_W_ERR | HIL_W_ASSERT);
        size_t tail = len;
        while (tail > 0 && s->p[at + tail - 1] != '_')
            tail--;
        unsigned last = hil_uart_word(s->p + at + tail, len - tail);
        flags |= last & (HIL_W_NUM | HIL_W_FAULT);
        if (len == 17 && memcmp(s->p + at, "check_private_key", 17) == 0)
            flags |= HIL_W_MILE;
    } else {
        flags = hil_uart_word(s->p + at, len);
        if ((flags & HIL_W_NUM) && len <= 4 && upper == len && len == 4)
            flags &= ~(unsigned)HIL_W_NUM; /* WITH, CODE in a heading */
    }
    flags = in_context(s, at, i, flags);
    if (len == 2 && memcmp(s->p + at, "AT", 2) == 0 && s->n - i > 2 && (s->p[i] == '+' || s->p[i] == '-') &&
        s->p[i + 1] == 'S' && s->p[i + 2] == '.')
        flags |= HIL_W_AT;
    if (flags == HIL_W_MEM && at >= 3 && memcmp(s->p + at - 3, "of ", 3) == 0)
        flags |= HIL_W_ERR; /* out of memory */
    word_seen(s, at, i, flags);
    bool path = at > 0 && (s->p[at - 1] == '/' || s->p[at - 1] == '\\');
    if ((underscore && len >= 5) || (camel && !(flags & HIL_W_BANNER)) || (call && len >= 4)) {
        s->api = (struct hil_span){s->p + at, len};
        s->api_end = i;
        s->word_is_api = true;
    }
    if ((flags & HIL_W_BANNER) && !path)
        banner(u, s, at, i);
    if (flags & HIL_W_CONNACK)
        return hil_after_connack(u, s, i);
    if (len == 10 && memcmp(s->p + at, "Subscribed", 10) == 0)
        return hil_after_subscribed(u, s, i);
    size_t next = i;
    if (len == 5 && (flags & HIL_W_ERR))
        next = hil_after_error(u, s, i);
    if (next == i && (len == 4 || len == 5))
        next = hil_at_form(u, s, at, i);
    return next;
}
