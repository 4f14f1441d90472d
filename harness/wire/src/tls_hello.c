/* ClientHello and ServerHello: what they change in the connection's state, and their events. */
#include "tls.h"

#include "lists.h"

/* ---- ClientHello ---- */

static void client_lists(struct hil_json *j, const struct hil_client_hello *h) {
    if (h->has_versions) {
        INTS16(j, "versions", h->versions);
    }
    if (h->has_groups) {
        INTS16(j, "groups", h->groups);
    }
    if (h->has_sigalgs) {
        INTS16(j, "sigalgs", h->sigalgs);
    }
    if (h->has_sigalgs_cert) {
        INTS16(j, "sigalgs_cert", h->sigalgs_cert);
    }
    if (h->has_key_shares) {
        INTS(j, "key_shares", h->key_share, h->key_share_n);
    }
    if (h->has_sni) {
        J_TEXT(j, "sni", h->sni.p, h->sni.n);
    }
    if (h->has_alpn) {
        struct hil_span list = h->alpn;
        struct hil_span name;
        J_LIT(j, ",\"alpn\":[");
        for (int i = 0; i < 32 && hil_vec8(&list, &name); i++) {
            J_LIT(j, ",");
            hil_json_text(j, name.p, name.n, HIL_JSON_TEXT_MAX);
        }
        J_LIT(j, "]");
    }
    if (h->has_point_formats) {
        INTS8(j, "point_formats", h->point_formats);
    }
    if (h->has_psk_modes) {
        INTS8(j, "psk_modes", h->psk_modes);
    }
}

static void client_flags(struct hil_json *j, const struct hil_client_hello *h) {
    J_BOOL(j, "psk", h->psk);
    J_BOOL(j, "early_data", h->early_data);
    J_BOOL(j, "ems", h->ems);
    J_BOOL(j, "etm", h->etm);
    J_BOOL(j, "reneg_info", h->reneg_info);
    J_BOOL(j, "scsv", h->scsv);
    J_BOOL(j, "fallback_scsv", h->fallback_scsv);
    if (h->has_mfl) {
        J_UINT(j, "max_fragment_length", h->mfl);
    }
    if (h->has_rsl) {
        J_UINT(j, "record_size_limit", h->rsl);
    }
    if (h->has_ticket) {
        J_UINT(j, "session_ticket", h->ticket_len);
    }
    J_BOOL(j, "truncated_hmac", h->truncated_hmac);
    J_BOOL(j, "cookie", h->cookie);
    J_BOOL(j, "padding_nonzero", h->padding_nonzero);
    J_BOOL(j, "status_request", h->status_request);
    INTS(j, "duplicate_extensions", h->duplicate, h->duplicate_n);
}

static void client_state(struct hil_decoder *d, struct hil_conn *c, const struct hil_client_hello *h) {
    struct hil_tls *t = c->tls;
    t->hellos++;
    if (h->random == NULL) {
        return;
    }
    bool same = t->have_client && memcmp(t->client_random, h->random, 32) == 0;
    memcpy(t->client_random, h->random, 32);
    t->have_client = true;
    t->session_id_n = h->session_id.n <= 32 ? (uint8_t)h->session_id.n : 0;
    if (t->session_id_n > 0) {
        memcpy(t->session_id, h->session_id.p, t->session_id_n);
    }
    t->client_etm = h->etm;
    t->early_data = h->early_data && !t->retry;
    if (h->has_sni && t->sni[0] == 0) {
        size_t n = h->sni.n < sizeof t->sni - 1 ? h->sni.n : sizeof t->sni - 1;
        if (n > 0) {
            memcpy(t->sni, h->sni.p, n);
        }
        t->sni[n] = 0;
    }
    if (!same) {
        hil_tls_find_keys(d, c);
    }
}

void hil_tls_client_hello(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b,
                          uint32_t records) {
    struct hil_client_hello h;
    struct hil_tls *t = c->tls;
    const char *fault = hil_parse_client_hello(b, &h);
    bool retry = t->retry;
    bool again = t->hellos > 0 && !retry && t->side[side].finished;
    client_state(d, c, &h);
    if (!hil_ev_begin(d, HIL_EV_client_hello, c, side)) {
        return;
    }
    struct hil_json *j = &d->out;
    J_BOOL(j, "hrr_retry", retry);
    VERSION(j, "record_version", t->side[side].version);
    VERSION(j, "legacy_version", h.legacy_version);
    if (h.random != NULL) {
        J_HEX(j, "random", h.random, 32);
    }
    J_HEX(j, "session_id", h.session_id.p, h.session_id.n);
    INTS16(j, "suites", h.suites);
    INTS8(j, "compression", h.compression);
    INTS(j, "extensions", h.extension, h.extension_n);
    client_lists(j, &h);
    client_flags(j, &h);
    J_UINT(j, "len", b.n);
    J_UINT(j, "records", records);
    if (again) {
        J_LIT(j, ",\"renegotiation\":true");
    }
    if (fault != NULL) {
        J_STR(j, "malformed", fault);
    }
    hil_ev_end(d);
}

/* ---- ServerHello ---- */

static void server_state(struct hil_conn *c, const struct hil_server_hello *h) {
    struct hil_tls *t = c->tls;
    if (h->random == NULL) {
        return;
    }
    if (h->hrr) {
        t->retry = true;
        t->version =
            h->version; /* so that the ChangeCipherSpec beside it is taken for what it is in TLS 1.3 */
        t->suite = h->suite;
        return;
    }
    memcpy(t->server_random, h->random, 32);
    t->have_server = true;
    t->negotiated = true;
    t->version = h->version;
    t->suite = h->suite;
    hil_suite_info(h->suite, &t->info);
    t->ems = h->ems;
    t->etm = h->etm;
    t->resumed = h->version < 0x0304 && t->session_id_n > 0 && h->session_id.n == t->session_id_n &&
                 memcmp(h->session_id.p, t->session_id, t->session_id_n) == 0;
}

void hil_tls_server_hello(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b) {
    struct hil_server_hello h;
    const char *fault = hil_parse_server_hello(b, &h);
    server_state(c, &h);
    if (!hil_ev_begin(d, HIL_EV_server_hello, c, side)) {
        return;
    }
    struct hil_json *j = &d->out;
    const char *name = hil_suite_name(h.suite);
    J_BOOL(j, "hrr", h.hrr);
    VERSION(j, "legacy_version", h.legacy_version);
    VERSION(j, "version", h.version);
    if (h.random != NULL) {
        J_HEX(j, "random", h.random, 32);
    }
    J_HEX(j, "session_id", h.session_id.p, h.session_id.n);
    J_UINT(j, "suite", h.suite);
    J_STR(j, "suite_name", name != NULL ? name : "unknown");
    J_UINT(j, "compression", h.compression);
    INTS(j, "extensions", h.extension, h.extension_n);
    if (h.has_group) {
        if (h.hrr) {
            J_UINT(j, "retry_group", h.group);
        } else {
            J_UINT(j, "group", h.group);
        }
    }
    if (h.has_alpn) {
        J_TEXT(j, "alpn", h.alpn.p, h.alpn.n);
    }
    if (h.has_psk) {
        J_UINT(j, "psk", h.psk);
    }
    J_BOOL(j, "ems", h.ems);
    J_BOOL(j, "etm", h.etm);
    if (h.version < 0x0304) {
        J_BOOL(j, "resumed", c->tls->resumed);
    }
    J_UINT(j, "len", b.n);
    if (fault != NULL) {
        J_STR(j, "malformed", fault);
    }
    hil_ev_end(d);
}
