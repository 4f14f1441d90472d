/* Handshake messages: what they change in the connection's state, and their events. */
#include "tls.h"
#include "lists.h"
#include "x509.h"

#include <openssl/sha.h>
#include <stdlib.h>

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
    if (x->names_more > 0) {
        J_UINT(j, "names_more", x->names_more);
    }
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
        hil_tls_client_hello(d, c, side, b, records);
        break;
    case HIL_HS_SERVER_HELLO:
        hil_tls_server_hello(d, c, side, b);
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
