#include "token.h"

#include "json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct part {
    const uint8_t *p;
    size_t n;
};

struct claims {
    char alg[16], aud[256];
    bool has_alg, has_aud, has_iat, has_exp, has_nbf, crit;
    bool alg_kind, aud_array, aud_kind, time_kind; /* of another JSON type than it has to be */
    int64_t iat, exp, nbf;
};

static const char *const part_names[3] = {"header", "payload", "signature"};

__attribute__((format(printf, 3, 4))) static bool
refuse(struct hil_token_result *result, enum hil_token_fault fault, const char *format, ...) {
    va_list arguments;
    result->fault = fault;
    va_start(arguments, format);
    /* With several files at once, clang-tidy 14 does not see va_start. */
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    (void)vsnprintf(result->why, sizeof result->why, format, arguments);
    va_end(arguments);
    return false;
}

const char *hil_token_cause(enum hil_token_fault fault) {
    static const char *const causes[] = {
        [HIL_TOKEN_GOOD] = "",
        [HIL_TOKEN_PADDING] = "jwt.padding",
        [HIL_TOKEN_ALPHABET] = "jwt.not_base64url",
        [HIL_TOKEN_MALFORMED] = "jwt.malformed",
        [HIL_TOKEN_ALGORITHM] = "jwt.algorithm_key_mismatch",
        [HIL_TOKEN_SIGNATURE] = "jwt.bad_signature",
        [HIL_TOKEN_EXPIRED] = "jwt.expired",
        [HIL_TOKEN_FUTURE] = "jwt.issued_in_future",
        [HIL_TOKEN_LIFETIME] = "jwt.lifetime_too_long",
        [HIL_TOKEN_AUDIENCE] = "jwt.wrong_audience",
        [HIL_TOKEN_DEVICE] = "mqtt.client_id_refused",
    };
    return causes[fault];
}

void hil_token_printable(const uint8_t *in, size_t n, char *out, size_t room) {
    size_t used = 0;
    if (room == 0) {
        return;
    }
    for (size_t i = 0; i < n && used + 1 < room; i++) {
        out[used++] = (char)(in[i] >= 0x20 && in[i] < 0x7f ? in[i] : '?');
    }
    out[used] = '\0';
}

static int value_of(uint8_t c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Strict base64url: exact length, no stray bits in the last character (RFC 4648 3.5). False when it is none.
 */
static bool decode(struct part part, uint8_t *out, size_t room, size_t *n) {
    uint32_t acc = 0;
    unsigned bits = 0;
    *n = 0;
    if (part.n % 4 == 1) {
        return false;
    }
    for (size_t i = 0; i < part.n; i++) {
        int v = value_of(part.p[i]);
        if (v < 0) {
            return false;
        }
        acc = (acc << 6 | (uint32_t)v) & 0xffffU;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            if (*n == room) {
                return false;
            }
            out[(*n)++] = (uint8_t)(acc >> bits & 0xffU);
        }
    }
    return (acc & ((1U << bits) - 1U)) == 0;
}

static bool split(const uint8_t *token, size_t n, struct part parts[3], struct hil_token_result *result) {
    size_t count = 1;
    if (n == 0) {
        return refuse(result, HIL_TOKEN_MALFORMED, "the password is empty");
    }
    if (n > HIL_TOKEN_MAX) {
        return refuse(result, HIL_TOKEN_MALFORMED, "%zu characters are more than any token", n);
    }
    for (size_t i = 0; i < n; i++) {
        count += token[i] == '.';
    }
    if (count != 3) {
        return refuse(result, HIL_TOKEN_MALFORMED, "%zu part%s between dots, not 3", count,
                      count == 1 ? "" : "s");
    }
    const uint8_t *start = token;
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *end = i < 2 ? memchr(start, '.', (size_t)(token + n - start)) : token + n;
        parts[i] = (struct part){start, (size_t)(end - start)};
        start = i < 2 ? end + 1 : end;
    }
    return true;
}

/* Which character is in no base64url, so that a person finds it. */
static bool characters(const uint8_t *token, const struct part parts[3], struct hil_token_result *result) {
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < parts[i].n; k++) {
            uint8_t c = parts[i].p[k];
            size_t at = (size_t)(parts[i].p - token) + k + 1;
            if (c == '=') {
                return refuse(result, HIL_TOKEN_PADDING, "'=' in the %s, character %zu", part_names[i], at);
            }
            if (c == '+' || c == '/') {
                return refuse(result, HIL_TOKEN_ALPHABET, "'%c' in the %s, character %zu", c, part_names[i],
                              at);
            }
            if (value_of(c) < 0) {
                return refuse(result, HIL_TOKEN_MALFORMED, "byte 0x%02x in the %s, character %zu", c,
                              part_names[i], at);
            }
        }
        if (parts[i].n == 0) {
            return refuse(result, HIL_TOKEN_MALFORMED, "the %s is empty", part_names[i]);
        }
    }
    return true;
}

static void text_of(const struct hil_json_member *m, char *out, size_t room) {
    /* A value with escapes or cut short equals nothing it is compared with: '?' is in no algorithm's name. */
    hil_token_printable(m->value, m->n, out, room);
}

static void in_header(void *context, const struct hil_json_member *m) {
    struct claims *c = context;
    if (strcmp(m->name, "alg") == 0) {
        c->has_alg = true;
        c->alg_kind = m->kind != HIL_JSON_STRING;
        text_of(m, c->alg, sizeof c->alg);
    }
    c->crit = c->crit || strcmp(m->name, "crit") == 0;
}

static void when(struct claims *c, const struct hil_json_member *m, bool *has, int64_t *seconds) {
    *has = true;
    c->time_kind = c->time_kind || !hil_json_seconds(m, seconds);
}

