/* The maker of tokens against the service's own checker (harness/jwt), signed by OpenSSL with keys made here.
 */
#include "hil/jwt.h"
#include "token.h"

#include "check.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#define NOW 1700000000u

static EVP_PKEY *ec, *rsa;

static int sign(void *context, const uint8_t *text, size_t len, uint8_t *sig, size_t room) {
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    size_t n = room;
    CHECK(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, context) == 1);
    CHECK(EVP_DigestSign(md, sig, &n, text, len) == 1);
    EVP_MD_CTX_free(md);
    return (int)n;
}

static int fails(void *context, const uint8_t *text, size_t len, uint8_t *sig, size_t room) {
    (void)context, (void)text, (void)len, (void)room;
    sig[0] = 0;
    return -7;
}

static int nonsense(void *context, const uint8_t *text, size_t len, uint8_t *sig, size_t room) {
    (void)text, (void)len;
    size_t n = *(size_t *)context;
    CHECK(n <= room);
    memset(sig, 0x30, n);
    return (int)n;
}

static enum hil_token_fault verify(void *context, const char *alg, const uint8_t *text, size_t text_n,
                                   const uint8_t *sig, size_t sig_n, char *why, size_t room) {
    EVP_PKEY *key = strcmp(alg, "ES256") == 0 ? ec : rsa;
    unsigned char *der = NULL;
    int der_n = 0;
    (void)context;
    snprintf(why, room, "signature");
    if (key == ec) {
        ECDSA_SIG *pair = ECDSA_SIG_new();
        CHECK(ECDSA_SIG_set0(pair, BN_bin2bn(sig, 32, NULL), BN_bin2bn(sig + 32, 32, NULL)) == 1);
        der_n = i2d_ECDSA_SIG(pair, &der);
        ECDSA_SIG_free(pair);
    }
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    CHECK(EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1);
    int good =
        EVP_DigestVerify(md, der != NULL ? der : sig, der != NULL ? (size_t)der_n : sig_n, text, text_n);
    EVP_MD_CTX_free(md);
    OPENSSL_free(der);
    return good == 1 ? HIL_TOKEN_GOOD : HIL_TOKEN_SIGNATURE;
}

static enum hil_token_fault judge(const char *token) {
    struct hil_token_rules rules = {
        .audience = "projects", .now = NOW, .skew = 600, .lifetime = 86400, .verify = verify};
    struct hil_token_result result;
    hil_token_check((const uint8_t *)token, strlen(token), &rules, &result);
    return result.fault;
}

static struct hil_jwt_request good(enum hil_jwt_alg alg) {
    return (struct hil_jwt_request){.alg = alg,
                                    .audience = "projects", /* so that the payload would be padded */
                                    .issued = NOW,
                                    .lifetime = 3600,
                                    .sign = sign,
                                    .context = alg == HIL_JWT_ES256 ? ec : rsa};
}

static enum hil_token_fault with(enum hil_jwt_alg alg, unsigned faults) {
    char out[1024];
    struct hil_jwt_request request = good(alg);
    request.faults = faults;
    int n = hil_jwt_make(out, sizeof out, &request);
    CHECK(n > 0 && (size_t)n == strlen(out));
    return judge(out);
}

static void each_fault(enum hil_jwt_alg alg) {
    for (int i = 0; i < 200; i++) /* r and s of every length */
        CHECK_EQ(with(alg, 0), HIL_TOKEN_GOOD);
    CHECK_EQ(with(alg, HIL_JWT_PADDED), HIL_TOKEN_PADDING);
    CHECK_EQ(with(alg, HIL_JWT_STRIPPED), HIL_TOKEN_SIGNATURE);
    CHECK_EQ(with(alg, HIL_JWT_TIMES), HIL_TOKEN_MALFORMED);
    CHECK_EQ(with(alg, HIL_JWT_DER), alg == HIL_JWT_ES256 ? HIL_TOKEN_SIGNATURE : HIL_TOKEN_GOOD);
}

/* Whether '+' or '/' come is chance: in 64 bytes they nearly always do. */
static void alphabet(void) {
    int seen = 0;
    for (int i = 0; i < 50; i++)
        seen += with(HIL_JWT_RS256, HIL_JWT_ALPHABET) == HIL_TOKEN_ALPHABET;
    CHECK(seen == 50);
}

