#include "x509.h"

#include "utf8.h"

const char *const hil_key_usage_name[9] = {
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
    "keyCertSign",      "cRLSign",        "encipherOnly",    "decipherOnly",
};

enum {
    TAG_BOOLEAN = 0x01,
    TAG_INTEGER = 0x02,
    TAG_BIT_STRING = 0x03,
    TAG_OCTET_STRING = 0x04,
    TAG_OID = 0x06,
    TAG_UTC_TIME = 0x17,
    TAG_GENERAL_TIME = 0x18,
    TAG_BMP_STRING = 0x1e,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
};

/* Next element: its tag, contents and (optionally) the whole of it. */
static bool element(struct hil_span *s, uint8_t *tag, struct hil_span *body, struct hil_span *whole) {
    struct hil_span t = *s;
    uint8_t first;
    uint8_t lead;
    if (!hil_u8(&t, &first) || (first & 0x1fU) == 0x1fU || !hil_u8(&t, &lead)) {
        return false;
    }
    size_t len = lead;
    if (lead >= 0x80) {
        size_t k = lead & 0x7fU;
        len = 0;
        if (k == 0 || k > 4) {
            return false;
        }
        for (; k > 0; k--) {
            uint8_t b;
            if (!hil_u8(&t, &b)) {
                return false;
            }
            len = len << 8 | b;
        }
    }
    const uint8_t *start = s->p;
    if (!hil_take(&t, len, body)) {
        return false;
    }
    *tag = first;
    if (whole != NULL) {
        whole->p = start;
        whole->n = (size_t)(t.p - start);
    }
    *s = t;
    return true;
}

static bool expect(struct hil_span *s, uint8_t tag, struct hil_span *body) {
    struct hil_span t = *s;
    uint8_t got;
    if (!element(&t, &got, body, NULL) || got != tag) {
        return false;
    }
    *s = t;
    return true;
}

struct oid_name {
    const char *name;
    uint8_t n;
    uint8_t oid[11];
};

static const char *oid_find(const struct oid_name *table, size_t n, struct hil_span oid) {
    for (size_t i = 0; i < n; i++) {
        if (oid.n == table[i].n && memcmp(oid.p, table[i].oid, oid.n) == 0) {
            return table[i].name;
        }
    }
    return NULL;
}
#define OID_FIND(table, oid) oid_find(table, sizeof(table) / sizeof *(table), oid)

static const struct oid_name name_oids[] = {
    {"CN", 3, {0x55, 4, 3}},
    {"SN", 3, {0x55, 4, 4}},
    {"serialNumber", 3, {0x55, 4, 5}},
    {"C", 3, {0x55, 4, 6}},
    {"L", 3, {0x55, 4, 7}},
    {"ST", 3, {0x55, 4, 8}},
    {"street", 3, {0x55, 4, 9}},
    {"O", 3, {0x55, 4, 10}},
    {"OU", 3, {0x55, 4, 11}},
    {"title", 3, {0x55, 4, 12}},
    {"GN", 3, {0x55, 4, 42}},
    {"dnQualifier", 3, {0x55, 4, 46}},
    {"emailAddress", 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1}},
    {"UID", 10, {0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1}},
    {"DC", 10, {0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25}},
};

static const struct oid_name sig_oids[] = {
    {"md5WithRSAEncryption", 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4}},
    {"sha1WithRSAEncryption", 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5}},
    {"rsassaPss", 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10}},
    {"sha256WithRSAEncryption", 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11}},
    {"sha384WithRSAEncryption", 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12}},
    {"sha512WithRSAEncryption", 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13}},
    {"sha224WithRSAEncryption", 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 14}},
    {"ecdsa-with-SHA1", 7, {0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1}},
    {"ecdsa-with-SHA224", 8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 1}},
    {"ecdsa-with-SHA256", 8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2}},
    {"ecdsa-with-SHA384", 8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3}},
    {"ecdsa-with-SHA512", 8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4}},
    {"ed25519", 3, {0x2b, 0x65, 0x70}},
    {"ed448", 3, {0x2b, 0x65, 0x71}},
};

