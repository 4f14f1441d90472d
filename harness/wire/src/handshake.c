#include "handshake.h"

enum {
    EXT_SNI = 0,
    EXT_MAX_FRAGMENT = 1,
    EXT_TRUNCATED_HMAC = 4,
    EXT_STATUS_REQUEST = 5,
    EXT_GROUPS = 10,
    EXT_POINT_FORMATS = 11,
    EXT_SIGALGS = 13,
    EXT_ALPN = 16,
    EXT_PADDING = 21,
    EXT_ETM = 22,
    EXT_EMS = 23,
    EXT_RECORD_SIZE = 28,
    EXT_TICKET = 35,
    EXT_PSK = 41,
    EXT_EARLY_DATA = 42,
    EXT_VERSIONS = 43,
    EXT_COOKIE = 44,
    EXT_PSK_MODES = 45,
    EXT_CAS = 47,
    EXT_SIGALGS_CERT = 50,
    EXT_KEY_SHARE = 51,
    EXT_RENEGOTIATION = 0xff01,
};

/* SHA-256 of "HelloRetryRequest" (RFC 8446 4.1.3). */
static const uint8_t retry_random[32] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                         0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                         0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

bool hil_handshake_known(uint8_t type) {
    return type <= 2 || type == 4 || type == 5 || type == 8 || (type >= 11 && type <= 16) ||
           (type >= 20 && type <= 26);
}

/* Next extension: 1, 0 at the end, -1 malformed. */
static int next_extension(struct hil_span *list, uint16_t *type, struct hil_span *body) {
    if (list->n == 0) {
        return 0;
    }
    return hil_u16(list, type) && hil_vec16(list, body) ? 1 : -1;
}

static bool list16(struct hil_span body, struct hil_span *out) {
    return hil_vec16(&body, out) && body.n == 0 && out->n % 2 == 0;
}

static const char *client_sni(struct hil_span body, struct hil_client_hello *h) {
    struct hil_span names;
    struct hil_span name;
    uint8_t type = 0;
    h->has_sni = true;
    if (!hil_vec16(&body, &names)) {
        return "server_name";
    }
    if (!hil_u8(&names, &type) || !hil_vec16(&names, &name)) {
        return "server_name";
    }
    if (type == 0) {
        h->sni = name;
    }
    return NULL;
}

static const char *client_key_shares(struct hil_span body, struct hil_client_hello *h) {
    struct hil_span shares;
    h->has_key_shares = true;
    if (!hil_vec16(&body, &shares)) {
        return "key_share";
    }
    while (shares.n > 0) {
        uint16_t group;
        struct hil_span key;
        if (!hil_u16(&shares, &group) || !hil_vec16(&shares, &key)) {
            return "key_share";
        }
        if (h->key_share_n < HIL_KEY_SHARES_MAX) {
            h->key_share[h->key_share_n++] = group;
        }
    }
    return NULL;
}

