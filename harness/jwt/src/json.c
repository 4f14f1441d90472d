#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH   8U
#define MEMBERS 32U

struct reader {
    const uint8_t *p;
    size_t n;
    const char *error;
};

static bool fail(struct reader *r, const char *why) {
    if (r->error == NULL) {
        r->error = why;
    }
    return false;
}

static void blanks(struct reader *r) {
    while (r->n > 0 && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r' || *r->p == '\n')) {
        r->p++;
        r->n--;
    }
}

static bool take(struct reader *r, uint8_t c) {
    if (r->n == 0 || *r->p != c) {
        return false;
    }
    r->p++;
    r->n--;
    return true;
}

/* Bytes of one UTF-8 character (RFC 3629), 0 when it is none. */
static size_t utf8(const uint8_t *p, size_t n) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80             ? 1
                 : (p[0] & 0xe0) == 0xc0 ? 2
                 : (p[0] & 0xf0) == 0xe0 ? 3
                 : (p[0] & 0xf8) == 0xf0 ? 4
                                         : 0;
    if (len <= 1) {
        return len;
    }
    if (len > n) {
        return 0;
    }
    uint32_t code = p[0] & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (p[i] & 0x3fU);
    }
    bool good = code >= least[len] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return good ? len : 0;
}

/* Behind an opening quote: up to and with the closing one. */
static bool string(struct reader *r, const uint8_t **start, size_t *len, bool *escaped) {
    *start = r->p;
    *escaped = false;
    while (r->n > 0 && *r->p != '"') {
        if (*r->p < 0x20) {
            return fail(r, "a control character in a string");
        }
        size_t step = 1;
        if (*r->p == '\\') {
            *escaped = true;
            if (r->n < 2 || strchr("\"\\/bfnrtu", r->p[1]) == NULL || r->p[1] == '\0') {
                return fail(r, "an escape that JSON does not know");
            }
            step = 2;
            if (r->p[1] == 'u') {
                step = 6;
                for (size_t i = 2; i < 6; i++) {
                    if (r->n < 6 || strchr("0123456789abcdefABCDEF", r->p[i]) == NULL || r->p[i] == '\0') {
                        return fail(r, "an escape that JSON does not know");
                    }
                }
            }
        } else {
            step = utf8(r->p, r->n);
            if (step == 0) {
                return fail(r, "text that is not UTF-8");
            }
        }
        r->p += step;
        r->n -= step;
    }
    *len = (size_t)(r->p - *start);
    return take(r, '"') ? true : fail(r, "a string without an end");
}

static bool digits(struct reader *r) {
    size_t count = 0;
    while (r->n > 0 && *r->p >= '0' && *r->p <= '9') {
        r->p++;
        r->n--;
        count++;
    }
    return count > 0 ? true : fail(r, "a number without digits");
}

static bool number(struct reader *r) {
    (void)take(r, '-');
    if (r->n > 1 && r->p[0] == '0' && r->p[1] >= '0' && r->p[1] <= '9') {
        return fail(r, "a number with a leading zero");
    }
    if (!digits(r) || (take(r, '.') && !digits(r))) {
        return false;
    }
    if (take(r, 'e') || take(r, 'E')) {
        (void)(take(r, '+') || take(r, '-'));
        return digits(r);
    }
    return true;
}

static bool word(struct reader *r, const char *text) {
    size_t len = strlen(text);
    if (r->n < len || memcmp(r->p, text, len) != 0) {
        return fail(r, "a value that is none");
    }
    r->p += len;
    r->n -= len;
    return true;
}

static bool value(struct reader *r, unsigned depth, struct hil_json_member *m);

