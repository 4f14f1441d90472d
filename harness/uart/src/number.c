/* Numbers that may be result codes, in the forms people print. */
#include "internal.h"

#include <string.h>

void hil_uart_hit_at(const struct hil_uart *u, const struct state *s, struct hil_uart_hit *hit, size_t at) {
    memset(hit, 0, sizeof *hit);
    hit->line = u->line;
    hit->has_t = u->has_t;
    hit->t = u->t;
    hit->level = hit->code = -1;
    hit->form = "";
    hit->what = "";
    size_t from = s->start < s->n ? s->start : 0;
    if (at > from + HIL_UART_SHOWN - 40)
        from = at - (HIL_UART_SHOWN - 80);
    size_t len = s->n - from;
    while (len > 0 && (s->p[from + len - 1] == '\r' || s->p[from + len - 1] == ' '))
        len--;
    hit->text = (struct hil_span){s->p + from, len < HIL_UART_SHOWN ? len : HIL_UART_SHOWN};
}

struct hil_span hil_uart_before(const struct state *s, size_t at) {
    size_t from = at > s->start + HIL_UART_CONTEXT ? at - HIL_UART_CONTEXT : (at > s->start ? s->start : at);
    return (struct hil_span){s->p + from, at - from};
}

static void candidate(struct hil_uart *u, const struct state *s, size_t at, size_t end, const char *form,
                      int64_t value, bool sure) {
    if (u->n_cands == HIL_UART_CANDS)
        return;
    struct hil_uart_cand *c = &u->cands[u->n_cands++];
    hil_uart_hit_at(u, s, &c->hit, at);
    c->hit.kind = HIL_UART_NUMBER;
    c->hit.form = form;
    c->hit.value = value;
    c->hit.token = (struct hil_span){s->p + at, end - at};
    c->hit.context = hil_uart_before(s, at);
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

size_t hil_scan_number(struct hil_uart *u, const struct state *s, size_t i) {
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
size_t hil_after_error(struct hil_uart *u, const struct state *s, size_t i) {
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
size_t hil_at_form(struct hil_uart *u, const struct state *s, size_t word, size_t i) {
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
size_t hil_after_connack(struct hil_uart *u, const struct state *s, size_t i) {
    size_t k = i;
    while (k < s->n && k - i < 24 && (s->p[k] == ' ' || s->p[k] == ':' || s->p[k] == '=' || s->p[k] == '('))
        k++;
    if (s->n - k >= 11 && memcmp(s->p + k, "20 0", 4) == 0 && digit(s->p[k + 4]) && s->p[k + 5] == ' ') {
        size_t byte = k + 9; /* 3.1.1 and 5 alike: type, length, flags, code */
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

/* "Subscribed (mid: 1): 128": the granted QoS or the refusal; the word ends at `i`. */
size_t hil_after_subscribed(struct hil_uart *u, const struct state *s, size_t i) {
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

/* OpenSSL's hex dump of a CONNACK at the start of a connection: "00000000: 2002 0005". */
void hil_dump_connack(struct hil_uart *u, const struct state *s) {
    static const char head[] = "00000000: 2002 0";
    size_t at = s->start, len = sizeof head - 1;
    if (s->n - at < len + 3 || memcmp(s->p + at, head, len) != 0)
        return;
    int high = hex(s->p[at + len + 1]), low = hex(s->p[at + len + 2]);
    if (high >= 0 && low >= 0)
        candidate(u, s, at + len + 1, at + len + 3, "connack", high * 16 + low, true);
}
