#include "jwt_password.h"

#include "hil/jwt.h"
#include "hil/shim.h"
#include "hil/sign.h"
#include "settings.h"
#include "tls_common.h"

#include <string.h>

#define TOKEN_MAX 1024u /* RS256 with a key of 4096 bits and a long audience */
#define HOUR      3600u
#define DAY       (24u * HOUR)

/* Beside those of hil/jwt.h: what is put in, not how it is written. */
enum {
    AUDIENCE = 1u << 8,      /* aud is the broker's name, not the project */
    EXPIRED = 1u << 9,       /* exp is the lifetime, where the moment is wanted */
    LONG_LIFE = 1u << 10,    /* lives for a week */
    CLOCK_AHEAD = 1u << 11,  /* local time of a place east taken for UTC */
    CLOCK_BEHIND = 1u << 12, /* the moment of the last SNTP answer, an old one, used for all tokens */
    OTHER_ALG = 1u << 13     /* the header names the algorithm of the other kind of key */
};

static const struct {
    const char *name;
    uint32_t bit;
} FAULTS[] = {
    {"jwt_padding", HIL_JWT_PADDED},    {"jwt_padding_cut", HIL_JWT_STRIPPED},
    {"jwt_alphabet", HIL_JWT_ALPHABET}, {"jwt_der", HIL_JWT_DER},
    {"jwt_text_times", HIL_JWT_TIMES},  {"jwt_audience", AUDIENCE},
    {"jwt_expired", EXPIRED},           {"jwt_long_life", LONG_LIFE},
    {"jwt_clock_ahead", CLOCK_AHEAD},   {"jwt_clock_behind", CLOCK_BEHIND},
    {"jwt_other_alg", OTHER_ALG},
};
#define FAULT_COUNT (sizeof FAULTS / sizeof *FAULTS)

__attribute__((weak)) bool hil_can_sign(void) {
    return false;
}

__attribute__((weak)) enum hil_key hil_key_kind(struct hil_blob key) {
    (void)key;
    return HIL_KEY_NONE;
}

__attribute__((weak)) int hil_sign(struct hil_blob key, const uint8_t *seed, const uint8_t *text, size_t len,
                                   uint8_t *sig, size_t room) {
    (void)key, (void)seed, (void)text, (void)len, (void)sig, (void)room;
    return -1;
}

const char *hil_jwt_fault_name(size_t index) {
    return hil_can_sign() && index < FAULT_COUNT ? FAULTS[index].name : NULL;
}

uint32_t hil_jwt_fault(const char *name, size_t len) {
    for (size_t i = 0; i < FAULT_COUNT && hil_can_sign(); i++)
        if (strlen(FAULTS[i].name) == len && memcmp(FAULTS[i].name, name, len) == 0)
            return FAULTS[i].bit;
    return 0;
}

static int sign(void *context, const uint8_t *text, size_t len, uint8_t *sig, size_t room) {
    const struct hil_blob *key = context;
    return hil_sign(*key, hil_settings.seed, text, len, sig, room);
}

static enum hil_jwt_alg algorithm(enum hil_key kind) {
    const char *alg = hil_settings.jwt_alg;
    bool rsa = alg[0] != '\0' ? alg[0] == 'R' : kind == HIL_KEY_RSA;
    if ((hil_settings.jwt_faults & OTHER_ALG) != 0)
        rsa = !rsa;
    return rsa ? HIL_JWT_RS256 : HIL_JWT_ES256;
}

static int make(char *out, size_t room) {
    const struct hil_settings *s = &hil_settings;
    struct hil_blob key =
        hil_settings_slot(hil_defect_on(HIL_DEFECT_KEY_MISMATCH) ? HIL_SLOT_KEY_ALT : HIL_SLOT_KEY);
    enum hil_key kind = hil_key_kind(key);
    if (kind == HIL_KEY_NONE)
        return HIL_JWT_NO_KEY;
    if (s->epoch == 0)
        return HIL_JWT_NO_CLOCK;
    hil_clock_set(s->epoch, s->epoch_ms);
    struct hil_jwt_request request = {
        .alg = algorithm(kind),
        .audience = (s->jwt_faults & AUDIENCE) != 0 ? s->host : s->jwt_audience,
        .issued = (uint32_t)hil_clock_now(),
        .lifetime = s->jwt_lifetime,
        .faults = s->jwt_faults,
        .sign = sign,
        .context = &key,
    };
    if (request.alg == HIL_JWT_ES256 && kind == HIL_KEY_RSA)
        request.faults |= HIL_JWT_DER; /* what the key gives is no pair of numbers: it goes in as it is */
    if ((s->jwt_faults & CLOCK_AHEAD) != 0)
        request.issued += 2u * HOUR;
    if ((s->jwt_faults & CLOCK_BEHIND) != 0)
        request.issued -= s->jwt_lifetime + 2u * HOUR;
    if ((s->jwt_faults & LONG_LIFE) != 0)
        request.lifetime = 7u * DAY;
    if ((s->jwt_faults & EXPIRED) != 0)
        request.lifetime = s->jwt_lifetime - request.issued; /* so that exp is the lifetime alone */
    return hil_jwt_make(out, room, &request);
}

int hil_jwt_password(struct hil_slice *out) {
    static char token[TOKEN_MAX];
    int n = make(token, sizeof token);
    hil_event_api("hil_jwt_make", n < 0 ? n : 0, 0);
    if (n < 0)
        return n;
    *out = (struct hil_slice){(const uint8_t *)token, (size_t)n};
    return 0;
}