static const char *client_extension(uint16_t type, struct hil_span b, struct hil_client_hello *h) {
    switch (type) {
    case EXT_SNI:
        return client_sni(b, h);
    case EXT_MAX_FRAGMENT:
        h->has_mfl = b.n == 1;
        h->mfl = b.n == 1 ? b.p[0] : 0;
        return b.n == 1 ? NULL : "max_fragment_length";
    case EXT_TRUNCATED_HMAC:
        h->truncated_hmac = true;
        return NULL;
    case EXT_STATUS_REQUEST:
        h->status_request = true;
        return NULL;
    case EXT_GROUPS:
        h->has_groups = true;
        return list16(b, &h->groups) ? NULL : "supported_groups";
    case EXT_POINT_FORMATS:
        h->has_point_formats = true;
        return hil_vec8(&b, &h->point_formats) ? NULL : "ec_point_formats";
    case EXT_SIGALGS:
        h->has_sigalgs = true;
        return list16(b, &h->sigalgs) ? NULL : "signature_algorithms";
    case EXT_SIGALGS_CERT:
        h->has_sigalgs_cert = true;
        return list16(b, &h->sigalgs_cert) ? NULL : "signature_algorithms_cert";
    case EXT_ALPN:
        h->has_alpn = true;
        return hil_vec16(&b, &h->alpn) ? NULL : "alpn";
    case EXT_PADDING:
        for (size_t i = 0; i < b.n; i++) {
            h->padding_nonzero = h->padding_nonzero || b.p[i] != 0;
        }
        return NULL;
    case EXT_ETM:
        h->etm = true;
        return NULL;
    case EXT_EMS:
        h->ems = true;
        return NULL;
    case EXT_RECORD_SIZE:
        h->has_rsl = hil_u16(&b, &h->rsl);
        return h->has_rsl ? NULL : "record_size_limit";
    case EXT_TICKET:
        h->has_ticket = true;
        h->ticket_len = b.n;
        return NULL;
    case EXT_PSK:
        h->psk = true;
        return NULL;
    case EXT_EARLY_DATA:
        h->early_data = true;
        return NULL;
    case EXT_VERSIONS:
        h->has_versions = true;
        return hil_vec8(&b, &h->versions) && b.n == 0 && h->versions.n % 2 == 0 ? NULL : "supported_versions";
    case EXT_COOKIE:
        h->cookie = true;
        return NULL;
    case EXT_PSK_MODES:
        h->has_psk_modes = true;
        return hil_vec8(&b, &h->psk_modes) ? NULL : "psk_key_exchange_modes";
    case EXT_KEY_SHARE:
        return client_key_shares(b, h);
    case EXT_RENEGOTIATION:
        h->reneg_info = true;
        return NULL;
    default:
        return NULL;
    }
}

static void note_extension(struct hil_client_hello *h, uint16_t type) {
    for (size_t i = 0; i < h->extension_n; i++) {
        if (h->extension[i] == type) {
            if (h->duplicate_n < sizeof h->duplicate / sizeof *h->duplicate) {
                h->duplicate[h->duplicate_n++] = type;
            }
            break;
        }
    }
    if (h->extension_n < HIL_EXTENSIONS_MAX) {
        h->extension[h->extension_n++] = type;
    }
}

static void note_scsv(struct hil_client_hello *h) {
    for (size_t i = 0; i + 1 < h->suites.n; i += 2) {
        uint16_t s = hil_be16(h->suites.p + i);
        h->scsv = h->scsv || s == 0x00ff;
        h->fallback_scsv = h->fallback_scsv || s == 0x5600;
    }
    h->reneg_info = h->reneg_info || h->scsv;
}

const char *hil_parse_client_hello(struct hil_span b, struct hil_client_hello *h) {
    struct hil_span random;
    struct hil_span list;
    memset(h, 0, sizeof *h);
    if (!hil_u16(&b, &h->legacy_version) || !hil_take(&b, 32, &random)) {
        return "too short";
    }
    h->random = random.p;
    if (!hil_vec8(&b, &h->session_id)) {
        return "session id";
    }
    if (!hil_vec16(&b, &h->suites)) {
        return "cipher suites";
    }
    note_scsv(h);
    if (!hil_vec8(&b, &h->compression)) {
        return "compression methods";
    }
    if (b.n == 0) {
        return h->suites.n % 2 != 0 ? "cipher suites" : NULL;
    }
    if (!hil_vec16(&b, &list)) {
        return "extensions length";
    }
    const char *fault = b.n != 0 ? "bytes after the extensions" : NULL;
    uint16_t type;
    struct hil_span body;
    int more;
    while ((more = next_extension(&list, &type, &body)) > 0) {
        note_extension(h, type);
        const char *bad = client_extension(type, body, h);
        fault = fault != NULL ? fault : bad;
    }
    if (more < 0) {
        return "extension length";
    }
    if (fault == NULL) {
        fault = h->session_id.n > 32                                    ? "session id"
                : h->suites.n == 0 || h->suites.n % 2 != 0              ? "cipher suites"
                : h->psk && h->extension[h->extension_n - 1] != EXT_PSK ? "pre_shared_key is not last"
                                                                        : NULL;
    }
    return fault;
}

