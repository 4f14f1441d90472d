/* The password of CONNECT as a token: what goes in, from the settings and the clock, over a signer of our
 * own. */
#include "check.h"
#include "hil/board.h"
#include "hil/jwt.h"
#include "hil/sign.h"
#include "jwt_password.h"
#include "settings.h"
#include "stub_board.h"

#define NOW "1700000000"

static bool able = true;
static enum hil_key kind = HIL_KEY_EC;
static int given; /* what the signer answers with, when not 0 */
static char key_seen[32];

bool hil_can_sign(void) {
    return able;
}

enum hil_key hil_key_kind(struct hil_blob key) {
    return key.data != NULL ? kind : HIL_KEY_NONE;
}

int hil_sign(struct hil_blob key, const uint8_t *seed, const uint8_t *text, size_t len, uint8_t *sig,
             size_t room) {
    static const uint8_t DER[] = {0x30, 6, 2, 1, 1, 2, 1, 2};
    CHECK(seed == hil_settings.seed && len > 0 && text[len - 1] != '.');
    CHECK(key.len < sizeof key_seen && room >= 256);
    memcpy(key_seen, key.data, key.len);
    key_seen[key.len] = '\0';
    if (given != 0)
        return given;
    if (kind == HIL_KEY_RSA) {
        memset(sig, 0xfb, 256); /* letters of both alphabets */
        return 256;
    }
    memcpy(sig, DER, sizeof DER);
    return (int)sizeof DER;
}

static const char *set(const char *key, const char *value) {
    return hil_settings_commands.set(NULL, key, value);
}

static void put(const char *name, const char *data) {
    const char *reason = NULL;
    uint8_t *to = hil_settings_commands.put(NULL, name, strlen(data), &reason);
    CHECK(to != NULL);
    memcpy(to, data, strlen(data) + 1);
    hil_settings_commands.put_done(NULL, name, strlen(data));
}

static void fresh(enum hil_key with) {
    hil_settings_init();
    kind = with;
    given = 0;
    CHECK(set("jwt.audience", "project") == NULL && set("epoch", NOW) == NULL);
    put("key", "mine");
    put("key.alt", "another");
    stub_clear();
}

/* Base64 of either alphabet into `out`; the text's end. */
static size_t decode(const char *at, size_t len, uint8_t *out) {
    static const char SET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    uint32_t acc = 0;
    unsigned bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < len && at[i] != '='; i++) {
        const char *found = strchr(SET, at[i]);
        acc = acc << 6 | (found != NULL && at[i] != '\0' ? (uint32_t)(found - SET)
                          : at[i] == '-' || at[i] == '+' ? 62u
                                                         : 63u);
        bits += 6;
        if (bits >= 8)
            out[n++] = (uint8_t)(acc >> (bits -= 8));
    }
    out[n] = '\0';
    return n;
}

static char token[1200], header[100], claims[400];
static uint8_t signature[600];
static size_t signature_n;

static int make(void) {
    struct hil_slice out = {NULL, 0};
    int rc = hil_jwt_password(&out);
    if (rc != 0) {
        CHECK(out.data == NULL);
        return rc;
    }
    CHECK(out.len < sizeof token);
    memcpy(token, out.data, out.len);
    token[out.len] = '\0';
    char *first = strchr(token, '.'), *second = strrchr(token, '.');
    CHECK(first != NULL && second > first);
    decode(token, (size_t)(first - token), (uint8_t *)header);
    decode(first + 1, (size_t)(second - first - 1), (uint8_t *)claims);
    signature_n = decode(second + 1, strlen(second + 1), signature);
    CHECK(strstr(stub_out, token) == NULL); /* a token in a log is a token for everybody */
    return 0;
}

static void good(void) {
    fresh(HIL_KEY_EC);
    CHECK_EQ(make(), 0);
    CHECK(strcmp(header, "{\"alg\":\"ES256\",\"typ\":\"JWT\"}") == 0);
    CHECK(strcmp(claims, "{\"aud\":\"project\",\"iat\":1700000000,\"exp\":1700003600}") == 0);
    CHECK(signature_n == 64 && signature[31] == 1 && signature[63] == 2);
    CHECK(strstr(stub_out, "name=hil_jwt_make rc=0 ") != NULL);
    hil_board_idle(5000); /* its clock goes on */
    CHECK(set("jwt.lifetime", "60") == NULL && make() == 0);
    CHECK(strcmp(claims, "{\"aud\":\"project\",\"iat\":1700000005,\"exp\":1700000065}") == 0);
    fresh(HIL_KEY_RSA);
    CHECK_EQ(make(), 0);
    CHECK(strcmp(header, "{\"alg\":\"RS256\",\"typ\":\"JWT\"}") == 0 && signature_n == 256);
    CHECK(strpbrk(token, "+/=") == NULL && strcmp(key_seen, "mine") == 0);
    CHECK(set("jwt.alg", "ES256") == NULL && make() == 0 && strstr(header, "ES256") != NULL);
    CHECK(strcmp(set("jwt.alg", "HS256"), "bad_value") == 0);
    CHECK(strcmp(set("jwt.lifetime", "0"), "bad_value") == 0);
}

