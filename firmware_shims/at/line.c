/* One line of the module; see hil/at.h. */
#include "hil/at.h"

#include <string.h>

static bool starts(const char **at, const char *end, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(end - *at) < len || memcmp(*at, word, len) != 0)
        return false;
    *at += len;
    return true;
}

/* A decimal number that ends at a colon or the end of the line. */
static bool number(const char **at, const char *end, uint32_t *out) {
    uint32_t value = 0;
    const char *p = *at;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        if (p - *at >= 9)
            return false;
        value = value * 10 + (uint32_t)(*p - '0');
    }
    if (p == *at || (p < end && *p != ':'))
        return false;
    *at = p;
    *out = value;
    return true;
}

static const struct {
    const char *word;
    enum hil_at_kind kind;
    bool numbered;
} WORDS[] = {
    {"OK", HIL_AT_OK, false},
    {"ERROR:", HIL_AT_ERROR, true},
    {"Certificate Error:", HIL_AT_CERTIFICATE, true},
    {"Loading:", HIL_AT_LOADING, true},
    {"No SubjectKeyId", HIL_AT_NO_KEY_ID, false},
    {"On:", HIL_AT_ON, false},
    {"Query:", HIL_AT_QUERY, true},
    {"Reading:", HIL_AT_READING, true},
};

static const struct {
    const char *word;
    enum hil_at_kind kind;
} WINDS[] = {
    {"55:", HIL_AT_PENDING},
    {"58:", HIL_AT_CLOSED},
    {"24:", HIL_AT_WIFI_UP},
};

void hil_at_parse(const char *line, size_t len, struct hil_at_answer *out) {
    const char *at = line, *end = line + len, *last = end;
    *out = (struct hil_at_answer){.kind = HIL_AT_OTHER, .text = line, .text_len = 0};
    while (last > line && last[-1] != ':')
        last--;
    if (last > line) {
        out->text = last;
        out->text_len = (size_t)(end - last);
    }
    if (starts(&at, end, "+WIND:")) {
        for (size_t i = 0; i < sizeof WINDS / sizeof *WINDS; i++)
            if (starts(&at, end, WINDS[i].word))
                out->kind = WINDS[i].kind;
        return;
    }
    (void)starts(&at, end, "AT");
    if (!starts(&at, end, "-S."))
        return;
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (!starts(&at, end, WORDS[i].word))
            continue;
        if (WORDS[i].kind == HIL_AT_ON) { /* On:address:id */
            const char *id = out->text;
            if (id < at || !number(&id, end, &out->a))
                return;
        } else if (WORDS[i].numbered ? !number(&at, end, &out->a) : at != end) {
            return;
        }
        out->kind = WORDS[i].kind;
        return;
    }
}