/* Behind the opening bracket of what nests: the contents are only checked for their form. */
static bool nested(struct reader *r, unsigned depth, uint8_t end) {
    struct hil_json_member inner;
    const uint8_t *start;
    size_t len;
    bool escaped;
    if (depth == 0) {
        return fail(r, "nested too deep");
    }
    blanks(r);
    if (take(r, end)) {
        return true;
    }
    do {
        blanks(r);
        if (end == '}') {
            if (!take(r, '"') || !string(r, &start, &len, &escaped)) {
                return fail(r, "a name is missing");
            }
            blanks(r);
            if (!take(r, ':')) {
                return fail(r, "a colon is missing");
            }
        }
        if (!value(r, depth, &inner)) {
            return false;
        }
        blanks(r);
    } while (take(r, ','));
    return take(r, end) ? true : fail(r, "a comma or bracket is missing");
}

static bool value(struct reader *r, unsigned depth, struct hil_json_member *m) {
    bool escaped;
    bool good;
    blanks(r);
    if (r->n == 0) {
        return fail(r, "a value is missing");
    }
    m->value = r->p;
    m->kind = HIL_JSON_OTHER;
    switch (*r->p) {
    case '"':
        (void)take(r, '"');
        m->kind = HIL_JSON_STRING;
        return string(r, &m->value, &m->n, &escaped);
    case '{':
        (void)take(r, '{');
        good = nested(r, depth - 1, '}');
        break;
    case '[':
        (void)take(r, '[');
        m->kind = HIL_JSON_ARRAY;
        good = nested(r, depth - 1, ']');
        break;
    case 't':
        good = word(r, "true");
        break;
    case 'f':
        good = word(r, "false");
        break;
    case 'n':
        good = word(r, "null");
        break;
    default:
        m->kind = HIL_JSON_NUMBER;
        good = number(r);
        break;
    }
    m->n = (size_t)(r->p - m->value);
    return good;
}

static bool known(char names[MEMBERS][32], size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool member(struct reader *r, struct hil_json_member *m) {
    const uint8_t *start;
    size_t len;
    bool escaped;
    if (!take(r, '"') || !string(r, &start, &len, &escaped)) {
        return fail(r, "a name is missing");
    }
    if (escaped || len >= sizeof m->name) {
        return fail(r, "a name with escapes, or longer than any claim's");
    }
    memcpy(m->name, start, len);
    m->name[len] = '\0';
    if (strlen(m->name) != len) {
        return fail(r, "a name with NUL");
    }
    blanks(r);
    if (!take(r, ':')) {
        return fail(r, "a colon is missing");
    }
    return value(r, DEPTH, m);
}

const char *hil_json_object(const uint8_t *text, size_t n,
                            void (*each)(void *context, const struct hil_json_member *member),
                            void *context) {
    struct reader r = {text, n, NULL};
    char names[MEMBERS][32];
    size_t count = 0;
    blanks(&r);
    if (!take(&r, '{')) {
        return "no JSON object";
    }
    blanks(&r);
    if (!take(&r, '}')) {
        do {
            struct hil_json_member m = {.n = 0};
            blanks(&r);
            if (!member(&r, &m)) {
                return r.error;
            }
            if (count == MEMBERS) {
                return "too many members";
            }
            if (known(names, count, m.name)) {
                return "a name that stands there twice";
            }
            memcpy(names[count++], m.name, sizeof m.name);
            each(context, &m);
            blanks(&r);
        } while (take(&r, ','));
        if (!take(&r, '}')) {
            return "a comma or bracket is missing";
        }
    }
    blanks(&r);
    return r.n == 0 ? NULL : "something behind the object";
}

bool hil_json_seconds(const struct hil_json_member *member, int64_t *seconds) {
    char text[32];
    if (member->kind != HIL_JSON_NUMBER || member->n >= sizeof text) {
        return false;
    }
    memcpy(text, member->value, member->n);
    text[member->n] = '\0';
    double given = strtod(text, NULL);
    if (!isfinite(given) || given < 0 || given >= 9007199254740992.0) {
        return false;
    }
    *seconds = (int64_t)given;
    return true;
}