const char *hil_parse_ssl2_hello(struct hil_span b, struct hil_client_hello *h) {
    uint8_t type;
    uint16_t suites;
    uint16_t session;
    uint16_t challenge;
    memset(h, 0, sizeof *h);
    if (!hil_u8(&b, &type) || !hil_u16(&b, &h->legacy_version) || !hil_u16(&b, &suites) ||
        !hil_u16(&b, &session) || !hil_u16(&b, &challenge)) {
        return "too short";
    }
    if (!hil_take(&b, suites, &h->suites) || suites % 3 != 0) {
        return "cipher specs"; /* three bytes each; the caller prints them as such */
    }
    if (!hil_take(&b, session, &h->session_id)) {
        return "session id";
    }
    return b.n < challenge ? "challenge" : NULL;
}

static const char *server_extension(uint16_t type, struct hil_span b, struct hil_server_hello *h) {
    struct hil_span list;
    switch (type) {
    case EXT_VERSIONS:
        return hil_u16(&b, &h->version) ? NULL : "supported_versions";
    case EXT_KEY_SHARE:
        h->has_group = hil_u16(&b, &h->group);
        return h->has_group ? NULL : "key_share";
    case EXT_PSK:
        h->has_psk = hil_u16(&b, &h->psk);
        return h->has_psk ? NULL : "pre_shared_key";
    case EXT_EMS:
        h->ems = true;
        return NULL;
    case EXT_ETM:
        h->etm = true;
        return NULL;
    case EXT_TICKET:
        h->ticket = true;
        return NULL;
    case EXT_ALPN:
        h->has_alpn = hil_vec16(&b, &list) && hil_vec8(&list, &h->alpn);
        return h->has_alpn ? NULL : "alpn";
    default:
        return NULL;
    }
}

const char *hil_parse_server_hello(struct hil_span b, struct hil_server_hello *h) {
    struct hil_span random;
    struct hil_span list;
    memset(h, 0, sizeof *h);
    if (!hil_u16(&b, &h->legacy_version) || !hil_take(&b, 32, &random)) {
        return "too short";
    }
    h->version = h->legacy_version;
    h->random = random.p;
    h->hrr = memcmp(random.p, retry_random, 32) == 0;
    if (!hil_vec8(&b, &h->session_id)) {
        return "session id";
    }
    if (!hil_u16(&b, &h->suite) || !hil_u8(&b, &h->compression)) {
        return "too short";
    }
    if (b.n == 0) {
        return NULL;
    }
    if (!hil_vec16(&b, &list)) {
        return "extensions length";
    }
    const char *fault = b.n != 0 ? "bytes after the extensions" : NULL;
    uint16_t type;
    struct hil_span body;
    int more;
    while ((more = next_extension(&list, &type, &body)) > 0) {
        if (h->extension_n < HIL_EXTENSIONS_MAX) {
            h->extension[h->extension_n++] = type;
        }
        const char *bad = server_extension(type, body, h);
        fault = fault != NULL ? fault : bad;
    }
    return more < 0 ? "extension length" : fault;
}

const char *hil_parse_encrypted_extensions(struct hil_span b, struct hil_encrypted_extensions *h) {
    struct hil_span list;
    memset(h, 0, sizeof *h);
    if (!hil_vec16(&b, &list) || b.n != 0) {
        return "extensions length";
    }
    uint16_t type;
    struct hil_span body;
    int more;
    while ((more = next_extension(&list, &type, &body)) > 0) {
        if (h->extension_n < HIL_EXTENSIONS_MAX) {
            h->extension[h->extension_n++] = type;
        }
        if (type == EXT_ALPN) {
            struct hil_span names;
            h->has_alpn = hil_vec16(&body, &names) && hil_vec8(&names, &h->alpn);
        }
    }
    return more < 0 ? "extension length" : NULL;
}

