#include "tls.h"

#include "flow.h"
#include "mqtt.h"

#include <stdlib.h>

struct hil_tls *hil_tls_new(struct hil_decoder *d, struct hil_conn *c) {
    struct hil_tls *t = hil_table_alloc(&d->table, sizeof *t);
    if (t != NULL) {
        memset(t, 0, sizeof *t);
        c->tls = t;
    }
    return t;
}

void hil_tls_drop_buf(struct hil_decoder *d, struct hil_tls_side *s) {
    hil_table_release(&d->table, s->buf, s->len);
    s->buf = NULL;
}

void hil_tls_drop_message(struct hil_decoder *d, struct hil_tls_side *s) {
    hil_table_release(&d->table, s->hs, s->hs_len);
    s->hs = NULL;
    s->hs_head_n = 0;
    s->in_message = false;
}

void hil_tls_free(struct hil_decoder *d, struct hil_conn *c) {
    struct hil_tls *t = c->tls;
    if (t == NULL) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        hil_tls_drop_buf(d, &t->side[i]);
        hil_tls_drop_message(d, &t->side[i]);
    }
    hil_tls_drop_keys(d, t);
    hil_table_release(&d->table, t, sizeof *t);
    c->tls = NULL;
}

int hil_tls_looks(const uint8_t *p, size_t n) {
    if (n >= 1 && (p[0] < 20 || p[0] > 24)) {
        return 0;
    }
    if (n >= 2 && p[1] != 3) {
        return 0;
    }
    if (n >= 3 && p[2] > 4) {
        return 0;
    }
    if (n >= 5) {
        return hil_be16(p + 3) <= HIL_RECORD_MAX;
    }
    return -1;
}

/* ---- handshake messages out of records ---- */

static void message_done(struct hil_decoder *d, struct hil_conn *c, int side) {
    struct hil_tls_side *s = &c->tls->side[side];
    uint8_t *body = s->hs;
    uint32_t len = s->hs_len;
    uint32_t got = s->hs_got;
    uint8_t type = s->hs_head[0];
    s->hs = NULL;
    s->hs_head_n = 0;
    s->in_message = false;
    if (got == len) {
        hil_tls_message(d, c, side, type, (struct hil_span){body, len}, s->hs_records);
    } else {
        hil_tls_message_lost(d, c, side, type, len, "too long to read");
    }
    hil_table_release(&d->table, body, len);
}

/* Bytes of handshake records of one side, sealed or not: whole messages are read in place, others joined. */
static void handshake_bytes(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b) {
    struct hil_tls_side *s = &c->tls->side[side];
    if (s->in_message || s->hs_head_n > 0) {
        s->hs_records++;
    }
    while (b.n > 0) {
        if (s->in_message) {
            uint32_t left = s->hs_len - s->hs_got;
            uint32_t k = b.n < left ? (uint32_t)b.n : left;
            if (s->hs != NULL) {
                memcpy(s->hs + s->hs_got, b.p, k);
            }
            s->hs_got += k;
            hil_skip(&b, k);
            if (s->hs_got == s->hs_len) {
                if (s->hs == NULL) {
                    s->hs_got = 0; /* it was only counted */
                }
                message_done(d, c, side);
            }
            continue;
        }
        if (s->hs_head_n == 0) {
            s->hs_records = 1;
            if (b.n >= 4 && b.n - 4 >= hil_be24(b.p + 1)) {
                uint32_t len = hil_be24(b.p + 1);
                hil_tls_message(d, c, side, b.p[0], (struct hil_span){b.p + 4, len}, 1);
                hil_skip(&b, 4 + (size_t)len);
                continue;
            }
        }
        while (s->hs_head_n < 4 && b.n > 0) {
            s->hs_head[s->hs_head_n++] = b.p[0];
            hil_skip(&b, 1);
        }
        if (s->hs_head_n == 4) {
            s->hs_len = hil_be24(s->hs_head + 1);
            s->hs_got = 0;
            s->in_message = true;
            s->hs =
                s->hs_len > 0 && s->hs_len <= HIL_MESSAGE_MAX ? hil_table_alloc(&d->table, s->hs_len) : NULL;
            if (s->hs_len == 0) {
                message_done(d, c, side);
            }
        }
    }
}

