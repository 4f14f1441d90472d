/* X.509 as NetX Secure sees it: which certificates and keys it parses, and its chain check. The work itself
 * is wolfCrypt's; the rules and the codes are NetX's.
 *
 * NetX does not look at basic constraints, path length or key usage of issuers, takes SHA-1 and RSA below
 * 2048 bits, and knows no RSASSA-PSS and no Ed25519.
 */
#include "model.h"

#include <wolfssl/wolfcrypt/settings.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/signature.h>

#include <stdlib.h>
#include <string.h>

#define NAME_ALL              20 /* bytes of wolfCrypt's hash of a name */
#define TYPE_UNSUPPORTED_KEY  0x10Du
#define CRYPTO_NOT_SUCCESSFUL 0x20009u

static bool engine_broken;

VOID nx_model_ecc_engine(UINT broken) {
    engine_broken = broken != 0;
}

/* A parsed certificate; NULL and *code when NetX would not parse it. */
static DecodedCert *decode(const UCHAR *data, size_t len, UINT *code) {
    DecodedCert *cert = malloc(sizeof *cert);
    *code = NX_SECURE_X509_UNEXPECTED_ASN1_TAG;
    if (cert == NULL)
        return NULL;
    InitDecodedCert(cert, data, (word32)len, NULL);
    int rc = ParseCert(cert, CERT_TYPE, NO_VERIFY, NULL);
    if (rc == 0 && (cert->keyOID == RSAk || cert->keyOID == ECDSAk))
        return cert;
    if (rc == 0)
        *code = TYPE_UNSUPPORTED_KEY;
    FreeDecodedCert(cert);
    free(cert);
    return NULL;
}

static void drop(DecodedCert *cert) {
    if (cert != NULL) {
        FreeDecodedCert(cert);
        free(cert);
    }
}

UINT nx_model_x509_parse(const UCHAR *data, size_t len, struct nx_model_x509 *out) {
    UINT code;
    DecodedCert *cert = decode(data, len, &code);
    memset(out, 0, sizeof *out);
    if (cert == NULL)
        return code;
    memcpy(out->subject, cert->subjectHash, NAME_ALL);
    memcpy(out->issuer, cert->issuerHash, NAME_ALL);
    size_t n = cert->subjectCN != NULL && cert->subjectCNLen > 0 ? (size_t)cert->subjectCNLen : 0;
    if (n >= sizeof out->common_name)
        n = sizeof out->common_name - 1;
    if (n > 0)
        memcpy(out->common_name, cert->subjectCN, n);
    out->rsa = cert->keyOID == RSAk;
    out->ec = cert->keyOID == ECDSAk;
    drop(cert);
    return NX_SUCCESS;
}

/* --- keys --- */

/* Content of the outermost SEQUENCE; false when it is none. */
static bool sequence(const UCHAR *key, size_t len, size_t *at) {
    if (len < 8 || key[0] != 0x30)
        return false;
    *at = key[1] < 0x80 ? 2u : 2u + (key[1] & 0x7Fu);
    return *at + 4 < len;
}

static bool is_rsa(const UCHAR *key, size_t len) {
    size_t at;
    return sequence(key, len, &at) && key[at] == 0x02 && key[at + 1] == 1 && key[at + 2] == 0 &&
           key[at + 3] == 0x02;
}

static bool is_ec(const UCHAR *key, size_t len) {
    size_t at;
    return sequence(key, len, &at) && key[at] == 0x02 && key[at + 1] == 1 && key[at + 2] == 1 &&
           key[at + 3] == 0x04;
}

bool nx_model_key_is_rsa(const UCHAR *key, size_t len) {
    return is_rsa(key, len);
}

UINT nx_model_key_check(const UCHAR *key, size_t len, UINT type) {
    size_t at;
    if (len > 0 &&
        (key[0] & 0x40u) != 0) /* application or private class: a letter, not one of PEM's dashes */
        return NX_SECURE_X509_INVALID_TAG_CLASS;
    if (!sequence(key, len, &at))
        return NX_SECURE_X509_INVALID_CERTIFICATE_SEQUENCE; /* PEM */
    if (type == NX_SECURE_X509_KEY_TYPE_RSA_PKCS1_DER && is_rsa(key, len))
        return NX_SUCCESS;
    if (type == NX_SECURE_X509_KEY_TYPE_EC_DER && is_ec(key, len))
        return NX_SUCCESS;
    return NX_SECURE_X509_PKCS1_INVALID_PRIVATE_KEY; /* PKCS#8, or the other type */
}

