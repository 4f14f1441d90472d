/* The rules on tokens made here, signed by OpenSSL: what is good passes, each broken rule is told by its own
 * cause. */
#include "json.h"
#include "keys.h"
#include "token.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(what)                                                                                          \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                                       \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

#define NOW 1700000000

static EVP_PKEY *ec, *rsa;
static struct hil_keys *keys;

static size_t base64url(const uint8_t *in, size_t n, char *out) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t used = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v =
            (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0) | (i + 2 < n ? in[i + 2] : 0);
        size_t left = n - i < 3 ? n - i : 3;
        for (size_t k = 0; k <= left; k++) {
            out[used++] = set[v >> (18 - 6 * k) & 63];
        }
    }
    out[used] = '\0';
    return used;
}

/* header.payload.signature; with `der` the ES256 signature stays as OpenSSL makes it. */
static void make(EVP_PKEY *key, bool der, const char *header, const char *payload, char *out) {
    uint8_t sig[512], raw[64];
    size_t sig_n = sizeof sig;
    size_t n = base64url((const uint8_t *)header, strlen(header), out);
    out[n++] = '.';
    n += base64url((const uint8_t *)payload, strlen(payload), out + n);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1);
    CHECK(EVP_DigestSign(md, sig, &sig_n, (const uint8_t *)out, n) == 1);
    EVP_MD_CTX_free(md);
    if (EVP_PKEY_is_a(key, "EC") && !der) {
        const uint8_t *p = sig;
        ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &p, (long)sig_n);
        CHECK(pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32) == 32);
        CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32) == 32);
        ECDSA_SIG_free(pair);
        memcpy(sig, raw, sig_n = 64);
    }
    out[n++] = '.';
    (void)base64url(sig, sig_n, out + n);
}

static enum hil_token_fault judge_as(const char *client, const char *token) {
    struct hil_keys_device device = {keys, client};
    struct hil_token_rules rules = {.audience = "project",
                                    .now = NOW,
                                    .skew = 600,
                                    .lifetime = 86400,
                                    .verify = hil_keys_verify,
                                    .context = &device};
    struct hil_token_result result;
    bool good = hil_token_check((const uint8_t *)token, strlen(token), &rules, &result);
    CHECK(good == (result.fault == HIL_TOKEN_GOOD) && (good || result.why[0] != '\0'));
    return result.fault;
}

static enum hil_token_fault judge(const char *token) {
    return judge_as("devices/both", token);
}

static enum hil_token_fault es(const char *header, const char *payload) {
    char token[4096];
    make(ec, false, header, payload, token);
    return judge(token);
}

static enum hil_token_fault claims(const char *payload) {
    return es("{\"alg\":\"ES256\",\"typ\":\"JWT\"}", payload);
}

#define GOOD "{\"aud\":\"project\",\"iat\":1700000000,\"exp\":1700003600}"

