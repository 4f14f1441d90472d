/* The scanner: bytes → lines → windows → tokens → hits.
 *
 * One pass over each window. Words set flags for the line (it reports an error, a fault, a boot …),
 * identifiers are remembered as the function that may have returned the next number, numbers are collected as
 * candidates. At the end of the window the candidates are judged: `sure` ones (a result word or a function
 * stands right before them, or their form is unmistakable) always go out, hexadecimal ones only when the line
 * has a function or an error word. */
#include "internal.h"

#include <string.h>

void hil_uart_init(struct hil_uart *u, hil_uart_sink sink, void *ctx) {
    memset(u, 0, sizeof *u);
    u->sink = sink;
    u->ctx = ctx;
    u->line = 1;
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
            hil_uart_hit_at(u, s, &hit, alerts[i].from);
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
        hil_uart_hit_at(u, s, &hit, s->flag_at);
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
        hil_dump_connack(u, &s);
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
            i = hil_scan_word(u, &s, i);
        } else if (digit(c) || (c == '-' && i + 1 < n && digit(p[i + 1]) && !(i > 0 && ident(p[i - 1])))) {
            if (i > 0 && (ident(p[i - 1]) || (p[i - 1] == '.' && i > 1 && digit(p[i - 2])))) {
                i++;
                continue;
            }
            i = hil_scan_number(u, &s, i);
        } else if (c == '@' && n - i >= 4 && memcmp(p + i, "@H1 ", 4) == 0) {
            struct hil_uart_hit hit;
            hil_uart_hit_at(u, &s, &hit, i);
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