UINT nx_secure_x509_certificate_initialize(NX_SECURE_X509_CERT *certificate, UCHAR *data, USHORT length,
                                           UCHAR *buffer, USHORT buffer_size, const UCHAR *key,
                                           USHORT key_length, UINT key_type) {
    struct nx_model_x509 parsed;
    if (certificate == NULL || data == NULL || length == 0)
        return NX_PTR_ERROR;
    memset(certificate, 0, sizeof *certificate);
    certificate->nx_secure_x509_certificate_raw_data = data;
    certificate->nx_secure_x509_certificate_raw_data_length = length;
    certificate->nx_secure_x509_certificate_raw_buffer_size = length;
    if (buffer != NULL) {
        if (length > buffer_size)
            return NX_SECURE_TLS_INSUFFICIENT_CERT_SPACE;
        memcpy(buffer, data, length);
        certificate->nx_secure_x509_certificate_raw_data = buffer;
        certificate->nx_secure_x509_certificate_raw_buffer_size = buffer_size;
    }
    if (nx_model_x509_parse(certificate->nx_secure_x509_certificate_raw_data, length, &parsed) != NX_SUCCESS)
        return NX_SECURE_X509_INVALID_CERTIFICATE;
    if (key == NULL || key_length == 0)
        return NX_SUCCESS;
    UINT code = nx_model_key_check(key, key_length, key_type);
    if (code != NX_SUCCESS)
        return code;
    certificate->nx_model_key = key;
    certificate->nx_model_key_length = key_length;
    certificate->nx_secure_x509_private_key_type = key_type;
    certificate->nx_secure_x509_certificate_is_identity_cert = NX_TRUE;
    return NX_SUCCESS;
}

/* --- the chain --- */

static enum wc_HashType hash_of(word32 oid, bool *known, bool *ec) {
    *known = true;
    *ec = oid == CTC_SHAwECDSA || oid == CTC_SHA224wECDSA || oid == CTC_SHA256wECDSA ||
          oid == CTC_SHA384wECDSA || oid == CTC_SHA512wECDSA;
    switch (oid) {
    case CTC_SHAwRSA:
    case CTC_SHAwECDSA:
        return WC_HASH_TYPE_SHA;
    case CTC_SHA224wECDSA:
        return WC_HASH_TYPE_SHA224;
    case CTC_SHA256wRSA:
    case CTC_SHA256wECDSA:
        return WC_HASH_TYPE_SHA256;
    case CTC_SHA384wRSA:
    case CTC_SHA384wECDSA:
        return WC_HASH_TYPE_SHA384;
    case CTC_SHA512wRSA:
    case CTC_SHA512wECDSA:
        return WC_HASH_TYPE_SHA512;
    default:
        *known = false;
        return WC_HASH_TYPE_NONE;
    }
}

static bool verify_rsa(enum wc_HashType hash, const DecodedCert *cert, const DecodedCert *issuer) {
    RsaKey key;
    word32 at = 0;
    if (issuer->keyOID != RSAk || wc_InitRsaKey(&key, NULL) != 0)
        return false;
    bool good = wc_RsaPublicKeyDecode(issuer->publicKey, &at, &key, issuer->pubKeySize) == 0 &&
                wc_SignatureVerify(hash, WC_SIGNATURE_TYPE_RSA_W_ENC, cert->source + cert->certBegin,
                                   cert->sigIndex - cert->certBegin, cert->signature, cert->sigLength, &key,
                                   sizeof key) == 0;
    wc_FreeRsaKey(&key);
    return good;
}

static bool verify_ec(enum wc_HashType hash, const DecodedCert *cert, const DecodedCert *issuer) {
    ecc_key key;
    word32 at = 0;
    if (issuer->keyOID != ECDSAk || wc_ecc_init(&key) != 0)
        return false;
    bool good = wc_EccPublicKeyDecode(issuer->publicKey, &at, &key, issuer->pubKeySize) == 0 &&
                wc_SignatureVerify(hash, WC_SIGNATURE_TYPE_ECC, cert->source + cert->certBegin,
                                   cert->sigIndex - cert->certBegin, cert->signature, cert->sigLength, &key,
                                   sizeof key) == 0;
    wc_ecc_free(&key);
    return good;
}

