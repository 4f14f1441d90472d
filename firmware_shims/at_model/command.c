#include "command.h"

#include <string.h>
#include <strings.h>

struct words {
    const char *at, *end;
};

/* Takes `word`, of either case, if it comes next. */
static bool take(struct words *w, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(w->end - w->at) < len || strncasecmp(w->at, word, len) != 0)
        return false;
    w->at += len;
    return true;
}

static bool ended(const struct words *w) {
    return w->at == w->end;
}

static bool number(struct words *w, uint32_t *out) {
    uint64_t value = 0;
    const char *from = w->at;
    while (w->at < w->end && *w->at >= '0' && *w->at <= '9' && w->at - from < 10)
        value = value * 10 + (uint64_t)(*w->at++ - '0');
    *out = (uint32_t)value;
    return w->at > from && value <= UINT32_MAX;
}

/* Text up to a comma or the end. */
static bool text(struct words *w, char out[AT_NAME_MAX + 1]) {
    size_t len = 0;
    while (w->at < w->end && *w->at != ',') {
        if (len == AT_NAME_MAX || *w->at < ' ' || *w->at > '~')
            return false;
        out[len++] = *w->at++;
    }
    out[len] = '\0';
    return true;
}

static bool certificate(struct words *w, struct at_command *c) {
    static const struct {
        const char *word;
        enum at_kind kind;
    } SLOTS[] = {{"ca,", AT_CERT_CA},
                 {"cert,", AT_CERT_CERT},
                 {"key,", AT_CERT_KEY},
                 {"auth,", AT_CERT_AUTH},
                 {"domain,", AT_CERT_DOMAIN}};
    uint32_t what;
    if (take(w, "content,")) {
        if (!number(w, &what) || !ended(w) || what < 1 || what > 2)
            return false;
        c->kind = what == 1 ? AT_CERT_LIST : AT_CERT_CLEAN;
        return true;
    }
    for (size_t i = 0; i < sizeof SLOTS / sizeof *SLOTS; i++) {
        if (!take(w, SLOTS[i].word))
            continue;
        if (!number(w, &c->length) || !ended(w) || c->length == 0 || c->length > AT_DATA_MAX)
            return false;
        c->kind = SLOTS[i].kind;
        c->has_data = true;
        return true;
    }
    return false;
}

/* host,port,name,kind */
static bool socket_on(struct words *w, struct at_command *c) {
    if (!text(w, c->host) || c->host[0] == '\0' || !take(w, ",") || !number(w, &c->port) || c->port == 0 ||
        c->port > 65535 || !take(w, ",") || !text(w, c->name) || !take(w, ","))
        return false;
    if (strcasecmp(c->name, "NULL") == 0)
        c->name[0] = '\0';
    if (w->end - w->at != 1 || (*w->at != 's' && *w->at != 't'))
        return false;
    c->socket = *w->at;
    c->kind = AT_SOCK_ON;
    return true;
}

static bool socket_data(struct words *w, struct at_command *c, enum at_kind kind) {
    if (!number(w, &c->number) || !take(w, ",") || !number(w, &c->length) || !ended(w) || c->length == 0 ||
        c->length > AT_DATA_MAX)
        return false;
    c->kind = kind;
    c->has_data = kind == AT_SOCK_WRITE;
    return true;
}

static bool socket_plain(struct words *w, struct at_command *c, enum at_kind kind) {
    if (!number(w, &c->number) || !ended(w))
        return false;
    c->kind = kind;
    return true;
}

void at_command_parse(const char *line, size_t len, struct at_command *out) {
    struct words w = {line, line + len};
    bool good = false;
    memset(out, 0, sizeof *out);
    if (!take(&w, "AT"))
        return;
    if (ended(&w)) {
        out->kind = AT_EMPTY;
        return;
    }
    if (!take(&w, "+S."))
        return;
    if (take(&w, "TIME=")) {
        good = number(&w, &out->number) && ended(&w);
        out->kind = AT_TIME_SET;
    } else if (take(&w, "TIME")) {
        good = ended(&w);
        out->kind = AT_TIME_GET;
    } else if (take(&w, "TLSCERT=")) {
        good = certificate(&w, out);
    } else if (take(&w, "SCFG=tls_crl,")) {
        good = number(&w, &out->number) && ended(&w) && out->number <= 1;
        out->kind = AT_CONFIG_CRL;
    } else if (take(&w, "SOCKON=")) {
        good = socket_on(&w, out);
    } else if (take(&w, "SOCKW=")) {
        good = socket_data(&w, out, AT_SOCK_WRITE);
    } else if (take(&w, "SOCKR=")) {
        good = socket_data(&w, out, AT_SOCK_READ);
    } else if (take(&w, "SOCKQ=")) {
        good = socket_plain(&w, out, AT_SOCK_QUERY);
    } else if (take(&w, "SOCKC=")) {
        good = socket_plain(&w, out, AT_SOCK_CLOSE);
    } else {
        return;
    }
    if (!good) {
        memset(out, 0, sizeof *out);
        out->kind = AT_BAD;
    }
}
