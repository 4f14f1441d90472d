/* hil/sign.h on mbedTLS. */
#include "hil/sign.h"

#include "hil/shim.h"
#include "mbedtls_platform.h"
#include "tls_common.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/hmac_drbg.h>
#include <mbedtls/md.h>
#include <mbedtls/pk.h>

#include <string.h>

bool hil_can_sign(void) {
    return true;
}

static int api(const char *name, int rc) {
    hil_event_api(name, rc, 1);
    return rc;
}

/* 0: the caller frees it. PEM wants its NUL counted. */
static int open_key(mbedtls_pk_context *pk, struct hil_blob key) {
    mbedtls_pk_init(pk);
    int rc = key.data == NULL
                 ? -1
                 : mbedtls_pk_parse_key(pk, key.data, key.len + (hil_blob_is_pem(key) ? 1u : 0u), NULL, 0);
    if (rc != 0)
        mbedtls_pk_free(pk);
    return rc;
}

enum hil_key hil_key_kind(struct hil_blob key) {
    mbedtls_pk_context pk;
    if (open_key(&pk, key) != 0)
        return HIL_KEY_NONE;
    enum hil_key kind = mbedtls_pk_can_do(&pk, MBEDTLS_PK_RSA)     ? HIL_KEY_RSA
                        : mbedtls_pk_can_do(&pk, MBEDTLS_PK_ECDSA) ? HIL_KEY_EC
                                                                   : HIL_KEY_NONE;
    mbedtls_pk_free(&pk);
    return kind;
}

int hil_sign(struct hil_blob key, const uint8_t *seed, const uint8_t *text, size_t len, uint8_t *sig,
             size_t room) {
    mbedtls_pk_context pk;
    mbedtls_hmac_drbg_context drbg;
    uint8_t hash[32], given[32];
    size_t n = 0;
    const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
    if (open_key(&pk, key) != 0)
        return -1;
    memcpy(given, seed, sizeof given);
    mbedtls_hmac_drbg_init(&drbg);
    int rc = api("mbedtls_hmac_drbg_seed",
                 mbedtls_hmac_drbg_seed(&drbg, sha256, hil_mbedtls_entropy, given, NULL, 0));
    if (rc == 0)
        rc = mbedtls_md(sha256, text, len, hash);
    if (rc == 0 && (mbedtls_pk_get_len(&pk) > room || room < MBEDTLS_ECDSA_MAX_LEN))
        rc = MBEDTLS_ERR_PK_BAD_INPUT_DATA;
    if (rc == 0)
        rc = api("mbedtls_pk_sign", mbedtls_pk_sign(&pk, MBEDTLS_MD_SHA256, hash, sizeof hash, sig, &n,
                                                    mbedtls_hmac_drbg_random, &drbg));
    mbedtls_hmac_drbg_free(&drbg);
    mbedtls_pk_free(&pk);
    return rc == 0 ? (int)n : -1;
}
