/* Text to behaviour: words with commas between the parts. The text comes from a person or a table. */
#include "hil_ntp.h"

#include <string.h>

#define MICRO       1000000
#define SECONDS_MAX 10000000000 /* 317 years either way: both neighbours of the era */

struct text {
    const char *at;
    size_t left;
};

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word, without the spaces around it; empty at the end. */
static struct text word(struct text *text) {
    while (text->left > 0 && is_space(*text->at))
        text->at++, text->left--;
    struct text found = {text->at, 0};
    while (text->left > 0 && !is_space(*text->at))
        text->at++, text->left--, found.left++;
    return found;
}

static struct text part(struct text *text) {
    struct text found = {text->at, 0};
    while (found.left < text->left && text->at[found.left] != ',')
        found.left++;
    size_t used = found.left < text->left ? found.left + 1 : found.left;
    text->at += used;
    text->left -= used;
    return found;
}

static bool is(struct text word, const char *name) {
    return word.left == strlen(name) && memcmp(word.at, name, word.left) == 0;
}

static bool digit(char c) {
    return c >= '0' && c <= '9';
}

/* [+-]digits[.digits], in microseconds. */
static bool seconds(struct text word, int64_t *out) {
    bool negative = false;
    int64_t whole = 0, fraction = 0, unit = MICRO;
    size_t i = 0, digits = 0;
    if (i < word.left && (word.at[i] == '-' || word.at[i] == '+'))
        negative = word.at[i++] == '-';
    for (; i < word.left && digit(word.at[i]); i++, digits++) {
        whole = whole * 10 + (word.at[i] - '0');
        if (whole > SECONDS_MAX)
            return false;
    }
    if (digits > 0 && i + 1 < word.left && word.at[i] == '.') {
        for (i++; i < word.left && digit(word.at[i]) && unit > 1; i++)
            fraction += (word.at[i] - '0') * (unit /= 10);
    }
    if (digits == 0 || i != word.left)
        return false;
    *out = (whole * MICRO + fraction) * (negative ? -1 : 1);
    return true;
}

static const char *kiss(struct text code, struct hil_ntp_behaviour *out) {
    if (code.left < 1 || code.left > sizeof out->kiss_code)
        return "kiss: give a code of 1 to 4 letters, such as RATE";
    memset(out->kiss_code, 0, sizeof out->kiss_code);
    for (size_t i = 0; i < code.left; i++) {
        if (code.at[i] < '!' || code.at[i] > '~')
            return "kiss: give a code of 1 to 4 letters, such as RATE";
        out->kiss_code[i] = (uint8_t)code.at[i];
    }
    out->kiss = true;
    return NULL;
}

static const char *stratum(struct text number, struct hil_ntp_behaviour *out) {
    int64_t value = 0;
    if (!seconds(number, &value) || value < 0 || value % MICRO != 0 || value / MICRO > UINT8_MAX)
        return "stratum: give a number from 0 to 255";
    out->stratum = (uint8_t)(value / MICRO);
    return NULL;
}

static const char *one(struct text text, int64_t now_us, struct hil_ntp_behaviour *out) {
    struct text name = word(&text), value = word(&text), rest = word(&text);
    if (rest.left > 0)
        return "too many words: put a comma between two behaviours";
    if (is(name, "offset"))
        return seconds(value, &out->offset_us) ? NULL : "offset: give seconds, such as -3600 or 0.25";
    if (is(name, "kiss"))
        return kiss(value, out);
    if (is(name, "stratum"))
        return stratum(value, out);
    if (is(name, "stopped")) {
        out->stopped = true;
        out->stopped_us = now_us;
        bool good = value.left == 0 || (seconds(value, &out->stopped_us) && out->stopped_us >= 0);
        return good ? NULL : "stopped: give a Unix time in seconds, or nothing";
    }
    if (value.left > 0)
        return "only offset, stopped, stratum and kiss take a value";
    if (is(name, "unsynchronised"))
        out->unsynchronised = true;
    else if (is(name, "replay"))
        out->replay = true;
    else if (is(name, "silent"))
        out->silent = true;
    else if (!is(name, "honest"))
        return "not one of: honest, offset, stopped, stratum, unsynchronised, kiss, replay, silent";
    return NULL;
}

const char *hil_ntp_behave(const char *text, size_t size, int64_t now_us, struct hil_ntp_behaviour *out) {
    struct hil_ntp_behaviour made = {.stratum = 1};
    struct text left = {text, size};
    do {
        struct text next = part(&left);
        const char *wrong = one(next, now_us, &made);
        if (wrong != NULL)
            return wrong;
    } while (left.left > 0);
    *out = made;
    return NULL;
}
