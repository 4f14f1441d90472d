/* Handshake messages: what they change in the connection's state, and their events. */
#include "tls.h"
#include "x509.h"

#include <openssl/sha.h>
#include <stdlib.h>

static void ints16(struct hil_json *j, const char *key, size_t key_n, struct hil_span list) {
    hil_json_sep(j, key, key_n);
    for (size_t i = 0; i + 1 < list.n; i += 2) {
        J_LIT(j, ",");
        hil_json_uint(j, hil_be16(list.p + i));
    }
    J_LIT(j, "]");
}
#define INTS16(j, key, list) ints16((j), ",\"" key "\":[", sizeof(",\"" key "\":[") - 1, (list))

static void ints8(struct hil_json *j, const char *key, size_t key_n, struct hil_span list) {
    hil_json_sep(j, key, key_n);
    for (size_t i = 0; i < list.n; i++) {
        J_LIT(j, ",");
        hil_json_uint(j, list.p[i]);
    }
    J_LIT(j, "]");
}
#define INTS8(j, key, list) ints8((j), ",\"" key "\":[", sizeof(",\"" key "\":[") - 1, (list))

static void ints(struct hil_json *j, const char *key, size_t key_n, const uint16_t *v, size_t n) {
    hil_json_sep(j, key, key_n);
    for (size_t i = 0; i < n; i++) {
        J_LIT(j, ",");
        hil_json_uint(j, v[i]);
    }
    J_LIT(j, "]");
}
#define INTS(j, key, v, n) ints((j), ",\"" key "\":[", sizeof(",\"" key "\":[") - 1, (v), (n))

static void version_key(struct hil_json *j, const char *key, size_t key_n, uint16_t v) {
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    hil_json_sep(j, key, key_n);
    hil_json_hex(j, b, 2);
}
#define VERSION(j, key, v) version_key((j), ",\"" key "\":", sizeof(",\"" key "\":") - 1, (v))

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

