#include "jwt.h"

bool hil_jwt_looks(struct hil_span s) {
    size_t dots = 0;
    if (s.n < 16 || memcmp(s.p, "eyJ", 3) != 0) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        dots += s.p[i] == '.';
    }
    return dots >= 1 && dots <= 4;
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
    return c == '-' || c == '+' ? 62 : c == '_' || c == '/' ? 63 : -1;
}

/* Either alphabet, with or without padding, so that the contents can be read in spite of it. -1: not base64.
 */
static int decode(struct hil_span s, uint8_t *out, size_t room) {
    uint32_t acc = 0;
    unsigned bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '=') {
            continue;
        }
        int v = value_of(s.p[i]);
        if (v < 0) {
            return -1;
        }
        acc = (acc << 6 | (uint32_t)v) & 0xffffffU;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            if (n == room) {
                return (int)n;
            }
            out[n++] = (uint8_t)(acc >> bits);
        }
    }
    return (int)n;
}

/* ---- just enough JSON: the members of the outer object ---- */

static void spaces(struct hil_span *s) {
    while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == '\t' || s->p[0] == '\r' || s->p[0] == '\n')) {
        hil_skip(s, 1);
    }
}

static bool text(struct hil_span *s, struct hil_span *out) {
    if (s->n == 0 || s->p[0] != '"') {
        return false;
    }
    hil_skip(s, 1);
    out->p = s->p;
    out->n = 0;
    while (s->n > 0) {
        uint8_t c = s->p[0];
        hil_skip(s, 1);
        if (c == '"') {
            return true;
        }
        out->n++;
        if (c == '\\' && s->n > 0) {
            hil_skip(s, 1);
            out->n++;
        }
    }
    return false;
}

/* Passes over any value; nesting is counted, not recursed into. */
static bool skip_value(struct hil_span *s, struct hil_span *whole) {
    unsigned depth = 0;
    struct hil_span ignored;
    whole->p = s->p;
    size_t before = s->n;
    while (s->n > 0) {
        uint8_t c = s->p[0];
        if (c == '"') {
            if (!text(s, &ignored)) {
                return false;
            }
        } else if (c == '{' || c == '[') {
            depth++;
            hil_skip(s, 1);
        } else if (c == '}' || c == ']' || c == ',') {
            if (depth == 0) {
                break;
            }
            depth -= c != ',';
            hil_skip(s, 1);
        } else {
            hil_skip(s, 1);
        }
        if (depth == 0 && (s->n == 0 || s->p[0] == ',' || s->p[0] == '}')) {
            break;
        }
    }
    whole->n = before - s->n;
    return whole->n > 0;
}

static void copy(char *to, size_t room, bool *has, struct hil_span v) {
    if (v.n >= 2 && v.p[0] == '"') { /* without its quotes */
        v.p++;
        v.n -= 2;
    }
    size_t n = v.n < room - 1 ? v.n : room - 1;
    memcpy(to, v.p, n);
    to[n] = 0;
    *has = true;
}

static void number(struct hil_jwt *j, struct hil_span v, int64_t *to, bool *has) {
    if (v.n > 0 && v.p[0] == '"') {
        j->times_are_text = true;
        v.p++;
        v.n -= 1;
    }
    bool minus = v.n > 0 && v.p[0] == '-';
    int64_t n = 0;
    size_t i = minus ? 1 : 0;
    size_t start = i;
    for (; i < v.n && i < start + 18 && v.p[i] >= '0' && v.p[i] <= '9'; i++) {
        n = n * 10 + (v.p[i] - '0');
    }
    if (i > start) {
        *to = minus ? -n : n;
        *has = true;
    }
}

static bool key_is(struct hil_span key, const char *name) {
    return key.n == strlen(name) && memcmp(key.p, name, key.n) == 0;
}

static void member(struct hil_jwt *j, struct hil_span key, struct hil_span v) {
    if (key_is(key, "alg")) {
        copy(j->alg, sizeof j->alg, &j->has_alg, v);
    } else if (key_is(key, "typ")) {
        copy(j->typ, sizeof j->typ, &j->has_typ, v);
    } else if (key_is(key, "kid")) {
        j->has_kid = true;
    } else if (key_is(key, "aud")) {
        copy(j->aud, sizeof j->aud, &j->has_aud, v);
    } else if (key_is(key, "iss")) {
        copy(j->iss, sizeof j->iss, &j->has_iss, v);
    } else if (key_is(key, "sub")) {
        copy(j->sub, sizeof j->sub, &j->has_sub, v);
    } else if (key_is(key, "iat")) {
        number(j, v, &j->iat, &j->has_iat);
    } else if (key_is(key, "exp")) {
        number(j, v, &j->exp, &j->has_exp);
    } else if (key_is(key, "nbf")) {
        number(j, v, &j->nbf, &j->has_nbf);
    }
}

static bool object(struct hil_jwt *j, struct hil_span s) {
    struct hil_span key;
    struct hil_span value;
    spaces(&s);
    if (s.n == 0 || s.p[0] != '{') {
        return false;
    }
    hil_skip(&s, 1);
    spaces(&s);
    if (s.n > 0 && s.p[0] == '}') {
        return true;
    }
    while (s.n > 0) {
        spaces(&s);
        if (!text(&s, &key)) {
            return false;
        }
        spaces(&s);
        if (s.n == 0 || s.p[0] != ':') {
            return false;
        }
        hil_skip(&s, 1);
        spaces(&s);
        if (!skip_value(&s, &value)) {
            return false;
        }
        member(j, key, value);
        spaces(&s);
        if (s.n > 0 && s.p[0] == '}') {
            return true;
        }
        if (s.n == 0 || s.p[0] != ',') {
            return false;
        }
        hil_skip(&s, 1);
    }
    return false;
}

void hil_jwt_parse(struct hil_span s, struct hil_jwt *j) {
    struct hil_span part[3] = {{s.p, 0}, {s.p, 0}, {s.p, 0}};
    uint8_t json[HIL_JWT_PART];
    memset(j, 0, sizeof *j);
    const uint8_t *start = s.p;
    for (size_t i = 0; i <= s.n; i++) {
        if (i == s.n || s.p[i] == '.') {
            if (j->segments < 3) {
                part[j->segments] = (struct hil_span){start, (size_t)(s.p + i - start)};
            }
            j->segments++;
            start = s.p + i + 1;
            continue;
        }
        j->padding = j->padding || s.p[i] == '=';
        j->standard_alphabet = j->standard_alphabet || s.p[i] == '+' || s.p[i] == '/';
    }
    if (j->segments != 3) {
        j->malformed = "not three parts";
    }
    for (size_t i = 0; i < 2 && i < j->segments; i++) {
        int n = decode(part[i], json, sizeof json);
        if (n < 0 || !object(j, (struct hil_span){json, (size_t)n})) {
            j->malformed = i == 0 ? "header is not JSON" : "claims are not JSON";
            return;
        }
    }
    if (j->segments >= 3) {
        uint8_t sig[HIL_JWT_PART];
        int n = decode(part[2], sig, sizeof sig);
        if (n < 0 && j->malformed == NULL) {
            j->malformed = "signature is not base64";
        }
        j->sig_len = n > 0 ? (size_t)n : 0;
    }
}