static void rules(void) {
    char token[4096];
    CHECK(claims(GOOD) == HIL_TOKEN_GOOD);
    make(rsa, false, "{\"alg\":\"RS256\"}", GOOD, token);
    CHECK(judge(token) == HIL_TOKEN_GOOD);
    CHECK(judge_as("devices/ec", token) == HIL_TOKEN_ALGORITHM);
    token[strlen(token) - 5] ^= 1;
    CHECK(judge(token) == HIL_TOKEN_SIGNATURE || judge(token) == HIL_TOKEN_MALFORMED);
    make(ec, true, "{\"alg\":\"ES256\"}", GOOD, token);
    CHECK(judge(token) == HIL_TOKEN_SIGNATURE);
    make(ec, false, "{\"alg\":\"RS256\"}", GOOD, token);
    CHECK(judge(token) == HIL_TOKEN_SIGNATURE);
    make(ec, false, "{\"alg\":\"ES256\"}", GOOD, token);
    CHECK(judge_as("devices/rsa", token) == HIL_TOKEN_ALGORITHM);
    CHECK(es("{\"alg\":\"none\"}", GOOD) == HIL_TOKEN_ALGORITHM);
    CHECK(es("{\"alg\":\"HS256\"}", GOOD) == HIL_TOKEN_ALGORITHM);
    CHECK(es("{\"alg\":\"ES256\",\"crit\":[\"x\"]}", GOOD) == HIL_TOKEN_MALFORMED);
    CHECK(es("{}", GOOD) == HIL_TOKEN_MALFORMED);
    CHECK(es("{\"alg\":1}", GOOD) == HIL_TOKEN_MALFORMED);
    CHECK(claims("{\"aud\":\"project\",\"iat\":1700000600,\"exp\":1700003600}") == HIL_TOKEN_GOOD);
    CHECK(claims("{\"aud\":\"project\",\"iat\":1700000601,\"exp\":1700003600}") == HIL_TOKEN_FUTURE);
    CHECK(claims("{\"aud\":\"project\",\"iat\":1699990000,\"exp\":1699999400}") == HIL_TOKEN_GOOD);
    CHECK(claims("{\"aud\":\"project\",\"iat\":1699990000,\"exp\":1699999399}") == HIL_TOKEN_EXPIRED);
    CHECK(claims("{\"aud\":\"project\",\"iat\":1700000000,\"exp\":1700087000}") == HIL_TOKEN_GOOD);
    CHECK(claims("{\"aud\":\"project\",\"iat\":1700000000,\"exp\":1700087001}") == HIL_TOKEN_LIFETIME);
    CHECK(claims("{\"aud\":\"other\",\"iat\":1700000000,\"exp\":1700003600}") == HIL_TOKEN_AUDIENCE);
    CHECK(claims("{\"aud\":[\"project\"],\"iat\":1700000000,\"exp\":1700003600}") == HIL_TOKEN_AUDIENCE);
    CHECK(claims("{\"iat\":1700000000,\"exp\":1700003600}") == HIL_TOKEN_AUDIENCE);
    CHECK(claims("{\"aud\":\"project\",\"iat\":\"1700000000\",\"exp\":1700003600}") == HIL_TOKEN_MALFORMED);
    CHECK(claims("{\"aud\":\"project\",\"iat\":1.7e9,\"exp\":1700003600.5}") == HIL_TOKEN_GOOD);
    CHECK(claims("{\"aud\":\"project\",\"exp\":1700003600}") == HIL_TOKEN_MALFORMED);
    CHECK(claims("{\"aud\":\"project\",\"iat\":1700000000}") == HIL_TOKEN_MALFORMED);
    CHECK(claims("{\"aud\":\"project\",\"iat\":1700000000,\"exp\":1700003600,\"exp\":1}") ==
          HIL_TOKEN_MALFORMED);
    CHECK(claims("{\"aud\":\"project\",\"iat\":1700000000,\"exp\":1700003600,}") == HIL_TOKEN_MALFORMED);
    CHECK(claims("[]") == HIL_TOKEN_MALFORMED);
#define WITH_NBF(nbf) "{\"aud\":\"project\",\"iat\":1700000000,\"exp\":1700003600,\"nbf\":" nbf "}"
    CHECK(claims(WITH_NBF("1700000600")) == HIL_TOKEN_GOOD);
    CHECK(claims(WITH_NBF("1700000601")) == HIL_TOKEN_FUTURE);
    CHECK(claims(WITH_NBF("\"1700000000\"")) == HIL_TOKEN_MALFORMED);
}

static void encoding(void) {
    CHECK(judge("") == HIL_TOKEN_MALFORMED);
    CHECK(judge("a.b") == HIL_TOKEN_MALFORMED);
    CHECK(judge("a.b.c.d") == HIL_TOKEN_MALFORMED);
    CHECK(judge("..") == HIL_TOKEN_MALFORMED);
    CHECK(judge("eyJ=.e30.AAAA") == HIL_TOKEN_PADDING);
    CHECK(judge("eyJ.e+0.AAAA") == HIL_TOKEN_ALPHABET);
    CHECK(judge("eyJ.e30.AA/A") == HIL_TOKEN_ALPHABET);
    CHECK(judge("eyJ.e3 0.AAAA") == HIL_TOKEN_MALFORMED);
    CHECK(judge("eyJ.e30.AAAA\n") == HIL_TOKEN_MALFORMED);
    CHECK(judge("e30.e30.AAAAA") == HIL_TOKEN_MALFORMED);
}

