#include "names.h"

#include <stdlib.h>

struct suite_name {
    uint16_t id;
    const char *name;
};

static const struct suite_name suites[] = {
#include "suites.inc"
};

static int by_id(const void *key, const void *entry) {
    return (int)*(const uint16_t *)key - (int)((const struct suite_name *)entry)->id;
}

const char *hil_suite_name(uint16_t id) {
    const struct suite_name *s = bsearch(&id, suites, sizeof suites / sizeof *suites, sizeof *suites, by_id);
    return s != NULL ? s->name : NULL;
}

size_t hil_hash_len(enum hil_hash h) {
    static const size_t len[] = {0, 16, 20, 32, 48};
    return len[h];
}

static bool ends(const char *name, const char *with) {
    size_t n = strlen(name);
    size_t k = strlen(with);
    return n >= k && strcmp(name + n - k, with) == 0;
}

static enum hil_hash last_hash(const char *name) {
    return ends(name, "_SHA384")   ? HIL_HASH_SHA384
           : ends(name, "_SHA256") ? HIL_HASH_SHA256
           : ends(name, "_SHA")    ? HIL_HASH_SHA1
           : ends(name, "_MD5")    ? HIL_HASH_MD5
                                   : HIL_HASH_NONE;
}

/* The cipher is what stands between "_WITH_" (TLS 1.3: "TLS_") and the hash. */
static const struct {
    const char *text;
    enum hil_cipher cipher;
    enum hil_block block;
    uint8_t key_len, tag_len;
} ciphers[] = {
    {"AES_128_GCM", HIL_CIPHER_GCM, HIL_BLOCK_AES, 16, 16},
    {"AES_256_GCM", HIL_CIPHER_GCM, HIL_BLOCK_AES, 32, 16},
    {"AES_128_CCM_8", HIL_CIPHER_CCM, HIL_BLOCK_AES, 16, 8},
    {"AES_256_CCM_8", HIL_CIPHER_CCM, HIL_BLOCK_AES, 32, 8},
    {"AES_128_CCM", HIL_CIPHER_CCM, HIL_BLOCK_AES, 16, 16},
    {"AES_256_CCM", HIL_CIPHER_CCM, HIL_BLOCK_AES, 32, 16},
    {"CHACHA20_POLY1305", HIL_CIPHER_CHACHA, HIL_BLOCK_AES, 32, 16},
    {"AES_128_CBC", HIL_CIPHER_CBC, HIL_BLOCK_AES, 16, 0},
    {"AES_256_CBC", HIL_CIPHER_CBC, HIL_BLOCK_AES, 32, 0},
    {"3DES_EDE_CBC", HIL_CIPHER_CBC, HIL_BLOCK_3DES, 24, 0},
    {"CAMELLIA_128_CBC", HIL_CIPHER_CBC, HIL_BLOCK_CAMELLIA, 16, 0},
    {"CAMELLIA_256_CBC", HIL_CIPHER_CBC, HIL_BLOCK_CAMELLIA, 32, 0},
    {"CAMELLIA_128_GCM", HIL_CIPHER_NONE, HIL_BLOCK_CAMELLIA, 16, 16},
    {"CAMELLIA_256_GCM", HIL_CIPHER_NONE, HIL_BLOCK_CAMELLIA, 32, 16},
    {"ARIA_128_GCM", HIL_CIPHER_GCM, HIL_BLOCK_ARIA, 16, 16},
    {"ARIA_256_GCM", HIL_CIPHER_GCM, HIL_BLOCK_ARIA, 32, 16},
    {"ARIA_128_CBC", HIL_CIPHER_CBC, HIL_BLOCK_ARIA, 16, 0},
    {"ARIA_256_CBC", HIL_CIPHER_CBC, HIL_BLOCK_ARIA, 32, 0},
    {"NULL", HIL_CIPHER_NULL, HIL_BLOCK_AES, 0, 0},
};

bool hil_suite_info(uint16_t id, struct hil_suite *s) {
    const char *name = hil_suite_name(id);
    memset(s, 0, sizeof *s);
    s->id = id;
    if (name == NULL) {
        return false;
    }
    const char *with = strstr(name, "_WITH_");
    s->tls13 = with == NULL;
    const char *cipher = with != NULL ? with + 6 : name + 4;
    for (size_t i = 0; i < sizeof ciphers / sizeof *ciphers; i++) {
        size_t n = strlen(ciphers[i].text);
        if (strncmp(cipher, ciphers[i].text, n) == 0 && (cipher[n] == '_' || cipher[n] == 0)) {
            s->cipher = ciphers[i].cipher;
            s->block = ciphers[i].block;
            s->key_len = ciphers[i].key_len;
            s->tag_len = ciphers[i].tag_len;
            break;
        }
    }
    enum hil_hash hash = last_hash(name);
    s->mac = s->cipher == HIL_CIPHER_CBC || s->cipher == HIL_CIPHER_NULL ? hash : HIL_HASH_NONE;
    s->prf = hash == HIL_HASH_SHA384 ? HIL_HASH_SHA384 : HIL_HASH_SHA256;
    return true;
}

const char *hil_alert_name(uint8_t code) {
    static const struct {
        uint8_t code;
        const char *name;
    } alerts[] = {
        {0, "close_notify"},
        {10, "unexpected_message"},
        {20, "bad_record_mac"},
        {21, "decryption_failed"},
        {22, "record_overflow"},
        {30, "decompression_failure"},
        {40, "handshake_failure"},
        {41, "no_certificate"},
        {42, "bad_certificate"},
        {43, "unsupported_certificate"},
        {44, "certificate_revoked"},
        {45, "certificate_expired"},
        {46, "certificate_unknown"},
        {47, "illegal_parameter"},
        {48, "unknown_ca"},
        {49, "access_denied"},
        {50, "decode_error"},
        {51, "decrypt_error"},
        {52, "too_many_cids_requested"},
        {60, "export_restriction"},
        {70, "protocol_version"},
        {71, "insufficient_security"},
        {80, "internal_error"},
        {86, "inappropriate_fallback"},
        {90, "user_canceled"},
        {100, "no_renegotiation"},
        {109, "missing_extension"},
        {110, "unsupported_extension"},
        {111, "certificate_unobtainable"},
        {112, "unrecognized_name"},
        {113, "bad_certificate_status_response"},
        {114, "bad_certificate_hash_value"},
        {115, "unknown_psk_identity"},
        {116, "certificate_required"},
        {120, "no_application_protocol"},
    };
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++) {
        if (alerts[i].code == code) {
            return alerts[i].name;
        }
    }
    return "unknown";
}