static void in_payload(void *context, const struct hil_json_member *m) {
    struct claims *c = context;
    if (strcmp(m->name, "aud") == 0) {
        c->has_aud = true;
        c->aud_array = m->kind == HIL_JSON_ARRAY;
        c->aud_kind = m->kind != HIL_JSON_STRING;
        text_of(m, c->aud, sizeof c->aud);
    } else if (strcmp(m->name, "iat") == 0) {
        when(c, m, &c->has_iat, &c->iat);
    } else if (strcmp(m->name, "exp") == 0) {
        when(c, m, &c->has_exp, &c->exp);
    } else if (strcmp(m->name, "nbf") == 0) {
        when(c, m, &c->has_nbf, &c->nbf);
    }
}

static bool parse(const struct part parts[3], struct claims *c, struct hil_token_result *result) {
    uint8_t raw[HIL_TOKEN_PART];
    size_t n;
    for (size_t i = 0; i < 2; i++) {
        if (!decode(parts[i], raw, sizeof raw, &n)) {
            return refuse(result, HIL_TOKEN_MALFORMED, "the %s is no base64url of its length", part_names[i]);
        }
        const char *wrong = hil_json_object(raw, n, i == 0 ? in_header : in_payload, c);
        if (wrong != NULL) {
            return refuse(result, HIL_TOKEN_MALFORMED, "the %s is not JSON: %s", part_names[i], wrong);
        }
    }
    if (c->crit) {
        return refuse(result, HIL_TOKEN_MALFORMED, "the header has crit, of which nothing is understood");
    }
    if (!c->has_alg || c->alg_kind) {
        return refuse(result, HIL_TOKEN_MALFORMED, "alg is missing or no text");
    }
    if (c->time_kind) {
        return refuse(result, HIL_TOKEN_MALFORMED, "iat, exp or nbf is no number of seconds");
    }
    if (!c->has_iat || !c->has_exp) {
        return refuse(result, HIL_TOKEN_MALFORMED, "%s is missing", c->has_iat ? "exp" : "iat");
    }
    result->issued = c->iat;
    result->expires = c->exp;
    return true;
}

static bool signature(const uint8_t *token, const struct part parts[3], const struct claims *c,
                      const struct hil_token_rules *rules, struct hil_token_result *result) {
    uint8_t raw[HIL_TOKEN_PART];
    size_t n;
    if (strcmp(c->alg, "RS256") != 0 && strcmp(c->alg, "ES256") != 0) {
        return refuse(result, HIL_TOKEN_ALGORITHM, "alg is %s, taken are RS256 and ES256", c->alg);
    }
    if (!decode(parts[2], raw, sizeof raw, &n)) {
        return refuse(result, HIL_TOKEN_MALFORMED, "the signature is no base64url of its length");
    }
    if (strcmp(c->alg, "ES256") == 0 && n != 64) {
        bool der = n >= 66 && n <= 72 && raw[0] == 0x30;
        return refuse(result, HIL_TOKEN_SIGNATURE,
                      "an ES256 signature has 64 bytes of r and s, this has %zu%s", n,
                      der ? " and is DER" : "");
    }
    if (rules->verify == NULL) {
        return true;
    }
    size_t signed_n = (size_t)(parts[1].p + parts[1].n - token);
    result->fault =
        rules->verify(rules->context, c->alg, token, signed_n, raw, n, result->why, sizeof result->why);
    return result->fault == HIL_TOKEN_GOOD;
}

static bool times(const struct claims *c, const struct hil_token_rules *rules,
                  struct hil_token_result *result) {
    if (c->iat > rules->now + rules->skew) {
        return refuse(result, HIL_TOKEN_FUTURE, "iat is %lld s ahead", (long long)(c->iat - rules->now));
    }
    if (c->has_nbf && c->nbf > rules->now + rules->skew) {
        return refuse(result, HIL_TOKEN_FUTURE, "nbf is %lld s ahead", (long long)(c->nbf - rules->now));
    }
    if (c->exp + rules->skew < rules->now) {
        return refuse(result, HIL_TOKEN_EXPIRED, "exp was %lld s ago", (long long)(rules->now - c->exp));
    }
    if (c->exp - c->iat > rules->lifetime + rules->skew) {
        return refuse(result, HIL_TOKEN_LIFETIME, "exp is %lld s behind iat, %lld are allowed",
                      (long long)(c->exp - c->iat), (long long)rules->lifetime);
    }
    return true;
}

static bool audience(const struct claims *c, const struct hil_token_rules *rules,
                     struct hil_token_result *result) {
    if (rules->audience == NULL) {
        return true;
    }
    if (!c->has_aud) {
        return refuse(result, HIL_TOKEN_AUDIENCE, "aud is missing, it has to be %.60s", rules->audience);
    }
    if (c->aud_array) {
        return refuse(result, HIL_TOKEN_AUDIENCE, "aud is a list: legal, but this service takes one text");
    }
    if (c->aud_kind || strcmp(c->aud, rules->audience) != 0) {
        return refuse(result, HIL_TOKEN_AUDIENCE, "aud is %.48s, it has to be %.48s", c->aud,
                      rules->audience);
    }
    return true;
}

bool hil_token_check(const uint8_t *token, size_t n, const struct hil_token_rules *rules,
                     struct hil_token_result *result) {
    struct part parts[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    struct claims claims;
    memset(&claims, 0, sizeof claims);
    memset(result, 0, sizeof *result);
    return split(token, n, parts, result) && characters(token, parts, result) &&
           parse(parts, &claims, result) && signature(token, parts, &claims, rules, result) &&
           times(&claims, rules, result) && audience(&claims, rules, result);
}