/* A person counts characters from 1. */
static void position(void) {
    struct hil_token_rules no_rules = {.audience = NULL};
    struct hil_token_result result;
    static const char TOKEN[] = "eyJ.e3=.AAAA";
    CHECK(!hil_token_check((const uint8_t *)TOKEN, strlen(TOKEN), &no_rules, &result));
    CHECK(strcmp(result.why, "'=' in the payload, character 7") == 0);
}

static void count(void *context, const struct hil_json_member *member) {
    (void)member;
    ++*(int *)context;
}

static const char *json(const char *text) {
    int members = 0;
    return hil_json_object((const uint8_t *)text, strlen(text), count, &members);
}

static void strict_json(void) {
    static const char *const good[] = {"{}", " {\"a\" : [1, {\"b\":null}], \"c\":-0.5e+3} \n",
                                       "{\"a\":\"\\u00e9\xc3\xa9\"}", "{\"a\":true,\"b\":false}",
                                       "{\"a\":1E-5,\"b\":1e5,\"c\":10}"};
    static const char *const bad[] = {
        "",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1}x",
        "{\"a\":01}",
        "{\"a\":-09}",
        "{\"a\":1e+-5}",
        "{\"a\":\"\x80\"}",
        "{\"a\":\"\xc3(\"}",
        "{\"a\":\"\xe2\x82\"}",
        "{\"a\":\"\xf4\x90\x80\x80\"}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc0\x80\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\q\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":tru}",
        "{\"a\":[1,]}",
        "{\"\\u0061\":1}",
        "{\"a\":[[[[[[[[[1]]]]]]]]]}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CHECK(json(good[i]) == NULL);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(json(bad[i]) != NULL);
    }
}

static void printable(void) {
    for (size_t room = 0; room < 5; room++) {
        char *exact = malloc(room > 0 ? room : 1); /* ASan sees a byte too many */
        CHECK(exact != NULL);
        hil_token_printable((const uint8_t *)"a\nb\xff", 4, exact, room);
        CHECK(room == 0 || (strlen(exact) == room - 1 && strncmp(exact, "a?b?", room - 1) == 0));
        free(exact);
    }
}

static void write_key(const char *path, EVP_PKEY *key) {
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && PEM_write_PUBKEY(file, key) == 1 && fclose(file) == 0);
}

static char folder[] = "/tmp/hil-token-XXXXXX";

static void registry(void) {
    char why[512];
    CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0);
    write_key("ec.pem", ec);
    write_key("rsa.pem", rsa);
    FILE *file = fopen("devices", "w");
    CHECK(file != NULL);
    (void)fputs(
        "# devices\ndevices/both ec.pem\ndevices/both rsa.pem\n\ndevices/ec ec.pem\ndevices/rsa rsa.pem\n",
        file);
    CHECK(fclose(file) == 0);
    keys = hil_keys_load("devices", why, sizeof why);
    CHECK(keys != NULL && hil_keys_known(keys, "devices/ec") && !hil_keys_known(keys, "devices/e"));
    hil_keys_nearest(keys, "devices/elsewhere", why, sizeof why);
    CHECK(strstr(why, "`elsewhere`") != NULL);
    CHECK(hil_keys_load("nowhere", why, sizeof why) == NULL && why[0] != '\0');
    file = fopen("broken", "w");
    CHECK(file != NULL && fputs("device devices\n", file) >= 0 && fclose(file) == 0);
    CHECK(hil_keys_load("broken", why, sizeof why) == NULL && strstr(why, "PEM") != NULL);
    CHECK(hil_keys_load(".", why, sizeof why) == NULL && strstr(why, "directory") != NULL);
    file = fopen("broken", "w");
    CHECK(file != NULL && fprintf(file, "%3000s ec.pem\n", "#") > 0 && fclose(file) == 0);
    CHECK(hil_keys_load("broken", why, sizeof why) == NULL && strstr(why, "longer") != NULL);
}

int main(void) {
    ec = EVP_EC_gen("P-256");
    rsa = EVP_RSA_gen(2048);
    CHECK(ec != NULL && rsa != NULL);
    registry();
    rules();
    encoding();
    position();
    strict_json();
    printable();
    CHECK(unlink("ec.pem") == 0 && unlink("rsa.pem") == 0 && unlink("devices") == 0 && unlink("broken") == 0);
    CHECK(chdir("/") == 0 && rmdir(folder) == 0);
    hil_keys_free(keys);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(rsa);
    puts("ok");
    return 0;
}