static UINT check_signature(const DecodedCert *cert, const DecodedCert *issuer) {
    bool known, ec;
    enum wc_HashType hash = hash_of(cert->signatureOID, &known, &ec);
    if (!known)
        return NX_SECURE_TLS_UNKNOWN_CERT_SIG_ALGORITHM;
    if (ec && engine_broken)
        return CRYPTO_NOT_SUCCESSFUL;
    if (ec)
        return verify_ec(hash, cert, issuer) ? NX_SUCCESS : NX_SECURE_TLS_CERTIFICATE_SIG_CHECK_FAILED;
    return verify_rsa(hash, cert, issuer) ? NX_SUCCESS : NX_SECURE_X509_PKCS7_PARSING_FAILED;
}

static UINT check_dates(const DecodedCert *cert, ULONG now) {
    struct tm time;
    for (int which = 0; which < 2; which++) {
        const byte *field = which == 0 ? cert->beforeDate : cert->afterDate;
        const byte *date = NULL;
        byte format = 0;
        int length = 0;
        if (field == NULL ||
            wc_GetDateInfo(field, which == 0 ? cert->beforeDateLen : cert->afterDateLen, &date, &format,
                           &length) != 0 ||
            wc_GetDateAsCalendarTime(date, length, format, &time) != 0)
            return NX_SECURE_X509_UNEXPECTED_ASN1_TAG;
        time_t moment = timegm(&time);
        if (which == 0 && (time_t)now < moment)
            return NX_SECURE_X509_CERTIFICATE_NOT_YET_VALID;
        if (which == 1 && (time_t)now > moment)
            return NX_SECURE_X509_CERTIFICATE_EXPIRED;
    }
    return NX_SUCCESS;
}

/* The certificate with this subject among the trusted, then among those that came; NULL: neither. */
static DecodedCert *find_issuer(const byte *name, const struct nx_model_der *chain, size_t count,
                                const NX_SECURE_X509_CERT *trusted, bool *is_trusted) {
    UINT code;
    *is_trusted = true;
    for (; trusted != NULL; trusted = trusted->nx_secure_x509_next_certificate) {
        DecodedCert *cert = decode(trusted->nx_secure_x509_certificate_raw_data,
                                   trusted->nx_secure_x509_certificate_raw_data_length, &code);
        if (cert != NULL && memcmp(cert->subjectHash, name, NAME_ALL) == 0)
            return cert;
        drop(cert);
    }
    *is_trusted = false;
    for (size_t i = 0; i < count; i++) {
        DecodedCert *cert = decode(chain[i].data, chain[i].len, &code);
        if (cert != NULL && memcmp(cert->subjectHash, name, NAME_ALL) == 0)
            return cert;
        drop(cert);
    }
    return NULL;
}

UINT nx_model_verify_chain(const struct nx_model_der *chain, size_t count, const NX_SECURE_X509_CERT *trusted,
                           ULONG now, const NX_SECURE_TLS_CRYPTO *table) {
    UINT code;
    (void)table;
    for (size_t i = 0; i < count; i++) { /* all that came are parsed before one is checked */
        DecodedCert *cert = decode(chain[i].data, chain[i].len, &code);
        if (cert == NULL)
            return code;
        drop(cert);
    }
    DecodedCert *current = decode(chain[0].data, chain[0].len, &code);
    for (size_t depth = 0; current != NULL && depth <= count; depth++) {
        bool is_trusted = false;
        DecodedCert *issuer = NULL;
        code = now != 0 ? check_dates(current, now) : NX_SUCCESS;
        if (code == NX_SUCCESS && memcmp(current->subjectHash, current->issuerHash, NAME_ALL) == 0)
            code = NX_SECURE_TLS_INVALID_SELF_SIGNED_CERT;
        if (code == NX_SUCCESS) {
            issuer = find_issuer(current->issuerHash, chain, count, trusted, &is_trusted);
            code = issuer == NULL ? NX_SECURE_TLS_ISSUER_CERTIFICATE_NOT_FOUND
                                  : check_signature(current, issuer);
        }
        drop(current);
        if (code != NX_SUCCESS || is_trusted) {
            drop(issuer);
            return code;
        }
        current = issuer;
    }
    drop(current);
    return 0x18Cu; /* NX_SECURE_X509_CHAIN_VERIFY_FAILURE */
}