static void refused(void) {
    fresh(HIL_KEY_EC);
    CHECK(set("epoch", "0") == NULL);
    CHECK_EQ(make(), HIL_JWT_NO_CLOCK);
    CHECK(strstr(stub_out, "name=hil_jwt_make rc=-10 ") != NULL);
    fresh(HIL_KEY_NONE);
    CHECK_EQ(make(), HIL_JWT_NO_KEY);
    fresh(HIL_KEY_EC);
    put("key", "");
    CHECK_EQ(make(), HIL_JWT_NO_KEY);
    fresh(HIL_KEY_EC);
    given = -3;
    CHECK_EQ(make(), HIL_JWT_SIGN);
    given = 100000; /* more than there was room for */
    CHECK_EQ(make(), HIL_JWT_SIGN);
    fresh(HIL_KEY_EC);
    CHECK(set("jwt.audience", "a\"b") == NULL);
    CHECK_EQ(make(), HIL_JWT_TEXT);
}

static void with(enum hil_key of, const char *defect) {
    fresh(of);
    CHECK(set("host", "broker.test") == NULL && set("defect", defect) == NULL);
    CHECK_EQ(make(), 0);
}

static void mistakes(void) {
    with(HIL_KEY_RSA, "jwt_padding");
    CHECK(token[strlen(token) - 1] == '=');
    with(HIL_KEY_RSA, "jwt_padding_cut");
    CHECK(strchr(token, '=') == NULL);
    with(HIL_KEY_RSA, "jwt_alphabet");
    CHECK(strpbrk(token, "+/") != NULL && strpbrk(token, "-_") == NULL);
    with(HIL_KEY_EC, "jwt_der");
    CHECK(signature_n == 8 && signature[0] == 0x30);
    with(HIL_KEY_EC, "jwt_text_times");
    CHECK(strstr(claims, "\"iat\":\"" NOW "\"") != NULL);
    with(HIL_KEY_EC, "jwt_audience");
    CHECK(strstr(claims, "\"aud\":\"broker.test\"") != NULL);
    with(HIL_KEY_EC, "jwt_expired");
    CHECK(strstr(claims, "\"iat\":" NOW ",\"exp\":3600}") != NULL);
    with(HIL_KEY_EC, "jwt_long_life");
    CHECK(strstr(claims, "\"exp\":1700604800}") != NULL);
    with(HIL_KEY_EC, "jwt_clock_ahead");
    CHECK(strstr(claims, "\"iat\":1700007200,\"exp\":1700010800}") != NULL);
    with(HIL_KEY_EC, "jwt_clock_behind");
    CHECK(strstr(claims, "\"iat\":1699989200,\"exp\":1699992800}") != NULL);
    with(HIL_KEY_EC, "jwt_other_alg");
    CHECK(strstr(header, "RS256") != NULL && signature_n == 8);
    with(HIL_KEY_RSA, "jwt_other_alg");
    CHECK(strstr(header, "ES256") != NULL && signature_n == 256);
    with(HIL_KEY_EC, "key_mismatch");
    CHECK(strcmp(key_seen, "another") == 0);
    with(HIL_KEY_RSA, "no_sni,jwt_padding,jwt_audience");
    CHECK_EQ(hil_settings.defects, HIL_DEFECT_NO_SNI);
    CHECK(token[strlen(token) - 1] == '=' && strstr(claims, "broker.test") != NULL);
    CHECK(set("defect", "") == NULL && hil_settings.jwt_faults == 0 && make() == 0);
    CHECK(strcmp(set("defect", "jwt_paddin"), "bad_value") == 0);
}

/* A firmware that cannot sign has none of it. */
static void unable(void) {
    char names[800];
    fresh(HIL_KEY_NONE);
    (void)hil_settings_defect_names(names, sizeof names);
    CHECK(strstr(names, ",jwt_padding,") != NULL && strstr(names, ",jwt_other_alg") != NULL);
    able = false;
    (void)hil_settings_defect_names(names, sizeof names);
    CHECK(strstr(names, "jwt_") == NULL);
    CHECK(strcmp(set("defect", "jwt_padding"), "bad_value") == 0);
    CHECK_EQ(make(), HIL_JWT_NO_KEY);
    able = true;
}

int main(void) {
    good();
    refused();
    mistakes();
    unable();
    return 0;
}