static const struct oid_name curve_oids[] = {
    {"secp192r1", 8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1}},
    {"secp256r1", 8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}},
    {"secp256k1", 5, {0x2b, 0x81, 4, 0, 10}},
    {"secp224r1", 5, {0x2b, 0x81, 4, 0, 33}},
    {"secp384r1", 5, {0x2b, 0x81, 4, 0, 34}},
    {"secp521r1", 5, {0x2b, 0x81, 4, 0, 35}},
    {"brainpoolP256r1", 9, {0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7}},
    {"brainpoolP384r1", 9, {0x2b, 0x24, 3, 3, 2, 8, 1, 1, 11}},
    {"brainpoolP512r1", 9, {0x2b, 0x24, 3, 3, 2, 8, 1, 1, 13}},
};

static const struct oid_name eku_oids[] = {
    {"serverAuth", 8, {0x2b, 6, 1, 5, 5, 7, 3, 1}},    {"clientAuth", 8, {0x2b, 6, 1, 5, 5, 7, 3, 2}},
    {"codeSigning", 8, {0x2b, 6, 1, 5, 5, 7, 3, 3}},   {"emailProtection", 8, {0x2b, 6, 1, 5, 5, 7, 3, 4}},
    {"timeStamping", 8, {0x2b, 6, 1, 5, 5, 7, 3, 8}},  {"OCSPSigning", 8, {0x2b, 6, 1, 5, 5, 7, 3, 9}},
    {"anyExtendedKeyUsage", 4, {0x55, 0x1d, 0x25, 0}},
};

static const struct oid_name key_oids[] = {
    {"rsa", 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1}},
    {"rsa-pss", 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10}},
    {"ec", 7, {0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1}},
    {"ed25519", 3, {0x2b, 0x65, 0x70}},
};

static void append(char *to, size_t room, size_t *at, const void *text, size_t n) {
    size_t left = room - 1 - *at;
    size_t k = n < left ? n : left;
    memcpy(to + *at, text, k);
    *at += k;
    to[*at] = 0;
}

/* BMPString and friends are rare; they come out as their Latin half. Others are taken as UTF-8 and escaped
 * later. */
static void append_value(char *to, size_t room, size_t *at, uint8_t tag, struct hil_span v) {
    if (tag != TAG_BMP_STRING) {
        append(to, room, at, v.p, v.n);
        return;
    }
    for (size_t i = 1; i < v.n; i += 2) {
        append(to, room, at, v.p + i, 1);
    }
}

static void oid_text(char *to, size_t room, size_t *at, struct hil_span oid) {
    static const char digit[] = "0123456789abcdef";
    append(to, room, at, "oid.", 4);
    for (size_t i = 0; i < oid.n; i++) {
        char two[2] = {digit[oid.p[i] >> 4], digit[oid.p[i] & 15]};
        append(to, room, at, two, 2);
    }
}

/* Calls out every attribute of a Name; stops quietly where it cannot be read. */
static void name_text(struct hil_span name, char *to, size_t room, char *cn, size_t cn_room) {
    size_t at = 0;
    struct hil_span set;
    to[0] = 0;
    while (expect(&name, TAG_SET, &set)) {
        struct hil_span pair;
        while (expect(&set, TAG_SEQUENCE, &pair)) {
            struct hil_span oid;
            struct hil_span value;
            uint8_t tag;
            if (!expect(&pair, TAG_OID, &oid) || !element(&pair, &tag, &value, NULL)) {
                return;
            }
            if (at > 0) {
                append(to, room, &at, ", ", 2);
            }
            const char *key = OID_FIND(name_oids, oid);
            if (key != NULL) {
                append(to, room, &at, key, strlen(key));
            } else {
                oid_text(to, room, &at, oid);
            }
            append(to, room, &at, "=", 1);
            append_value(to, room, &at, tag, value);
            if (cn != NULL && key == name_oids[0].name) {
                size_t cn_at = 0;
                cn[0] = 0;
                append_value(cn, cn_room, &cn_at, tag, value);
            }
        }
    }
}

void hil_x509_name(struct hil_span name, char *to, size_t room) {
    struct hil_span body;
    to[0] = 0;
    if (expect(&name, TAG_SEQUENCE, &body)) {
        name_text(body, to, room, NULL, 0);
    }
}