/* --- names and usage, for the certificate callback --- */

/* Backwards, bytes as they are; a `*` stands for the whole first label. */
static bool name_fits(const UCHAR *name, size_t len, const char *pattern, size_t pattern_len) {
    if (pattern_len >= 2 && pattern[0] == '*' && pattern[1] == '.') {
        size_t dot = 0;
        while (dot < len && name[dot] != '.')
            dot++;
        return len - dot == pattern_len - 1 && memcmp(name + dot, pattern + 1, len - dot) == 0;
    }
    return len == pattern_len && memcmp(name, pattern, len) == 0;
}

UINT nx_secure_x509_common_name_dns_check(NX_SECURE_X509_CERT *certificate, const UCHAR *name, UINT length) {
    UINT code;
    DecodedCert *cert = decode(certificate->nx_secure_x509_certificate_raw_data,
                               certificate->nx_secure_x509_certificate_raw_data_length, &code);
    bool found = false;
    if (cert == NULL)
        return code;
    if (cert->subjectCN != NULL && cert->subjectCNLen > 0)
        found = name_fits(name, length, cert->subjectCN, (size_t)cert->subjectCNLen);
    for (const DNS_entry *alt = cert->altNames; alt != NULL && !found; alt = alt->next)
        found = alt->type == ASN_DNS_TYPE && name_fits(name, length, alt->name, (size_t)alt->len);
    drop(cert);
    return found ? NX_SUCCESS : NX_SECURE_X509_CERTIFICATE_DNS_MISMATCH;
}

UINT nx_secure_x509_extended_key_usage_extension_parse(NX_SECURE_X509_CERT *certificate, UINT usage) {
    UINT code;
    DecodedCert *cert = decode(certificate->nx_secure_x509_certificate_raw_data,
                               certificate->nx_secure_x509_certificate_raw_data_length, &code);
    if (cert == NULL)
        return code;
    code = !cert->extExtKeyUsageSet ? NX_SECURE_X509_EXTENSION_NOT_FOUND
           : usage == NX_SECURE_TLS_X509_TYPE_PKIX_KP_SERVER_AUTH &&
                   (cert->extExtKeyUsage & EXTKEYUSE_SERVER_AUTH) != 0
               ? NX_SUCCESS
               : NX_SECURE_X509_EXT_KEY_USAGE_NOT_FOUND;
    drop(cert);
    return code;
}

UINT nx_secure_x509_key_usage_extension_parse(NX_SECURE_X509_CERT *certificate, USHORT *bits) {
    UINT code;
    DecodedCert *cert = decode(certificate->nx_secure_x509_certificate_raw_data,
                               certificate->nx_secure_x509_certificate_raw_data_length, &code);
    *bits = 0;
    if (cert == NULL)
        return code;
    code = cert->extKeyUsageSet ? NX_SUCCESS : NX_SECURE_X509_EXTENSION_NOT_FOUND;
    for (unsigned bit = 0; bit < 8; bit++) /* digitalSignature is wolfSSL's 0x80, NetX's 0x8000 */
        if ((cert->extKeyUsage & 0x80u >> bit) != 0)
            *bits = (USHORT)(*bits | 0x8000u >> bit);
    drop(cert);
    return code;
}

UINT nx_secure_x509_dns_name_initialize(NX_SECURE_X509_DNS_NAME *name, const UCHAR *text, USHORT length) {
    if (name == NULL || text == NULL)
        return NX_PTR_ERROR;
    if (length > NX_SECURE_X509_DNS_NAME_MAX)
        return 0x19Eu; /* NX_SECURE_X509_NAME_STRING_TOO_LONG */
    memset(name, 0, sizeof *name);
    memcpy(name->nx_secure_x509_dns_name, text, length);
    name->nx_secure_x509_dns_name_length = length;
    return NX_SUCCESS;
}