/* ---- records ---- */

static void say_alert(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b,
                      bool encrypted) {
    if (b.n < 2) {
        return;
    }
    struct hil_tls *t = c->tls;
    t->alerts[side]++;
    t->last_alert[side] = b.p[1];
    t->side[side].alerted = true;
    if (hil_ev_begin(d, HIL_EV_alert, c, side)) {
        J_STR(&d->out, "sender", side == c->client ? "client" : "server");
        J_UINT(&d->out, "level", b.p[0]);
        J_UINT(&d->out, "code", b.p[1]);
        J_STR(&d->out, "name", hil_alert_name(b.p[1]));
        J_BOOL(&d->out, "encrypted", encrypted);
        hil_ev_end(d);
    }
}

static void say_ccs(struct hil_decoder *d, struct hil_conn *c, int side) {
    struct hil_tls *t = c->tls;
    struct hil_tls_side *s = &t->side[side];
    if (hil_ev_begin(d, HIL_EV_ccs, c, side)) {
        hil_ev_end(d);
    }
    if (t->version < 0x0304) {
        s->ccs = true;
        hil_tls_epoch(d, c, side);
    }
}

static void app_bytes(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b) {
    struct hil_tls_side *s = &c->tls->side[side];
    if (b.n == 0) {
        return;
    }
    bool client = side == c->client;
    bool mqtt = c->mqtt != NULL && hil_mqtt_active(c->mqtt);
    if (!s->app_told && (mqtt || hil_mqtt_looks(b.p, b.n, client, hil_flow_mqtt_port(d, c, true)) == 1)) {
        if (c->mqtt != NULL || hil_mqtt_new(d, c) != NULL) {
            hil_mqtt_data(d, c, side, b.p, b.n, true);
            return;
        }
    }
    s->app_told = true;
    if (hil_ev_begin(d, HIL_EV_app, c, side)) {
        J_UINT(&d->out, "len", b.n);
        J_HEX(&d->out, "first", b.p, b.n < 16 ? b.n : 16);
        hil_ev_end(d);
    }
}

static void contents(struct hil_decoder *d, struct hil_conn *c, int side, uint8_t type, struct hil_span b,
                     bool encrypted) {
    switch (type) {
    case HIL_TYPE_CCS:
        say_ccs(d, c, side);
        break;
    case HIL_TYPE_ALERT:
        say_alert(d, c, side, b, encrypted);
        break;
    case HIL_TYPE_HANDSHAKE:
        handshake_bytes(d, c, side, b);
        break;
    case HIL_TYPE_APP:
        app_bytes(d, c, side, b);
        break;
    default:
        break;
    }
}

static void say_record(struct hil_decoder *d, struct hil_conn *c, int side, uint8_t type, bool encrypted,
                       int inner) {
    const struct hil_tls_side *s = &c->tls->side[side];
    if (!hil_ev_begin(d, HIL_EV_record, c, side)) {
        return;
    }
    uint8_t version[2] = {(uint8_t)(s->version >> 8), (uint8_t)s->version};
    J_UINT(&d->out, "type", type);
    J_HEX(&d->out, "version", version, 2);
    J_UINT(&d->out, "len", s->len);
    J_BOOL(&d->out, "encrypted", encrypted);
    if (inner >= 0) {
        J_UINT(&d->out, "inner", inner);
    }
    if (s->damaged) {
        J_LIT(&d->out, ",\"damaged\":true");
    }
    hil_ev_end(d);
}

static void say_sealed(struct hil_decoder *d, struct hil_conn *c, int side, uint8_t type) {
    struct hil_tls *t = c->tls;
    struct hil_tls_side *s = &t->side[side];
    const char *guess = hil_tls_guess(t, c, side, type, s->len);
    bool app =
        s->finished || (t->version < 0x0304 && type == HIL_TYPE_APP) || (t->mid && type == HIL_TYPE_APP);
    s->sealed++;
    s->app_sealed += app;
    if (hil_ev_begin(d, HIL_EV_sealed, c, side)) {
        J_UINT(&d->out, "type", type);
        J_UINT(&d->out, "len", s->len);
        if (app) {
            J_LIT(&d->out, ",\"phase\":\"application\"");
        } else {
            J_LIT(&d->out, ",\"phase\":\"handshake\"");
        }
        J_UINT(&d->out, "index", s->sealed);
        if (guess != NULL) {
            J_STR(&d->out, "guess", guess);
        }
        hil_ev_end(d);
    }
    s->tickets += guess != NULL && strcmp(guess, "new_session_ticket") == 0;
    if (guess != NULL && strcmp(guess, "finished") == 0) {
        s->finished = true;
    }
    if (t->version < 0x0304 && type == HIL_TYPE_HANDSHAKE && s->ccs) {
        s->finished = true; /* the first sealed handshake record after ChangeCipherSpec is Finished */
    }
}

