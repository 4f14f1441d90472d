/* hil/sign.h on wolfCrypt: for stacks/wolfssl.c and for the model of NetX. On a board with NetX the crypto
 * engine's own functions take its place (docs/boards/s5d9-jwt.md). */
#include "hil/sign.h"

#include "hil/shim.h"
#include "netx_pem.h"

#include <wolfssl/wolfcrypt/settings.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/signature.h>

#define KEY_MAX 2560u /* PKCS#1 of 4096 bits */

/* One operation at a time, and none while another call of the library is under way. */
static union {
    RsaKey rsa;
    ecc_key ec;
} used;
static uint8_t der[KEY_MAX];

bool hil_can_sign(void) {
    return true;
}

static int api(const char *name, int rc) {
    hil_event_api(name, rc, 0);
    return rc;
}

/* Opens it in `used`; HIL_KEY_NONE: nothing to free. */
static enum hil_key open_key(struct hil_blob key) {
    size_t at = 0;
    word32 index = 0;
    int len = key.data != NULL ? hil_der_next(key, &at, der, sizeof der) : 0;
    if (len <= 0)
        return HIL_KEY_NONE;
    if (wc_InitRsaKey(&used.rsa, NULL) == 0) {
        if (wc_RsaPrivateKeyDecode(der, &index, &used.rsa, (word32)len) == 0)
            return HIL_KEY_RSA;
        wc_FreeRsaKey(&used.rsa);
    }
    index = 0;
    if (wc_ecc_init(&used.ec) == 0) {
        if (wc_EccPrivateKeyDecode(der, &index, &used.ec, (word32)len) == 0)
            return HIL_KEY_EC;
        wc_ecc_free(&used.ec);
    }
    return HIL_KEY_NONE;
}

static void close_key(enum hil_key kind) {
    if (kind == HIL_KEY_RSA)
        wc_FreeRsaKey(&used.rsa);
    if (kind == HIL_KEY_EC)
        wc_ecc_free(&used.ec);
}

enum hil_key hil_key_kind(struct hil_blob key) {
    enum hil_key kind = open_key(key);
    close_key(kind);
    return kind;
}

int hil_sign(struct hil_blob key, const uint8_t *seed, const uint8_t *text, size_t len, uint8_t *sig,
             size_t room) {
    WC_RNG rng;
    word32 n = (word32)room;
    (void)seed; /* the port's generator was given it */
    enum hil_key kind = open_key(key);
    if (kind == HIL_KEY_NONE)
        return -1;
    int rc = api("wc_InitRng", wc_InitRng(&rng));
    if (rc == 0) {
        if (kind == HIL_KEY_RSA)
            rc = wc_SignatureGenerate(WC_HASH_TYPE_SHA256, WC_SIGNATURE_TYPE_RSA_W_ENC, text, (word32)len,
                                      sig, &n, &used.rsa, sizeof used.rsa, &rng);
        else
            rc = wc_SignatureGenerate(WC_HASH_TYPE_SHA256, WC_SIGNATURE_TYPE_ECC, text, (word32)len, sig, &n,
                                      &used.ec, sizeof used.ec, &rng);
        (void)api("wc_SignatureGenerate", rc);
        wc_FreeRng(&rng);
    }
    close_key(kind);
    return rc == 0 ? (int)n : -1;
}