const char *hil_parse_certificate(struct hil_span b, bool tls13, struct hil_span *context,
                                  struct hil_span *list) {
    context->n = list->n = 0;
    if (tls13 && !hil_vec8(&b, context)) {
        return "context";
    }
    if (!hil_vec24(&b, list)) {
        return "list length";
    }
    return b.n != 0 ? "bytes after the list" : NULL;
}

int hil_next_certificate(struct hil_span *list, bool tls13, struct hil_span *der) {
    struct hil_span extensions;
    if (list->n == 0) {
        return 0;
    }
    if (!hil_vec24(list, der)) {
        return -1;
    }
    if (tls13 && !hil_vec16(list, &extensions)) {
        return -1;
    }
    return 1;
}

static const char *request13(struct hil_span b, struct hil_certificate_request *r) {
    struct hil_span context;
    struct hil_span list;
    if (!hil_vec8(&b, &context) || !hil_vec16(&b, &list)) {
        return "too short";
    }
    uint16_t type;
    struct hil_span body;
    int more;
    while ((more = next_extension(&list, &type, &body)) > 0) {
        if (type == EXT_SIGALGS) {
            r->has_sigalgs = list16(body, &r->sigalgs);
        } else if (type == EXT_CAS && !hil_vec16(&body, &r->cas)) {
            return "certificate_authorities";
        }
    }
    return more < 0 ? "extension length" : NULL;
}

const char *hil_parse_certificate_request(struct hil_span b, uint16_t version,
                                          struct hil_certificate_request *r) {
    memset(r, 0, sizeof *r);
    if (version >= 0x0304) {
        return request13(b, r);
    }
    r->has_types = hil_vec8(&b, &r->types);
    if (!r->has_types) {
        return "certificate types";
    }
    if (version == 0x0303) {
        r->has_sigalgs = hil_vec16(&b, &r->sigalgs) && r->sigalgs.n % 2 == 0;
        if (!r->has_sigalgs) {
            return "signature algorithms";
        }
    }
    return hil_vec16(&b, &r->cas) ? NULL : "certificate authorities";
}

const char *hil_parse_server_key_exchange(struct hil_span b, uint16_t version, const char *suite_name,
                                          struct hil_server_key_exchange *k) {
    struct hil_span part;
    uint8_t curve_type;
    memset(k, 0, sizeof *k);
    k->kind = "other";
    if (suite_name == NULL) {
        return NULL;
    }
    bool psk = strstr(suite_name, "_PSK_WITH") != NULL;
    bool ecdhe = strstr(suite_name, "ECDHE_") != NULL || strstr(suite_name, "ECDH_anon") != NULL;
    bool dhe = strstr(suite_name, "DHE_") != NULL || strstr(suite_name, "DH_anon") != NULL;
    if (psk && !hil_vec16(&b, &part)) {
        return "psk hint";
    }
    if (ecdhe) {
        k->kind = "ecdhe";
        if (!hil_u8(&b, &curve_type)) {
            return "curve type";
        }
        if (curve_type != 3) {
            return NULL; /* explicit curve parameters: nothing more to name */
        }
        k->has_group = hil_u16(&b, &k->group);
        if (!k->has_group || !hil_vec8(&b, &part)) {
            return "public key";
        }
    } else if (dhe) {
        k->kind = "dhe";
        for (int i = 0; i < 3; i++) { /* prime, generator, public value */
            if (!hil_vec16(&b, &part)) {
                return "parameters";
            }
        }
    } else if (psk) {
        k->kind = "psk";
    }
    if (version == 0x0303 && b.n >= 4) {
        k->has_sigalg = hil_u16(&b, &k->sigalg);
    }
    return NULL;
}
