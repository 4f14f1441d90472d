/* Hits as JSON lines, with bounded output.
 *
 * Hits that look the same (kind, value or words with digits masked) are printed eight times, then only
 * counted; the count and the last place come at the end as kind "repeat". Each kind has a budget; what
 * exceeds it goes into a ring of the newest, printed at the end, so that the end of a flood is seen too. */
#include "hil_uart.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SAME 8
#ifdef HIL_UART_SMALL /* fuzzing: setting up must not cost more than scanning */
#define SLOTS 128
#define RING  8
#else
#define SLOTS 4096 /* power of two */
#define RING  256
#endif
#define TICKS  1000
#define OUT    4096
#define BUDGET 5000
#define EVENTS 50000

static const char *const kinds[HIL_UART_KINDS] = {"event", "damaged", "gap", "number",
                                                  "name",  "alert",   "text"};

struct slot {
    uint64_t key, count, line;
    bool has_t;
    double t;
    enum hil_uart_kind kind;
    char label[80];
};

struct hil_emit {
    void (*write)(void *, const char *, size_t);
    void *ctx;
    uint64_t seen[HIL_UART_KINDS], printed[HIL_UART_KINDS], suppressed, boots, evicted;
    struct slot slots[SLOTS];
    size_t ring_next;
    uint64_t ring_count;
    struct {
        size_t len;
        char text[1024];
    } ring[RING];
    size_t len;
    bool full;
    char out[OUT];
};

size_t hil_emit_size(void) {
    return sizeof(struct hil_emit);
}

void hil_emit_init(struct hil_emit *e, void (*write)(void *, const char *, size_t), void *ctx) {
    memset(e, 0, sizeof *e);
    e->write = write;
    e->ctx = ctx;
}

static void put(struct hil_emit *e, const char *s, size_t n) {
    if (n > OUT - 2 - e->len) {
        e->full = true;
        return;
    }
    memcpy(e->out + e->len, s, n);
    e->len += n;
}

static void puts_(struct hil_emit *e, const char *s) {
    put(e, s, strlen(s));
}

static void number(struct hil_emit *e, const char *key, int64_t value) {
    char buf[64];
    int n = snprintf(buf, sizeof buf, ",\"%s\":%" PRId64, key, value);
    put(e, buf, (size_t)n);
}

/* Length of the well-formed UTF-8 sequence at p, or 0. */
static size_t utf8(const uint8_t *p, size_t n) {
    uint8_t c = p[0];
    size_t len = c < 0x80 ? 1 : (c & 0xE0) == 0xC0 ? 2 : (c & 0xF0) == 0xE0 ? 3 : (c & 0xF8) == 0xF0 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t cp = len == 1 ? c : len == 2 ? c & 0x1Fu : len == 3 ? c & 0x0Fu : c & 0x07u;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        cp = cp << 6 | (p[i] & 0x3Fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (cp < least[len] || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF) || (cp >= 0x80 && cp < 0xA0))
        return 0;
    return len;
}

/* One byte sequence of text into the JSON string: control characters become a space, bad UTF-8 U+FFFD. */
static size_t put_char(struct hil_emit *e, const uint8_t *p, size_t n) {
    if (*p < 0x20 || *p == 0x7F) {
        put(e, " ", 1);
        return 1;
    }
    if (*p == '"' || *p == '\\') {
        char two[2] = {'\\', (char)*p};
        put(e, two, 2);
        return 1;
    }
    size_t len = utf8(p, n);
    if (len == 0) {
        puts_(e, "\xEF\xBF\xBD");
        return 1;
    }
    put(e, (const char *)p, len);
    return len;
}

/* `s` as a JSON string of at most `max` input bytes, without escape sequences. */
static void string(struct hil_emit *e, const char *key, struct hil_span s, size_t max) {
    puts_(e, ",\"");
    puts_(e, key);
    puts_(e, "\":\"");
    size_t n = s.len < max ? s.len : max;
    for (size_t i = 0; i < n;) {
        if (s.at[i] == 0x1B) {
            i++;
            if (i < n && s.at[i] == '[')
                for (i++; i < n && s.at[i] >= 0x20 && s.at[i] < 0x40; i++)
                    ;
            i += i < n;
            continue;
        }
        i += put_char(e, s.at + i, n - i);
    }
    put(e, "\"", 1);
}

