#include "hil/jwt.h"

#include <string.h>

#define SIGNATURE_MAX 512u /* RSA-4096 */
#define HALF          32u  /* bytes of r and of s: P-256 */
#define TIME_MAX      10u  /* digits of 2^32 */

struct text {
    char *out;
    size_t room, len; /* room without the NUL */
    bool full;
};

static void put(struct text *t, char c) {
    if (t->len >= t->room) {
        t->full = true;
        return;
    }
    t->out[t->len++] = c;
}

/* base64 while bytes come: JSON is encoded as it is written, no copy of it is kept. */
struct encoder {
    struct text *to;
    unsigned faults;
    uint32_t acc;
    unsigned count; /* bytes waiting in acc */
};

static char letter(const struct encoder *e, uint32_t value) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    bool standard = (e->faults & HIL_JWT_ALPHABET) != 0;
    value &= 63u;
    if (value < 62u)
        return set[value];
    return value == 62u ? (standard ? '+' : '-') : (standard ? '/' : '_');
}

static void byte(struct encoder *e, uint8_t value) {
    e->acc = e->acc << 8 | value;
    if (++e->count < 3u)
        return;
    for (unsigned shift = 24u; shift > 0; shift -= 6u)
        put(e->to, letter(e, e->acc >> (shift - 6u)));
    e->acc = 0;
    e->count = 0;
}

static void finish(struct encoder *e) {
    if (e->count == 0)
        return;
    unsigned given = e->count;
    uint32_t rest = e->acc << (given == 1u ? 16u : 8u);
    put(e->to, letter(e, rest >> 18));
    put(e->to, letter(e, rest >> 12));
    if (given == 2u)
        put(e->to, letter(e, rest >> 6));
    for (unsigned i = given; i < 3u && (e->faults & (HIL_JWT_PADDED | HIL_JWT_STRIPPED)) != 0; i++)
        put(e->to, '=');
    e->acc = 0;
    e->count = 0;
}

static void words(struct encoder *e, const char *text) {
    for (; *text != '\0'; text++)
        byte(e, (uint8_t)*text);
}

static void seconds(struct encoder *e, uint32_t value) {
    char digits[TIME_MAX + 1u];
    size_t at = sizeof digits - 1u;
    const char *quote = (e->faults & HIL_JWT_TIMES) != 0 ? "\"" : "";
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value > 0);
    words(e, quote);
    words(e, digits + at);
    words(e, quote);
}

static bool plain(const char *text) {
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20u || (unsigned char)*text > 0x7eu || *text == '"' || *text == '\\')
            return false;
    return true;
}

/* One INTEGER of an ECDSA signature into 32 bytes. Bytes taken, 0 when it is none. */
static size_t integer(const uint8_t *der, size_t len, uint8_t out[HALF]) {
    if (len < 2u || der[0] != 0x02u || der[1] == 0 || der[1] > HALF + 1u || len - 2u < der[1])
        return 0;
    size_t n = der[1];
    const uint8_t *value = der + 2;
    if (n == HALF + 1u && value[0] != 0)
        return 0;
    size_t skip = n == HALF + 1u ? 1u : 0;
    memset(out, 0, HALF);
    memcpy(out + HALF - (n - skip), value + skip, n - skip);
    return 2u + n;
}

/* DER to r||s (RFC 7518 3.4), in place. */
static int raw_signature(uint8_t *sig, size_t len) {
    uint8_t pair[2u * HALF];
    if (len < 8u || sig[0] != 0x30u || sig[1] > 0x7fu || (size_t)sig[1] + 2u != len)
        return HIL_JWT_SHAPE;
    size_t first = integer(sig + 2, len - 2u, pair);
    size_t second = first > 0 ? integer(sig + 2 + first, len - 2u - first, pair + HALF) : 0;
    if (second == 0 || 2u + first + second != len)
        return HIL_JWT_SHAPE;
    memcpy(sig, pair, sizeof pair);
    return (int)sizeof pair;
}

static void strip(struct text *t) {
    size_t to = 0;
    for (size_t from = 0; from < t->len; from++)
        if (t->out[from] != '=')
            t->out[to++] = t->out[from];
    t->len = to;
}

static void body(struct text *t, const struct hil_jwt_request *request) {
    struct encoder e = {.to = t, .faults = request->faults};
    words(&e, request->alg == HIL_JWT_RS256 ? "{\"alg\":\"RS256\",\"typ\":\"JWT\"}"
                                            : "{\"alg\":\"ES256\",\"typ\":\"JWT\"}");
    finish(&e);
    put(t, '.');
    words(&e, "{\"aud\":\"");
    words(&e, request->audience);
    words(&e, "\",\"iat\":");
    seconds(&e, request->issued);
    words(&e, ",\"exp\":");
    seconds(&e, request->issued + request->lifetime);
    words(&e, "}");
    finish(&e);
}

static int make(struct text *t, const struct hil_jwt_request *request) {
    uint8_t sig[SIGNATURE_MAX];
    struct encoder e = {.to = t, .faults = request->faults};
    if (!plain(request->audience))
        return HIL_JWT_TEXT;
    body(t, request);
    if (t->full)
        return HIL_JWT_ROOM;
    int n = request->sign(request->context, (const uint8_t *)t->out, t->len, sig, sizeof sig);
    if (n <= 0 || (size_t)n > sizeof sig)
        return HIL_JWT_SIGN;
    if (request->alg == HIL_JWT_ES256 && (request->faults & HIL_JWT_DER) == 0)
        n = raw_signature(sig, (size_t)n);
    if (n < 0)
        return n;
    put(t, '.');
    for (int i = 0; i < n; i++)
        byte(&e, sig[i]);
    finish(&e);
    if ((request->faults & HIL_JWT_STRIPPED) != 0)
        strip(t);
    return t->full ? HIL_JWT_ROOM : (int)t->len;
}

int hil_jwt_make(char *out, size_t room, const struct hil_jwt_request *request) {
    if (room == 0)
        return HIL_JWT_ROOM;
    struct text t = {.out = out, .room = room - 1u};
    int rc = make(&t, request);
    out[rc < 0 ? 0 : t.len] = '\0';
    return rc;
}