static int digits(const uint8_t *p, size_t n) {
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return -1;
        }
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar. */
static int64_t days(int64_t y, int64_t m, int64_t d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool parse_time(struct hil_span *s, int64_t *out) {
    struct hil_span v;
    uint8_t tag;
    if (!element(s, &tag, &v, NULL)) {
        return false;
    }
    size_t yl = tag == TAG_UTC_TIME ? 2 : tag == TAG_GENERAL_TIME ? 4 : 0;
    if (yl == 0 || v.n < yl + 8) {
        return false;
    }
    int year = digits(v.p, yl);
    int f[5] = {0, 0, 0, 0, 0}; /* month, day, hour, minute, second */
    bool seconds = v.n >= yl + 10 && v.p[yl + 8] >= '0' && v.p[yl + 8] <= '9';
    for (size_t i = 0; i < (seconds ? 5U : 4U); i++) {
        f[i] = digits(v.p + yl + 2 * i, 2);
        if (f[i] < 0) {
            return false;
        }
    }
    if (year < 0 || f[0] < 1 || f[0] > 12 || f[1] < 1 || f[1] > 31) {
        return false;
    }
    if (yl == 2) {
        year += year < 50 ? 2000 : 1900;
    }
    *out = days(year, f[0], f[1]) * 86400 + (int64_t)f[2] * 3600 + (int64_t)f[3] * 60 + f[4];
    return true;
}

static uint32_t integer_bits(struct hil_span v) {
    while (v.n > 0 && v.p[0] == 0) {
        v.p++;
        v.n--;
    }
    if (v.n == 0 || v.n > 65536) {
        return 0;
    }
    uint32_t bits = (uint32_t)(v.n - 1) * 8;
    for (uint8_t top = v.p[0]; top != 0; top >>= 1) {
        bits++;
    }
    return bits;
}

static void public_key(struct hil_span spki, struct hil_cert *c) {
    struct hil_span alg;
    struct hil_span oid;
    struct hil_span bits;
    c->key = "other";
    if (!expect(&spki, TAG_SEQUENCE, &alg) || !expect(&alg, TAG_OID, &oid) ||
        !expect(&spki, TAG_BIT_STRING, &bits)) {
        return;
    }
    const char *name = OID_FIND(key_oids, oid);
    if (name == NULL) {
        return;
    }
    c->key = name;
    if (name[0] == 'r') {
        c->key = "rsa";
        struct hil_span seq;
        struct hil_span modulus;
        if (hil_skip(&bits, 1) && expect(&bits, TAG_SEQUENCE, &seq) && expect(&seq, TAG_INTEGER, &modulus)) {
            c->bits = integer_bits(modulus);
        }
    } else if (strcmp(name, "ec") == 0) {
        struct hil_span curve;
        if (expect(&alg, TAG_OID, &curve)) {
            c->curve = OID_FIND(curve_oids, curve);
        }
        if (bits.n > 2) { /* 04 X Y, or 02/03 X */
            size_t field = bits.p[1] == 4 ? (bits.n - 2) / 2 : bits.n - 2;
            c->bits = (uint32_t)(field == 66 ? 521 : field * 8);
        }
    } else {
        c->bits = 256;
    }
}

static void alt_names(struct hil_span v, struct hil_cert *c) {
    struct hil_span list;
    struct hil_span name;
    uint8_t tag;
    if (!expect(&v, TAG_SEQUENCE, &list)) {
        return;
    }
    while (element(&list, &tag, &name, NULL)) {
        if (tag == 0x82 && c->dns_n < HIL_SAN_MAX) {
            c->dns[c->dns_n++] = name;
        } else if (tag == 0x87 && c->ip_n < HIL_SAN_MAX && (name.n == 4 || name.n == 16)) {
            c->ip[c->ip_n++] = name;
        } else if (tag == 0x82 || tag == 0x87) {
            c->names_more++;
        }
    }
}

static void basic_constraints(struct hil_span v, struct hil_cert *c) {
    struct hil_span seq;
    struct hil_span b;
    c->has_basic = true;
    if (expect(&v, TAG_SEQUENCE, &seq) && expect(&seq, TAG_BOOLEAN, &b)) {
        c->ca = b.n == 1 && b.p[0] != 0;
    }
}

static void key_usage(struct hil_span v, struct hil_cert *c) {
    struct hil_span b;
    if (!expect(&v, TAG_BIT_STRING, &b) || b.n < 2) {
        return;
    }
    c->has_key_usage = true;
    for (unsigned i = 0; i < 9 && 1 + i / 8 < b.n; i++) {
        if (((unsigned)b.p[1 + i / 8] >> (7 - i % 8) & 1U) != 0) {
            c->key_usage |= (uint16_t)(1U << i);
        }
    }
}

static void ext_key_usage(struct hil_span v, struct hil_cert *c) {
    struct hil_span seq;
    struct hil_span oid;
    c->has_eku = true;
    if (!expect(&v, TAG_SEQUENCE, &seq)) {
        return;
    }
    while (expect(&seq, TAG_OID, &oid)) {
        const char *name = OID_FIND(eku_oids, oid);
        if (c->eku_n < HIL_EKU_MAX) {
            c->eku[c->eku_n++] = name != NULL ? name : "other";
        }
    }
}

static void key_ids(uint8_t id, struct hil_span v, struct hil_cert *c) {
    struct hil_span seq;
    uint8_t tag;
    struct hil_span b;
    if (id == 14) {
        if (expect(&v, TAG_OCTET_STRING, &b)) {
            c->ski = b;
        }
    } else if (expect(&v, TAG_SEQUENCE, &seq) && element(&seq, &tag, &b, NULL) && tag == 0x80) {
        c->aki = b;
    }
}

static void extensions(struct hil_span s, struct hil_cert *c) {
    struct hil_span list;
    struct hil_span e;
    if (!expect(&s, TAG_SEQUENCE, &list)) {
        return;
    }
    while (expect(&list, TAG_SEQUENCE, &e)) {
        struct hil_span oid;
        struct hil_span v;
        struct hil_span critical;
        if (!expect(&e, TAG_OID, &oid)) {
            return;
        }
        expect(&e, TAG_BOOLEAN, &critical);
        if (!expect(&e, TAG_OCTET_STRING, &v)) {
            return;
        }
        if (oid.n != 3 || oid.p[0] != 0x55 || oid.p[1] != 0x1d) { /* id-ce */
            continue;
        }
        switch (oid.p[2]) {
        case 14:
        case 35:
            key_ids(oid.p[2], v, c);
            break;
        case 15:
            key_usage(v, c);
            break;
        case 17:
            alt_names(v, c);
            break;
        case 19:
            basic_constraints(v, c);
            break;
        case 37:
            ext_key_usage(v, c);
            break;
        default:
            break;
        }
    }
}

static const char *parse_tbs(struct hil_span tbs, struct hil_cert *c) {
    struct hil_span part;
    struct hil_span oid;
    uint8_t tag;
    expect(&tbs, 0xa0, &part); /* version, absent in v1 */
    if (!expect(&tbs, TAG_INTEGER, &c->serial)) {
        return "serial";
    }
    if (!expect(&tbs, TAG_SEQUENCE, &part) || !expect(&part, TAG_OID, &oid)) {
        return "signature";
    }
    c->sig = OID_FIND(sig_oids, oid);
    if (!element(&tbs, &tag, &part, &c->issuer_der) || tag != TAG_SEQUENCE) {
        return "issuer";
    }
    name_text(part, c->issuer, sizeof c->issuer, NULL, 0);
    if (!expect(&tbs, TAG_SEQUENCE, &part) || !parse_time(&part, &c->not_before) ||
        !parse_time(&part, &c->not_after)) {
        return "validity";
    }
    if (!element(&tbs, &tag, &part, &c->subject_der) || tag != TAG_SEQUENCE) {
        return "subject";
    }
    name_text(part, c->subject, sizeof c->subject, c->cn, sizeof c->cn);
    c->self_signed = hil_span_eq(c->subject_der, c->issuer_der);
    if (!expect(&tbs, TAG_SEQUENCE, &part)) {
        return "public key";
    }
    public_key(part, c);
    while (element(&tbs, &tag, &part, NULL)) {
        if (tag == 0xa3) {
            extensions(part, c);
        }
    }
    return NULL;
}

void hil_x509_parse(struct hil_span der, struct hil_cert *c) {
    struct hil_span cert;
    struct hil_span tbs;
    memset(c, 0, sizeof *c);
    c->key = "other";
    if (!expect(&der, TAG_SEQUENCE, &cert) || !expect(&cert, TAG_SEQUENCE, &tbs)) {
        c->malformed = "not a certificate";
        return;
    }
    c->malformed = parse_tbs(tbs, c);
}