/* Sealed by its place: everything after ChangeCipherSpec up to TLS 1.2, type 23 in TLS 1.3. */
bool hil_tls_is_sealed(const struct hil_tls *t, const struct hil_tls_side *s, uint8_t type, uint32_t len) {
    if (type == HIL_TYPE_APP) {
        return true;
    }
    if (t->version == 0x0304) {
        return false;
    }
    if (s->ccs) {
        return true;
    }
    /* ChangeCipherSpec may have been missed: an alert or ChangeCipherSpec in the clear has one length only.
     */
    return (t->mid || s->gap) && ((type == HIL_TYPE_ALERT && len != 2) || (type == HIL_TYPE_CCS && len != 1));
}

/* A handshake record that cannot be one: what it claims to hold is neither a known type nor a possible
 * length. */
static bool implausible(const struct hil_tls *t, const struct hil_tls_side *s, struct hil_span b) {
    return (t->mid || s->gap) && !s->in_message && s->hs_head_n == 0 &&
           (b.n < 4 || !hil_handshake_known(b.p[0]) || hil_be24(b.p + 1) > HIL_MESSAGE_MAX);
}

/* One whole record; body.p NULL when its bytes were not kept. */
void hil_tls_record(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span body) {
    struct hil_tls *t = c->tls;
    struct hil_tls_side *s = &t->side[side];
    uint8_t type = s->type;
    bool sealed = hil_tls_is_sealed(t, s, type, s->len);
    if (!sealed && type == HIL_TYPE_HANDSHAKE && body.p != NULL && implausible(t, s, body)) {
        sealed = true;
        if (t->version != 0x0304) { /* so its ChangeCipherSpec was missed */
            s->ccs = true;
            hil_tls_epoch(d, c, side);
        }
    }
    uint8_t inner = type;
    int n = -1;
    if (sealed && body.p != NULL && !s->damaged) {
        n = hil_tls_unseal(d, c, side, &inner, body.p, body.n);
    }
    say_record(d, c, side, type, sealed, n >= 0 ? inner : -1);
    if (n >= 0) {
        contents(d, c, side, inner, (struct hil_span){d->scratch, (size_t)n}, true);
    } else if (sealed) {
        say_sealed(d, c, side, type);
    } else if (body.p != NULL && !s->damaged) {
        contents(d, c, side, type, body, false);
    } else if (type == HIL_TYPE_HANDSHAKE) {
        if (s->in_message || s->hs_head_n == 4) {
            hil_tls_message_lost(d, c, side, s->hs_head[0], s->hs_len, "bytes missing in the capture");
        }
        hil_tls_drop_message(d, s);
    } else if (type == HIL_TYPE_CCS) {
        say_ccs(d, c, side);
    }
}

void hil_tls_end(struct hil_decoder *d, struct hil_conn *c, int side) {
    struct hil_tls_side *s = &c->tls->side[side];
    if (s->in_record && hil_ev_begin(d, HIL_EV_record, c, side)) {
        uint8_t version[2] = {(uint8_t)(s->version >> 8), (uint8_t)s->version};
        J_UINT(&d->out, "type", s->type);
        J_HEX(&d->out, "version", version, 2);
        J_UINT(&d->out, "len", s->len);
        J_BOOL(&d->out, "encrypted", hil_tls_is_sealed(c->tls, s, s->type, s->len));
        J_LIT(&d->out, ",\"incomplete\":true");
        J_UINT(&d->out, "got", s->got);
        hil_ev_end(d);
    }
    if (s->in_message) {
        hil_tls_message_lost(d, c, side, s->hs_head[0], s->hs_len, "incomplete");
    }
    hil_tls_drop_buf(d, s);
    hil_tls_drop_message(d, s);
    s->in_record = false;
}