static void rooms(void) {
    char out[1024];
    struct hil_jwt_request request = good(HIL_JWT_ES256);
    int full = hil_jwt_make(out, sizeof out, &request);
    CHECK(full > 0);
    for (size_t room = 0; room < sizeof out; room++) {
        char *exact = malloc(room > 0 ? room : 1);
        int n = hil_jwt_make(exact, room, &request);
        CHECK(n == (room > (size_t)full ? full : HIL_JWT_ROOM));
        CHECK(room == 0 || strlen(exact) == (n < 0 ? 0 : (size_t)n));
        free(exact);
    }
    request.audience = "a\"b";
    CHECK_EQ(hil_jwt_make(out, sizeof out, &request), HIL_JWT_TEXT);
    request = good(HIL_JWT_ES256);
    request.sign = fails;
    CHECK_EQ(hil_jwt_make(out, sizeof out, &request), HIL_JWT_SIGN);
    for (size_t n = 1; n < 200; n++) {
        request.sign = nonsense;
        request.context = &n;
        CHECK_EQ(hil_jwt_make(out, sizeof out, &request), HIL_JWT_SHAPE);
    }
}

static int given(void *context, const uint8_t *text, size_t len, uint8_t *sig, size_t room) {
    const char *const *hex = context;
    size_t n = strlen(*hex) / 2;
    (void)text;
    (void)len;
    CHECK(n <= room);
    memset(sig, 0x02, room); /* what is behind it looks like another INTEGER */
    for (size_t i = 0; i < n; i++) {
        unsigned value;
        CHECK(sscanf(*hex + 2 * i, "%2x", &value) == 1);
        sig[i] = (uint8_t)value;
    }
    return (int)n;
}

/* A signer's DER is as long as it says, inside and out. */
static void shapes(void) {
    static const char *const GOOD[] = {"3006020101020101", "300702020080020101"};
    static const char *const BAD[] = {
        "3006020401020304",   /* one INTEGER */
        "3006020101020501",   /* the second is longer than what is there */
        "3006020a01020101",   /* so is the first */
        "300702010102010100", /* something behind it */
        "3006020001020101",   /* of no length */
        "3006030101020101",   /* no INTEGER */
        "3106020101020101",   /* no SEQUENCE */
        "3005020101020101",   /* of another length */
        "30060201010201",     /* cut */
    };
    char out[1024];
    struct hil_jwt_request request = good(HIL_JWT_ES256);
    request.sign = given;
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        const char *hex = GOOD[i];
        request.context = &hex;
        CHECK(hil_jwt_make(out, sizeof out, &request) > 0);
        CHECK_EQ(strlen(strrchr(out, '.') + 1), 86); /* 64 bytes */
    }
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        const char *hex = BAD[i];
        request.context = &hex;
        CHECK_EQ(hil_jwt_make(out, sizeof out, &request), HIL_JWT_SHAPE);
        CHECK(out[0] == '\0');
    }
    request = good(HIL_JWT_ES256);
    request.audience = " a~";
    CHECK(hil_jwt_make(out, sizeof out, &request) > 0);
    request.audience = "a\x7f";
    CHECK_EQ(hil_jwt_make(out, sizeof out, &request), HIL_JWT_TEXT);
    request.audience = "a\x1f";
    CHECK_EQ(hil_jwt_make(out, sizeof out, &request), HIL_JWT_TEXT);
}

static void times(void) {
    char out[1024];
    struct hil_jwt_request request = good(HIL_JWT_ES256);
    request.issued = NOW + 3000;
    CHECK(hil_jwt_make(out, sizeof out, &request) > 0 && judge(out) == HIL_TOKEN_FUTURE);
    request.issued = 0;
    CHECK(hil_jwt_make(out, sizeof out, &request) > 0 && judge(out) == HIL_TOKEN_EXPIRED);
    request.issued = NOW;
    request.lifetime = 100000;
    CHECK(hil_jwt_make(out, sizeof out, &request) > 0 && judge(out) == HIL_TOKEN_LIFETIME);
    request.lifetime = 60;
    request.audience = "other";
    CHECK(hil_jwt_make(out, sizeof out, &request) > 0 && judge(out) == HIL_TOKEN_AUDIENCE);
    for (const char *aud = "abcdefg"; *aud != '\0'; aud++) { /* every length of the payload modulo 3 */
        request.audience = aud;
        CHECK(hil_jwt_make(out, sizeof out, &request) > 0 && judge(out) == HIL_TOKEN_AUDIENCE);
    }
}

int main(void) {
    ec = EVP_EC_gen("P-256");
    rsa = EVP_RSA_gen(2048);
    CHECK(ec != NULL && rsa != NULL);
    each_fault(HIL_JWT_ES256);
    each_fault(HIL_JWT_RS256);
    alphabet();
    rooms();
    shapes();
    times();
    EVP_PKEY_free(ec);
    EVP_PKEY_free(rsa);
    return 0;
}
