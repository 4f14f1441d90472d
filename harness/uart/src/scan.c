/* The scanner: bytes → lines → windows → tokens → hits.
 *
 * One pass over each window. Words set flags for the line (it reports an error, a fault, a boot …),
 * identifiers are remembered as the function that may have returned the next number, numbers are collected as
 * candidates. At the end of the window the candidates are judged: `sure` ones (a result word or a function
 * stands right before them, or their form is unmistakable) always go out, hexadecimal ones only when the line
 * has a function or an error word. */
#include "hil_uart.h"

#include <string.h>

#define CONTEXT 48
#define TEXT    200

void hil_uart_init(struct hil_uart *u, hil_uart_sink sink, void *ctx) {
    memset(u, 0, sizeof *u);
    u->sink = sink;
    u->ctx = ctx;
    u->line = 1;
}

static bool alpha(uint8_t c) {
    return (uint8_t)((c | 0x20) - 'a') < 26;
}

static bool digit(uint8_t c) {
    return (uint8_t)(c - '0') < 10;
}

static bool ident(uint8_t c) {
    return alpha(c) || digit(c) || c == '_';
}

static int hex(uint8_t c) {
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

static void base_hit(const struct hil_uart *u, const struct state *s, struct hil_uart_hit *hit, size_t at) {
    memset(hit, 0, sizeof *hit);
    hit->line = u->line;
    hit->has_t = u->has_t;
    hit->t = u->t;
    hit->level = hit->code = -1;
    hit->form = "";
    hit->what = "";
    size_t from = s->start < s->n ? s->start : 0;
    if (at > from + TEXT - 40)
        from = at - (TEXT - 80);
    size_t len = s->n - from;
    while (len > 0 && (s->p[from + len - 1] == '\r' || s->p[from + len - 1] == ' '))
        len--;
    hit->text = (struct hil_span){s->p + from, len < TEXT ? len : TEXT};
}

static void candidate(struct hil_uart *u, const struct state *s, size_t at, size_t end, const char *form,
                      int64_t value, bool sure) {
    if (u->n_cands == HIL_UART_CANDS)
        return;
    struct hil_uart_cand *c = &u->cands[u->n_cands++];
    base_hit(u, s, &c->hit, at);
    c->hit.kind = HIL_UART_NUMBER;
    c->hit.form = form;
    c->hit.value = value;
    c->hit.token = (struct hil_span){s->p + at, end - at};
    size_t from = at > s->start + CONTEXT ? at - CONTEXT : (at > s->start ? s->start : at);
    c->hit.context = (struct hil_span){s->p + from, at - from};
    c->hit.api = s->api;
    c->at = at;
    c->sure = sure;
}

/* "0x" and 1 to 8 hexadecimal digits at `i`; the end, or 0. */
static size_t hex_token(const struct state *s, size_t i, uint64_t *value) {
    if (i + 2 >= s->n || s->p[i] != '0' || (s->p[i + 1] | 0x20) != 'x')
        return 0;
    size_t k = i + 2;
    uint64_t v = 0;
    while (k < s->n && hex(s->p[k]) >= 0 && k - i < 20)
        v = v << 4 | (uint64_t)hex(s->p[k++]);
    if (k == i + 2 || k - i - 2 > 8 || (k < s->n && ident(s->p[k])))
        return 0;
    *value = v;
    return k;
}

/* Where a number starting at `at` hangs on: what separates it from the last word. */
struct lead {
    bool close; /* only separators in between */
    bool punct; /* with one of : = ( > */
};

static struct lead lead_of(const struct state *s, size_t at) {
    struct lead out = {false, false};
    size_t i = at;
    while (i > s->word_end && at - i < 12) {
        uint8_t c = s->p[i - 1];
        if (c == ':' || c == '=' || c == '(' || c == '>')
            out.punct = true;
        else if (c != ' ' && c != '\t' && c != '[' && c != '#' && c != '"' && c != '\'' && c != '-' &&
                 c != ')' && c != '<')
            return out;
        i--;
    }
    out.close = s->word_end > 0 && i == s->word_end;
    return out;
}

static size_t scan_number(struct hil_uart *u, const struct state *s, size_t i) {
    size_t at = i;
    bool minus = s->p[i] == '-';
    if (minus)
        i++;
    uint64_t value = 0;
    size_t end = hex_token(s, i, &value);
    struct lead lead = lead_of(s, at);
    if (end) {
        if (minus && value < 0x80000000) /* -0xffffffbe is a printed positive */
            candidate(u, s, at, end, "neg_hex", -(int64_t)value, true);
        else if (!minus)
            candidate(u, s, at, end, "hex", (int64_t)value, false);
        return end;
    }
    size_t k = i;
    while (k < s->n && digit(s->p[k]) && k - i < 20) {
        if (k - i < 12)
            value = value * 10 + (uint64_t)(s->p[k] - '0');
        k++;
    }
    bool whole =
        k - i <= 10 && !(k < s->n && (ident(s->p[k]) || s->p[k] == '%' ||
                                      (s->p[k] == '.' && k + 1 < s->n && digit(s->p[k + 1])) ||
                                      (s->p[k] == ':' && k + 1 < s->n && digit(s->p[k + 1]) && !lead.close)));
    if (whole && lead.close) {
        bool after_word = (s->word_flags & HIL_W_NUM) != 0;
        bool sure = after_word || (s->word_is_api && lead.punct) || (minus && (lead.punct || s->word_is_api));
        if (sure)
            candidate(u, s, at, k, minus ? "neg_dec" : "dec", minus ? -(int64_t)value : (int64_t)value, true);
    }
    while (k < s->n && (ident(s->p[k]) || (s->p[k] == '.' && k + 1 < s->n && digit(s->p[k + 1]))))
        k++; /* 1.5, 10.77.0.1, 40D790505D7F: not ours */
    return k;
}

/* "error:0A000086:SSL routines:…" and "error:num=10:…", the word "error" ending at `i`. */
static size_t after_error(struct hil_uart *u, const struct state *s, size_t i) {
    if (i >= s->n || s->p[i] != ':')
        return i;
    size_t k = i + 1;
    uint64_t value = 0;
    if (s->n - k > 4 && memcmp(s->p + k, "num=", 4) == 0) {
        size_t at = k + 4;
        for (k = at; k < s->n && digit(s->p[k]) && k - at < 6; k++)
            value = value * 10 + (uint64_t)(s->p[k] - '0');
        if (k > at)
            candidate(u, s, at, k, "verify", (int64_t)value, true);
        return k;
    }
    size_t at = k;
    while (k < s->n && hex(s->p[k]) >= 0 && k - at < 9)
        value = value << 4 | (uint64_t)hex(s->p[k++]);
    if (k - at == 8 && k < s->n && s->p[k] == ':') {
        candidate(u, s, at, k, "openssl", (int64_t)value, true);
        return k;
    }
    return i;
}

/* "-S.ERROR:74:" / "ERROR: 74" (upper case, as AT modules write), "+WIND:46:". */
static size_t at_form(struct hil_uart *u, const struct state *s, size_t word, size_t i) {
    bool wind = i - word == 4 && memcmp(s->p + word, "WIND", 4) == 0 && word > 0 && s->p[word - 1] == '+';
    bool error = i - word == 5 && memcmp(s->p + word, "ERROR", 5) == 0;
    if ((!wind && !error) || i >= s->n || s->p[i] != ':')
        return i;
    size_t k = i + 1;
    if (k < s->n && s->p[k] == ' ')
        k++;
    size_t at = k;
    uint64_t value = 0;
    while (k < s->n && digit(s->p[k]) && k - at < 6)
        value = value * 10 + (uint64_t)(s->p[k++] - '0');
    if (k == at || (k < s->n && ident(s->p[k])))
        return i;
    candidate(u, s, at, k, wind ? "wind" : "at", (int64_t)value, true);
    return k;
}

/* "CONNACK 20 02 00 05", "CONNACK (5)", "CONNACK: 5", the word ending at `i`. */
static size_t after_connack(struct hil_uart *u, const struct state *s, size_t i) {
    size_t k = i;
    while (k < s->n && k - i < 24 && (s->p[k] == ' ' || s->p[k] == ':' || s->p[k] == '=' || s->p[k] == '('))
        k++;
    if (s->n - k >= 11 && memcmp(s->p + k, "20 0", 4) == 0 && digit(s->p[k + 4]) && s->p[k + 5] == ' ') {
        size_t byte = k + (s->p[k + 4] == '2' ? 9 : 9); /* flags, then the code: both forms have it fourth */
        int high = hex(s->p[byte]), low = hex(s->p[byte + 1]);
        if (high >= 0 && low >= 0) {
            candidate(u, s, byte, byte + 2, "connack", high * 16 + low, true);
            return byte + 2;
        }
    }
    size_t at = k;
    uint64_t value = 0;
    while (k < s->n && digit(s->p[k]) && k - at < 4)
        value = value * 10 + (uint64_t)(s->p[k++] - '0');
    if (k > at && k - at <= 3 && (k == s->n || !ident(s->p[k]))) {
        candidate(u, s, at, k, "connack", (int64_t)value, true);
        return k;
    }
    return i;
}

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
                if (len == 3 || len == 6)
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
    base_hit(u, s, &hit, word);
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

/* "Subscribed (mid: 1): 128": the granted QoS or the refusal; the word ends at `i`. */
static size_t after_subscribed(struct hil_uart *u, const struct state *s, size_t i) {
    size_t k = i;
    while (k < s->n && k - i < 24 && s->p[k] != ')')
        k++;
    if (s->n - k < 4 || s->p[k + 1] != ':' || s->p[k + 2] != ' ')
        return i;
    size_t at = k + 3;
    uint64_t value = 0;
    for (k = at; k < s->n && digit(s->p[k]) && k - at < 4; k++)
        value = value * 10 + (uint64_t)(s->p[k] - '0');
    if (value < 128 || k - at > 3)
        return i;
    candidate(u, s, at, k, "suback", (int64_t)value, true);
    return k;
}

static size_t scan_word(struct hil_uart *u, struct state *s, size_t at, size_t to) {
    size_t i = at;
    bool underscore = false;
    unsigned upper = 0;
    while (i < s->n && ident(s->p[i]) && i - at < 128) {
        underscore |= s->p[i] == '_';
        upper += s->p[i] >= 'A' && s->p[i] <= 'Z';
        i++;
    }
    size_t len = i - at;
    (void)to;
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
        base_hit(u, s, &hit, at);
        hit.kind = HIL_UART_NAME;
        hit.token = (struct hil_span){s->p + at, len};
        hit.api = s->api;
        size_t from = at > s->start + CONTEXT ? at - CONTEXT : (at > s->start ? s->start : at);
        hit.context = (struct hil_span){s->p + from, at - from};
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
        return after_connack(u, s, i);
    if (len == 10 && memcmp(s->p + at, "Subscribed", 10) == 0)
        return after_subscribed(u, s, i);
    size_t next = i;
    if (len == 5 && (flags & HIL_W_ERR))
        next = after_error(u, s, i);
    if (next == i && (len == 4 || len == 5))
        next = at_form(u, s, at, i);
    return next;
}

/* OpenSSL's hex dump of a CONNACK at the start of a connection: "00000000: 2002 0005". */
static void dump_connack(struct hil_uart *u, const struct state *s) {
    static const char head[] = "00000000: 2002 0";
    size_t at = s->start, len = sizeof head - 1;
    if (s->n - at < len + 3 || memcmp(s->p + at, head, len) != 0)
        return;
    int high = hex(s->p[at + len + 1]), low = hex(s->p[at + len + 2]);
    if (high >= 0 && low >= 0)
        candidate(u, s, at + len + 1, at + len + 3, "connack", high * 16 + low, true);
}

static const char *class_of(unsigned flags) {
    if (flags & HIL_W_FAULT)
        return "fault";
    if (flags & HIL_W_ASSERT)
        return "assert";
    if (flags & HIL_W_PANIC)
        return "panic";
    if ((flags & HIL_W_WDG) && (flags & (HIL_W_ERR | HIL_W_BOOT))) /* "watchdog started" is no event */
        return "watchdog";
    if ((flags & HIL_W_MEM) && (flags & HIL_W_ERR)) /* "heap 12345" alone is a figure */
        return "memory";
    if (flags & HIL_W_REG)
        return "registers";
    if (flags & HIL_W_ERR)
        return "error";
    if (flags & HIL_W_BOOT)
        return "boot";
    if (flags & HIL_W_MILE)
        return "milestone";
    if (flags & HIL_W_AT)
        return "at";
    return NULL;
}

static void flush(struct hil_uart *u, const struct state *s) {
    struct hil_alert alerts[4];
    size_t n_alerts = 0;
    if (s->flags & HIL_W_ALERT) {
        size_t from = s->flag_at > 256 ? s->flag_at - 256 : s->start;
        size_t len = s->n - from < 1024 ? s->n - from : 1024;
        n_alerts = hil_uart_alerts(s->p + from, len, alerts, 4);
        for (size_t i = 0; i < n_alerts; i++) {
            alerts[i].from += from;
            alerts[i].to += from;
            if (alerts[i].code < 0)
                continue; /* "code -1": none, but its numbers are taken */
            struct hil_uart_hit hit;
            base_hit(u, s, &hit, alerts[i].from);
            hit.kind = HIL_UART_ALERT;
            hit.form = alerts[i].direction;
            hit.level = alerts[i].level;
            hit.code = alerts[i].code;
            u->sink(u->ctx, &hit);
        }
    }
    bool telling = s->api.len > 0 || (s->flags & (HIL_W_ERR | HIL_W_NUM));
    for (size_t i = 0; i < u->n_cands; i++) {
        struct hil_uart_cand *c = &u->cands[i];
        bool inside = false;
        for (size_t a = 0; a < n_alerts; a++)
            inside |= c->at >= alerts[a].from && c->at < alerts[a].to;
        if (!inside && (c->sure || telling))
            u->sink(u->ctx, &c->hit);
    }
    u->n_cands = 0;
    const char *what = s->note ? "note" : class_of(s->flags);
    if (what) {
        struct hil_uart_hit hit;
        base_hit(u, s, &hit, s->flag_at);
        hit.kind = HIL_UART_TEXT;
        hit.what = what;
        u->sink(u->ctx, &hit);
    }
}

static void event(struct hil_uart *u, const struct hil_uart_hit *hit) {
    bool boot = hit->event.len == 4 && memcmp(hit->event.at, "boot", 4) == 0;
    if (u->seq_known && !boot && hit->seq > u->seq_next) {
        struct hil_uart_hit gap = *hit;
        gap.kind = HIL_UART_GAP;
        gap.from = u->seq_next;
        gap.to = hit->seq;
        u->sink(u->ctx, &gap);
    }
    u->seq_known = true;
    u->seq_next = hit->seq + 1;
    u->sink(u->ctx, hit);
}

/* Hits that start in p[from, to) of a window of n bytes; `last`: the line ends here. Returns where it
 * stopped: a token that began before `to` is taken whole. */
static size_t scan(struct hil_uart *u, const uint8_t *p, size_t n, size_t from, size_t to, bool first,
                   bool last) {
    struct state s = {.p = p, .n = n, .start = from};
    size_t i = from;
    if (first) {
        u->has_t = false;
        size_t lead = 0;
        while (lead < n && lead < 32 && (p[lead] == ' ' || p[lead] == '\r' || p[lead] == 0))
            lead++;
        size_t stamp = hil_uart_stamp(p + lead, n - lead, &u->t);
        if (stamp) {
            u->has_t = true;
            i = s.start = lead + stamp;
        } else {
            i = s.start = lead;
        }
        static const char bench[] = "-- hil: "; /* a line the bench wrote itself */
        s.note = n - i >= sizeof bench - 1 && memcmp(p + i, bench, sizeof bench - 1) == 0;
        dump_connack(u, &s);
        if (n - i > 3 && (p[i] == '-' || p[i] == '+') && p[i + 1] == 'S' && p[i + 2] == '.')
            s.flags |= HIL_W_AT;
    }
    if (s.note) {
        flush(u, &s);
        return to;
    }
    while (i < to) {
        uint8_t c = p[i];
        if (alpha(c) || c == '_') {
            if (i > 0 && digit(p[i - 1])) { /* 10s, 40D790505D7F */
                i++;
                while (i < n && ident(p[i]))
                    i++;
                continue;
            }
            i = scan_word(u, &s, i, to);
        } else if (digit(c) || (c == '-' && i + 1 < n && digit(p[i + 1]) && !(i > 0 && ident(p[i - 1])))) {
            if (i > 0 && (ident(p[i - 1]) || (p[i - 1] == '.' && i > 1 && digit(p[i - 2])))) {
                i++;
                continue;
            }
            i = scan_number(u, &s, i);
        } else if (c == '@' && n - i >= 4 && memcmp(p + i, "@H1 ", 4) == 0) {
            struct hil_uart_hit hit;
            base_hit(u, &s, &hit, i);
            size_t took = hil_shim_parse(p + i, n - i, last, &hit);
            if (hit.kind == HIL_UART_EVENT)
                event(u, &hit);
            else
                u->sink(u->ctx, &hit);
            i += took;
            s.word_end = i;
            s.word_flags = 0;
            s.word_is_api = false;
        } else if (c == 0x1B) { /* an escape sequence: ESC [ … letter */
            i++;
            if (i < n && p[i] == '[') {
                i++;
                while (i < n && p[i] >= 0x20 && p[i] < 0x40)
                    i++;
                i += i < n;
            }
        } else if (c == '\\' && n - i > 5 &&
                   memcmp(p + i, "\\x1b[", 5) == 0) { /* the same, as the bench's log writes it */
            i += 5;
            while (i < n && p[i] >= 0x20 && p[i] < 0x40)
                i++;
            i += i < n;
        } else {
            u->binary += (c < 0x20 && c != '\t' && c != '\r') || c == 0x7F;
            i++;
        }
    }
    flush(u, &s);
    return i;
}

/* Bytes at the start of the buffer that an earlier window has scanned. */
static size_t scanned(const struct hil_uart *u) {
    return u->continued ? HIL_UART_BACK + u->skip : 0;
}

static void line_end(struct hil_uart *u, const uint8_t *p, size_t n) {
    scan(u, p, n, scanned(u), n, !u->continued, true);
    u->this_line += n - (u->continued ? (size_t)HIL_UART_BACK + HIL_UART_AHEAD : 0);
    if (u->this_line > u->longest)
        u->longest = u->this_line;
    u->this_line = 0;
    u->line++;
    u->continued = false;
    u->skip = 0;
    u->len = 0;
}

/* The buffer is full and the line goes on: scan all but the last part, keep that. */
static void window(struct hil_uart *u) {
    const size_t to = HIL_UART_WINDOW - HIL_UART_AHEAD, keep = HIL_UART_AHEAD + HIL_UART_BACK;
    size_t stopped = scan(u, u->buf, HIL_UART_WINDOW, scanned(u), to, !u->continued, false);
    u->skip = stopped > to ? stopped - to : 0;
    u->this_line += HIL_UART_WINDOW - (u->continued ? keep : 0);
    memmove(u->buf, u->buf + HIL_UART_WINDOW - keep, keep);
    u->len = keep;
    u->continued = true;
}

void hil_uart_feed(struct hil_uart *u, const uint8_t *data, size_t len) {
    u->bytes += len;
    while (len > 0) {
        const uint8_t *newline = memchr(data, '\n', len);
        size_t chunk = newline ? (size_t)(newline - data) : len;
        if (newline && u->len == 0 && chunk < HIL_UART_WINDOW) { /* a whole line: no copy */
            line_end(u, data, chunk);
            data += chunk + 1;
            len -= chunk + 1;
            continue;
        }
        size_t room = HIL_UART_WINDOW - u->len;
        size_t take = chunk < room ? chunk : room;
        memcpy(u->buf + u->len, data, take);
        u->len += take;
        data += take;
        len -= take;
        if (u->len == HIL_UART_WINDOW) {
            window(u);
        } else if (newline) {
            line_end(u, u->buf, u->len);
            data++;
            len--;
        }
    }
}

void hil_uart_skip(struct hil_uart *u, const uint8_t *data, size_t len) {
    if (u->len > 0) {
        line_end(u, u->buf, u->len);
        u->line--; /* its newline comes, if it comes, in what is skipped */
    }
    u->bytes += len;
    u->skipped += len;
    const uint8_t *end = data + len;
    for (const uint8_t *p = data; p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        u->line++;
}

void hil_uart_end(struct hil_uart *u) {
    if (u->len > 0)
        line_end(u, u->buf, u->len);
    u->line--; /* now the number of lines */
}