/* ---- SSLv2-compatible hello ---- */

int hil_tls_looks_ssl2(const uint8_t *p, size_t n) {
    if (n >= 1 && (p[0] & 0x80U) == 0) {
        return 0;
    }
    if (n >= 3 && p[2] != 1) {
        return 0;
    }
    if (n >= 5) {
        uint16_t v = hil_be16(p + 3);
        return (v == 2 || (v >> 8 == 3 && (v & 0xffU) <= 4)) && (hil_be16(p) & 0x7fffU) >= 9;
    }
    return -1;
}

void hil_tls_ssl2(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n) {
    struct hil_tls_side *s = &c->tls->side[side];
    size_t total = hil_be16(p) & 0x7fffU;
    struct hil_span body = {p + 2, n - 2 < total ? n - 2 : total};
    struct hil_client_hello h;
    const char *fault = hil_parse_ssl2_hello(body, &h);
    if (hil_ev_begin(d, HIL_EV_client_hello, c, side)) {
        struct hil_json *j = &d->out;
        uint8_t v[2] = {(uint8_t)(h.legacy_version >> 8), (uint8_t)h.legacy_version};
        J_LIT(j, ",\"hrr_retry\":false");
        J_HEX(j, "record_version", v, 2);
        J_HEX(j, "legacy_version", v, 2);
        J_HEX(j, "session_id", h.session_id.p, h.session_id.n);
        J_LIT(j, ",\"suites\":[");
        for (size_t i = 0; i + 2 < h.suites.n; i += 3) {
            J_LIT(j, ",");
            hil_json_uint(j, hil_be24(h.suites.p + i));
        }
        J_LIT(j, "],\"compression\":[],\"extensions\":[]");
        J_UINT(j, "len", total);
        J_LIT(j, ",\"records\":0,\"ssl2\":true");
        if (fault != NULL) {
            J_STR(j, "malformed", fault);
        }
        hil_ev_end(d);
    }
    c->tls->hellos++;
    s->head_n = 0;
    if (n > total + 2) {
        hil_tls_data(d, c, side, p + 2 + total, n - 2 - total);
    }
}

/* ---- what it came to ---- */

enum hil_handshake hil_tls_handshake(const struct hil_tls *t) {
    if (t == NULL) {
        return HIL_HANDSHAKE_NONE;
    }
    if (t->side[0].finished && t->side[1].finished) {
        return HIL_HANDSHAKE_COMPLETE;
    }
    return t->mid && t->hellos == 0 ? HIL_HANDSHAKE_UNKNOWN : HIL_HANDSHAKE_PARTIAL;
}

void hil_tls_close(struct hil_decoder *d, const struct hil_conn *c) {
    static const char *const state[] = {"none", "partial", "complete", "unknown"};
    const struct hil_tls *t = c->tls;
    struct hil_json *j = &d->out;
    J_BOOL(j, "tls", t != NULL);
    J_STR(j, "handshake", state[hil_tls_handshake(t)]);
    if (t == NULL) {
        J_LIT(j, ",\"decrypted\":false,\"keys\":\"none\"");
        return;
    }
    if (t->negotiated) {
        uint8_t v[2] = {(uint8_t)(t->version >> 8), (uint8_t)t->version};
        J_HEX(j, "version", v, 2);
        J_UINT(j, "suite", t->suite);
    }
    bool opened = t->side[0].opened + t->side[1].opened > 0;
    bool failed = t->side[0].failed + t->side[1].failed > 0;
    J_BOOL(j, "decrypted", opened);
    J_STR(j, "keys", opened ? "matched" : failed ? "wrong" : t->keys_found ? "matched" : "none");
    if (d->opt.summary) {
        if (t->sni[0] != 0) {
            J_STR(j, "sni", t->sni);
        }
        for (int i = 0; i < 2; i++) {
            int side = i ^ c->client;
            if (t->alerts[side] > 0) {
                hil_json_sep(j, i == 0 ? ",\"alert_c\":" : ",\"alert_s\":", 11);
                hil_json_uint(j, t->last_alert[side]);
            }
        }
    }
}