static void client_hello(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b,
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

static void server_hello(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b) {
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

/* ---- Certificate ---- */

static void cert_names(struct hil_json *j, const struct hil_cert *x) {
    J_LIT(j, ",\"dns\":[");
    for (size_t i = 0; i < x->dns_n; i++) {
        J_LIT(j, ",");
        hil_json_text(j, x->dns[i].p, x->dns[i].n, HIL_JSON_TEXT_MAX);
    }
    J_LIT(j, "],\"ip\":[");
    for (size_t i = 0; i < x->ip_n; i++) {
        struct hil_addr a = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};
        char text[48];
        memcpy(x->ip[i].n == 4 ? a.b + 12 : a.b, x->ip[i].p, x->ip[i].n);
        hil_addr_text(&a, text);
        J_LIT(j, ",");
        hil_json_str(j, text);
    }
    J_LIT(j, "]");
}

static void cert_usage(struct hil_json *j, const struct hil_cert *x) {
    J_BOOL(j, "ca", x->ca);
    if (x->has_key_usage) {
        J_LIT(j, ",\"key_usage\":[");
        for (unsigned i = 0; i < 9; i++) {
            if ((x->key_usage >> i & 1U) != 0) {
                J_LIT(j, ",");
                hil_json_str(j, hil_key_usage_name[i]);
            }
        }
        J_LIT(j, "]");
    }
    if (x->has_eku) {
        J_LIT(j, ",\"eku\":[");
        for (size_t i = 0; i < x->eku_n; i++) {
            J_LIT(j, ",");
            hil_json_str(j, x->eku[i]);
        }
        J_LIT(j, "]");
    }
}

static void one_cert(struct hil_decoder *d, struct hil_span der) {
    struct hil_json *j = &d->out;
    struct hil_cert x;
    uint8_t sha[32];
    hil_x509_parse(der, &x);
    SHA256(der.p, der.n, sha);
    J_LIT(j, ",{");
    J_UINT(j, "len", der.n);
    J_STR(j, "subject", x.subject);
    J_STR(j, "issuer", x.issuer);
    J_HEX(j, "serial", x.serial.p, x.serial.n < 64 ? x.serial.n : 64);
    J_INT(j, "not_before", x.not_before);
    J_INT(j, "not_after", x.not_after);
    cert_names(j, &x);
    J_STR(j, "cn", x.cn);
    J_STR(j, "key", x.key);
    J_UINT(j, "bits", x.bits);
    if (x.curve != NULL) {
        J_STR(j, "curve", x.curve);
    }
    J_STR(j, "sig", x.sig != NULL ? x.sig : "other");
    cert_usage(j, &x);
    J_BOOL(j, "self_signed", x.self_signed);
    if (x.ski.n > 0) {
        J_HEX(j, "ski", x.ski.p, x.ski.n < 64 ? x.ski.n : 64);
    }
    if (x.aki.n > 0) {
        J_HEX(j, "aki", x.aki.p, x.aki.n < 64 ? x.aki.n : 64);
    }
    J_HEX(j, "sha256", sha, 32);
    if (x.malformed != NULL) {
        J_STR(j, "malformed", x.malformed);
    }
    if (d->opt.der) {
        J_HEX(j, "der", der.p, der.n);
    }
    J_LIT(j, "}");
}

#define CHAIN_MAX 32

static void certificate(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b,
                        uint32_t records) {
    if (!hil_ev_begin(d, HIL_EV_certificate, c, side)) {
        return;
    }
    struct hil_json *j = &d->out;
    bool tls13 = c->tls->version == 0x0304;
    struct hil_span context;
    struct hil_span list;
    struct hil_span der;
    const char *fault = hil_parse_certificate(b, tls13, &context, &list);
    uint32_t count = 0;
    int more;
    J_UINT(j, "len", b.n);
    J_UINT(j, "records", records);
    J_LIT(j, ",\"chain\":[");
    while ((more = hil_next_certificate(&list, tls13, &der)) > 0) {
        if (count++ < CHAIN_MAX) {
            one_cert(d, der);
        }
    }
    J_LIT(j, "]");
    J_UINT(j, "count", count);
    if (tls13 && context.n > 0) {
        J_HEX(j, "context", context.p, context.n);
    }
    if (fault != NULL || more < 0) {
        J_STR(j, "malformed", fault != NULL ? fault : "certificate length");
    }
    hil_ev_end(d);
}

static void certificate_request(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b) {
    if (!hil_ev_begin(d, HIL_EV_certificate_request, c, side)) {
        return;
    }
    struct hil_json *j = &d->out;
    struct hil_certificate_request r;
    const char *fault = hil_parse_certificate_request(b, c->tls->version, &r);
    struct hil_span der;
    INTS16(j, "sigalgs", r.sigalgs);
    if (r.has_types) {
        INTS8(j, "types", r.types);
    }
    J_LIT(j, ",\"cas\":[");
    for (int i = 0; i < CHAIN_MAX && hil_vec16(&r.cas, &der); i++) {
        char name[HIL_NAME_MAX];
        hil_x509_name(der, name, sizeof name);
        J_LIT(j, ",");
        hil_json_str(j, name);
    }
    J_LIT(j, "]");
    J_UINT(j, "len", b.n);
    if (fault != NULL) {
        J_STR(j, "malformed", fault);
    }
    hil_ev_end(d);
}

/* ---- the others ---- */

static void server_key_exchange(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b) {
    if (!hil_ev_begin(d, HIL_EV_server_key_exchange, c, side)) {
        return;
    }
    struct hil_json *j = &d->out;
    struct hil_server_key_exchange k;
    const struct hil_tls *t = c->tls;
    const char *fault = hil_parse_server_key_exchange(b, t->version, hil_suite_name(t->suite), &k);
    if (k.has_group) {
        J_UINT(j, "group", k.group);
    }
    J_STR(j, "kind", k.kind);
    if (k.has_sigalg) {
        J_UINT(j, "sigalg", k.sigalg);
    }
    J_UINT(j, "len", b.n);
    if (fault != NULL) {
        J_STR(j, "malformed", fault);
    }
    hil_ev_end(d);
}

static void certificate_verify(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b) {
    if (!hil_ev_begin(d, HIL_EV_certificate_verify, c, side)) {
        return;
    }
    struct hil_span sig = {NULL, 0};
    size_t len = b.n;
    uint16_t alg = 0;
    bool ok = c->tls->version != 0 && c->tls->version < 0x0303 ? hil_vec16(&b, &sig)
                                                               : hil_u16(&b, &alg) && hil_vec16(&b, &sig);
    J_UINT(&d->out, "sigalg", alg);
    J_UINT(&d->out, "sig_len", sig.n);
    J_UINT(&d->out, "len", len);
    if (!ok) {
        J_STR(&d->out, "malformed", "signature");
    }
    hil_ev_end(d);
}

static void new_session_ticket(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b) {
    if (!hil_ev_begin(d, HIL_EV_new_session_ticket, c, side)) {
        return;
    }
    uint32_t lifetime = b.n >= 4 ? hil_be32(b.p) : 0;
    J_UINT(&d->out, "lifetime", lifetime);
    J_UINT(&d->out, "len", b.n);
    hil_ev_end(d);
}

static void encrypted_extensions(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b) {
    if (!hil_ev_begin(d, HIL_EV_encrypted_extensions, c, side)) {
        return;
    }
    struct hil_encrypted_extensions h;
    const char *fault = hil_parse_encrypted_extensions(b, &h);
    INTS(&d->out, "extensions", h.extension, h.extension_n);
    if (h.has_alpn) {
        J_TEXT(&d->out, "alpn", h.alpn.p, h.alpn.n);
    }
    J_UINT(&d->out, "len", b.n);
    if (fault != NULL) {
        J_STR(&d->out, "malformed", fault);
    }
    hil_ev_end(d);
}

static void plain_message(struct hil_decoder *d, struct hil_conn *c, int side, enum hil_ev ev,
                          struct hil_span b) {
    if (hil_ev_begin(d, ev, c, side)) {
        J_UINT(&d->out, "len", b.n);
        hil_ev_end(d);
    }
}

void hil_tls_message_lost(struct hil_decoder *d, struct hil_conn *c, int side, uint8_t type, uint32_t len,
                          const char *why) {
    if (hil_ev_begin(d, HIL_EV_handshake, c, side)) {
        J_UINT(&d->out, "type", type);
        J_UINT(&d->out, "len", len);
        if (why != NULL) {
            J_STR(&d->out, "malformed", why);
        }
        hil_ev_end(d);
    }
}

static void finished(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b) {
    struct hil_tls *t = c->tls;
    plain_message(d, c, side, HIL_EV_finished, b);
    t->side[side].finished = true;
    if (t->version == 0x0304) {
        hil_tls_epoch(d, c, side);
    }
}

static void key_update(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b) {
    struct hil_tls_side *s = &c->tls->side[side];
    plain_message(d, c, side, HIL_EV_key_update, b);
    if (s->opener != NULL && s->app_keys) {
        hil_opener_update(s->opener);
    }
}

static void end_of_early_data(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b) {
    struct hil_tls *t = c->tls;
    plain_message(d, c, side, HIL_EV_end_of_early_data, b);
    t->early_data = false;
    hil_tls_set_opener(d, &t->side[side], NULL);
    t->side[side].tried = false; /* handshake keys come next */
}

void hil_tls_message(struct hil_decoder *d, struct hil_conn *c, int side, uint8_t type, struct hil_span b,
                     uint32_t records) {
    switch (type) {
    case HIL_HS_CLIENT_HELLO:
        client_hello(d, c, side, b, records);
        break;
    case HIL_HS_SERVER_HELLO:
        server_hello(d, c, side, b);
        break;
    case HIL_HS_ENCRYPTED_EXTENSIONS:
        encrypted_extensions(d, c, side, b);
        break;
    case HIL_HS_CERTIFICATE:
        certificate(d, c, side, b, records);
        break;
    case HIL_HS_SERVER_KEY_EXCHANGE:
        server_key_exchange(d, c, side, b);
        break;
    case HIL_HS_CERTIFICATE_REQUEST:
        certificate_request(d, c, side, b);
        break;
    case HIL_HS_CERTIFICATE_VERIFY:
        certificate_verify(d, c, side, b);
        break;
    case HIL_HS_NEW_SESSION_TICKET:
        new_session_ticket(d, c, side, b);
        break;
    case HIL_HS_FINISHED:
        finished(d, c, side, b);
        break;
    case HIL_HS_KEY_UPDATE:
        key_update(d, c, side, b);
        break;
    case HIL_HS_END_OF_EARLY_DATA:
        end_of_early_data(d, c, side, b);
        break;
    case HIL_HS_HELLO_REQUEST:
        plain_message(d, c, side, HIL_EV_hello_request, b);
        break;
    case HIL_HS_SERVER_HELLO_DONE:
        plain_message(d, c, side, HIL_EV_server_hello_done, b);
        break;
    case HIL_HS_CLIENT_KEY_EXCHANGE:
        plain_message(d, c, side, HIL_EV_client_key_exchange, b);
        break;
    case HIL_HS_CERTIFICATE_STATUS:
        plain_message(d, c, side, HIL_EV_certificate_status, b);
        break;
    default:
        hil_tls_message_lost(d, c, side, type, (uint32_t)b.n,
                             hil_handshake_known(type) ? NULL : "unknown type");
        break;
    }
}