static int nibble(uint8_t c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A shim value: %XX undone. */
static void value(struct hil_emit *e, struct hil_span s) {
    uint8_t raw[HIL_UART_SHIM];
    size_t n = 0;
    for (size_t i = 0; i < s.len && n < sizeof raw; i++) {
        if (s.at[i] == '%' && s.len - i > 2 && nibble(s.at[i + 1]) >= 0 && nibble(s.at[i + 2]) >= 0) {
            raw[n++] = (uint8_t)(nibble(s.at[i + 1]) << 4 | nibble(s.at[i + 2]));
            i += 2;
        } else {
            raw[n++] = s.at[i];
        }
    }
    put(e, "\"", 1);
    for (size_t i = 0; i < n;)
        i += put_char(e, raw + i, n - i);
    put(e, "\"", 1);
}

static void plain(struct hil_emit *e, const char *key, const char *text) {
    puts_(e, ",\"");
    puts_(e, key);
    puts_(e, "\":\"");
    puts_(e, text);
    put(e, "\"", 1);
}

static void head(struct hil_emit *e, const char *kind, uint64_t line, bool has_t, double t) {
    char buf[96];
    int n = has_t
                ? snprintf(buf, sizeof buf, "{\"line\":%" PRIu64 ",\"t\":%.6f,\"kind\":\"%s\"", line, t, kind)
                : snprintf(buf, sizeof buf, "{\"line\":%" PRIu64 ",\"t\":null,\"kind\":\"%s\"", line, kind);
    e->len = 0;
    e->full = false;
    put(e, buf, (size_t)n);
}

static void finish(struct hil_emit *e) {
    if (e->full) /* cannot happen with the bounds above; never print half a line */
        return;
    memcpy(e->out + e->len, "}\n", 2);
    e->len += 2;
}

static void render(struct hil_emit *e, const struct hil_uart_hit *h) {
    head(e, kinds[h->kind], h->line, h->has_t, h->t);
    switch (h->kind) {
    case HIL_UART_EVENT:
        string(e, "event", h->event, 64);
        number(e, "seq", (int64_t)h->seq);
        number(e, "ms", (int64_t)h->ms);
        puts_(e, ",\"fields\":{");
        for (size_t i = 0; i < h->n_fields; i++) {
            bool again = false; /* a key twice would make the JSON ambiguous: the first one counts */
            for (size_t k = 0; k < i; k++)
                again |= h->fields[k].key.len == h->fields[i].key.len &&
                         memcmp(h->fields[k].key.at, h->fields[i].key.at, h->fields[i].key.len) == 0;
            if (again)
                continue;
            puts_(e, i ? ",\"" : "\"");
            put(e, (const char *)h->fields[i].key.at, h->fields[i].key.len);
            puts_(e, "\":");
            value(e, h->fields[i].value);
        }
        puts_(e, "},\"ok\":true");
        break;
    case HIL_UART_DAMAGED:
        plain(e, "reason", h->what);
        string(e, "text", h->text, HIL_UART_SHIM);
        break;
    case HIL_UART_GAP:
        number(e, "from", (int64_t)h->from);
        number(e, "to", (int64_t)h->to);
        number(e, "missing", (int64_t)(h->to - h->from));
        break;
    case HIL_UART_NUMBER:
        plain(e, "form", h->form);
        number(e, "value", h->value);
        string(e, "token", h->token, 32);
        string(e, "context", h->context, 64);
        string(e, "api", h->api, 64);
        string(e, "text", h->text, 200);
        break;
    case HIL_UART_NAME:
        string(e, "name", h->token, 64);
        string(e, "context", h->context, 64);
        string(e, "api", h->api, 64);
        string(e, "text", h->text, 200);
        break;
    case HIL_UART_ALERT:
        plain(e, "dir", h->form);
        number(e, "level", h->level);
        number(e, "code", h->code);
        string(e, "text", h->text, 200);
        break;
    default:
        plain(e, "class", h->what);
        if (h->token.len)
            string(e, "name", h->token, 32);
        if (h->version.len)
            string(e, "version", h->version, 16);
        string(e, "text", h->text, 200);
        break;
    }
    finish(e);
}

static uint64_t mix(uint64_t hash, const uint8_t *p, size_t n, bool mask) {
    for (size_t i = 0; i < n; i++) {
        uint8_t c = mask && p[i] >= '0' && p[i] <= '9' ? '#' : p[i];
        hash = (hash ^ c) * 0x100000001B3u;
    }
    return (hash ^ 0xFF) * 0x100000001B3u;
}

/* What makes two hits "the same". */
static uint64_t key_of(const struct hil_uart_hit *h) {
    uint64_t k = 0xCBF29CE484222325u + (uint64_t)h->kind;
    if (h->kind == HIL_UART_EVENT)
        return mix(k, h->event.at, h->event.len, false);
    if (h->kind == HIL_UART_NUMBER) {
        k = mix(k, h->token.at, h->token.len, false);
        return mix(k, h->context.at, h->context.len, true);
    }
    if (h->kind == HIL_UART_NAME)
        return mix(k, h->token.at, h->token.len, false);
    if (h->kind == HIL_UART_ALERT)
        return (mix(k, (const uint8_t *)h->form, strlen(h->form), false) ^ (uint64_t)h->code) *
               0x100000001B3u;
    k = mix(k, (const uint8_t *)h->what, strlen(h->what), false);
    k = mix(k, h->version.at, h->version.len, false);
    size_t n = h->text.len < 96 ? h->text.len : 96;
    return h->kind == HIL_UART_GAP ? k : mix(k, h->text.at, n, true);
}

static void label(struct slot *s, const struct hil_uart_hit *h) {
    struct hil_span from = h->kind == HIL_UART_EVENT                                ? h->event
                           : h->kind == HIL_UART_NUMBER || h->kind == HIL_UART_NAME ? h->token
                                                                                    : h->text;
    size_t n = from.len < sizeof s->label - 1 ? from.len : sizeof s->label - 1;
    if (n)
        memcpy(s->label, from.at, n);
    s->label[n] = 0;
}

/* Count the hit; false when it was printed often enough. */
static bool fresh(struct hil_emit *e, const struct hil_uart_hit *h) {
    uint64_t key = key_of(h);
    bool tick = h->kind == HIL_UART_EVENT && h->event.len == 4 && memcmp(h->event.at, "tick", 4) == 0;
    if (h->kind == HIL_UART_EVENT && !tick)
        return true; /* milestones are never collapsed */
    struct slot *slot = NULL, *oldest = NULL;
    for (size_t i = 0; i < 8; i++) {
        struct slot *s = &e->slots[(key + i) & (SLOTS - 1)];
        if (s->count == 0 || s->key == key) {
            slot = s;
            break;
        }
        if (!oldest || s->line < oldest->line)
            oldest = s;
    }
    if (!slot) {
        e->evicted += oldest->count > SAME;
        slot = oldest;
        memset(slot, 0, sizeof *slot);
    }
    if (slot->count == 0) {
        slot->key = key;
        slot->kind = h->kind;
        label(slot, h);
    }
    slot->count++;
    slot->line = h->line;
    slot->has_t = h->has_t;
    slot->t = h->t;
    return slot->count <= (tick ? TICKS : SAME);
}

void hil_emit_hit(void *emit, const struct hil_uart_hit *h) {
    struct hil_emit *e = emit;
    e->seen[h->kind]++;
    if (h->kind == HIL_UART_EVENT && h->event.len == 4 && memcmp(h->event.at, "boot", 4) == 0)
        e->boots++;
    if (!fresh(e, h)) {
        e->suppressed++;
        return;
    }
    render(e, h);
    if (e->full)
        return;
    if (e->printed[h->kind] < (h->kind == HIL_UART_EVENT ? EVENTS : BUDGET)) {
        e->printed[h->kind]++;
        e->write(e->ctx, e->out, e->len);
        return;
    }
    e->suppressed++;
    if (e->len <= sizeof e->ring[0].text) {
        memcpy(e->ring[e->ring_next].text, e->out, e->len);
        e->ring[e->ring_next].len = e->len;
        e->ring_next = (e->ring_next + 1) % RING;
        e->ring_count++;
    }
}

void hil_emit_end(struct hil_emit *e, const struct hil_uart *u) {
    size_t kept = e->ring_count < RING ? (size_t)e->ring_count : RING;
    for (size_t i = 0; i < kept; i++) {
        size_t at = (e->ring_next + RING - kept + i) % RING;
        e->write(e->ctx, e->ring[at].text, e->ring[at].len);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        const struct slot *s = &e->slots[i];
        if (s->count <= (s->kind == HIL_UART_EVENT ? TICKS : SAME))
            continue;
        head(e, "repeat", s->line, s->has_t, s->t);
        plain(e, "of", kinds[s->kind]);
        number(e, "count", (int64_t)s->count);
        string(e, "text", (struct hil_span){(const uint8_t *)s->label, strlen(s->label)}, 80);
        finish(e);
        if (!e->full)
            e->write(e->ctx, e->out, e->len);
    }
    head(e, "end", u->line, false, 0);
    number(e, "lines", (int64_t)u->line);
    number(e, "bytes", (int64_t)u->bytes);
    for (size_t i = 0; i < HIL_UART_KINDS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%ss", kinds[i]);
        number(e, i == HIL_UART_DAMAGED ? "damaged" : name, (int64_t)e->seen[i]);
    }
    number(e, "boots", (int64_t)e->boots);
    number(e, "suppressed", (int64_t)e->suppressed);
    number(e, "skipped_bytes", (int64_t)u->skipped);
    number(e, "control_bytes", (int64_t)u->binary);
    number(e, "longest_line", (int64_t)u->longest);
    finish(e);
    if (!e->full)
        e->write(e->ctx, e->out, e->len);
}
