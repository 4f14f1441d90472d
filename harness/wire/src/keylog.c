#include "keylog.h"

#include <stdlib.h>

#define BUCKETS 8192U
#define CHUNK   ((size_t)64 * 1024)

struct hil_keylog_entry {
    struct hil_keylog_entry *next;
    uint8_t random[32];
    uint8_t label, len;
    uint8_t secret[];
};

static const char *const labels[HIL_LABEL_COUNT] = {
    "CLIENT_RANDOM",           "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0",         "CLIENT_EARLY_TRAFFIC_SECRET",
};
/* Lines that are right but say nothing about records. */
static const char *const others[] = {"EXPORTER_SECRET", "EARLY_EXPORTER_SECRET", "ECH_SECRET", "ECH_CONFIG",
                                     "RSA"};

static int nibble(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes of the hex text, or -1. */
static int from_hex(const char *s, size_t n, uint8_t *out, size_t max) {
    if (n % 2 != 0 || n / 2 > max) {
        return -1;
    }
    for (size_t i = 0; i < n; i += 2) {
        int hi = nibble(s[i]);
        int lo = nibble(s[i + 1]);
        if (hi < 0 || lo < 0) {
            return -1;
        }
        out[i / 2] = (uint8_t)(hi << 4 | lo);
    }
    return (int)(n / 2);
}

static uint32_t bucket_of(const uint8_t random[32]) {
    /* The first four bytes of old clients are the time. */
    return (hil_be32(random + 28) ^ hil_be32(random + 8)) & (BUCKETS - 1);
}

static struct hil_keylog_entry *new_entry(struct hil_keylog *k, size_t len) {
    size_t need = (sizeof(struct hil_keylog_entry) + len + 7U) & ~(size_t)7U;
    if (k->bucket == NULL) {
        k->bucket = calloc(BUCKETS, sizeof(struct hil_keylog_entry *));
        if (k->bucket == NULL) {
            return NULL;
        }
    }
    if (k->chunk == NULL || CHUNK - k->chunk_used < need) {
        if (k->memory + CHUNK > HIL_KEYLOG_MAX) {
            return NULL;
        }
        uint8_t *chunk = malloc(CHUNK);
        if (chunk == NULL) {
            return NULL;
        }
        memcpy(chunk, &k->chunk, sizeof k->chunk);
        k->chunk = chunk;
        k->chunk_used = 8;
        k->memory += CHUNK;
    }
    void *at = k->chunk + k->chunk_used;
    k->chunk_used += need;
    return at;
}

struct word {
    const char *s;
    size_t n;
};

static size_t split(const char *s, size_t n, struct word *w, size_t max) {
    size_t count = 0;
    for (size_t i = 0; i < n;) {
        while (i < n && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r')) {
            i++;
        }
        size_t start = i;
        while (i < n && s[i] != ' ' && s[i] != '\t' && s[i] != '\r') {
            i++;
        }
        if (i > start) {
            if (count < max) {
                w[count] = (struct word){s + start, i - start};
            }
            count++;
        }
    }
    return count;
}

static bool word_is(struct word w, const char *s) {
    return w.n == strlen(s) && memcmp(w.s, s, w.n) == 0;
}

static bool is_other(struct word w) {
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (word_is(w, others[i])) {
            return true;
        }
    }
    return false;
}

static void one_line(struct hil_keylog *k, const char *s, size_t n) {
    struct word w[3];
    size_t count = split(s, n, w, 3);
    if (count == 0 || w[0].s[0] == '#') {
        return;
    }
    k->lines++;
    uint8_t random[32];
    uint8_t secret[HIL_SECRET_MAX];
    int label = -1;
    for (int i = 0; i < HIL_LABEL_COUNT; i++) {
        label = word_is(w[0], labels[i]) ? i : label;
    }
    if (label < 0 && is_other(w[0]) && count == 3) {
        return;
    }
    if (label < 0 || count != 3 || from_hex(w[1].s, w[1].n, random, 32) != 32) {
        k->bad++;
        return;
    }
    int len = from_hex(w[2].s, w[2].n, secret, sizeof secret);
    if (!(label == HIL_LABEL_MASTER ? len == 48 : len == 32 || len == 48)) {
        k->bad++;
        return;
    }
    struct hil_keylog_entry *e = new_entry(k, (size_t)len);
    if (e == NULL) {
        k->dropped++;
        return;
    }
    memcpy(e->random, random, 32);
    e->label = (uint8_t)label;
    e->len = (uint8_t)len;
    memcpy(e->secret, secret, (size_t)len);
    struct hil_keylog_entry **head = &k->bucket[bucket_of(random)];
    e->next = *head;
    *head = e;
}

static void end_line(struct hil_keylog *k) {
    if (k->tail_long) {
        k->lines++;
        k->bad++;
    } else {
        one_line(k, k->tail, k->tail_n);
    }
    k->tail_n = 0;
    k->tail_long = false;
}

void hil_keylog_feed(struct hil_keylog *k, const uint8_t *p, size_t n) {
    while (n > 0) {
        const uint8_t *nl = memchr(p, '\n', n);
        size_t len = nl != NULL ? (size_t)(nl - p) : n;
        if (len > sizeof k->tail - k->tail_n) {
            k->tail_long = true;
        } else {
            memcpy(k->tail + k->tail_n, p, len);
            k->tail_n += len;
        }
        if (nl == NULL) {
            return;
        }
        end_line(k);
        p += len + 1;
        n -= len + 1;
    }
}

void hil_keylog_end(struct hil_keylog *k) {
    if (k->tail_n > 0 || k->tail_long) {
        end_line(k);
    }
}

bool hil_keylog_find(const struct hil_keylog *k, const uint8_t client_random[32], struct hil_secrets *out) {
    memset(out, 0, sizeof *out);
    if (k->bucket == NULL) {
        return false;
    }
    for (const struct hil_keylog_entry *e = k->bucket[bucket_of(client_random)]; e != NULL; e = e->next) {
        /* The newest line of a label is first in the chain and wins. */
        if (out->len[e->label] == 0 && memcmp(e->random, client_random, 32) == 0) {
            out->len[e->label] = e->len;
            memcpy(out->secret[e->label], e->secret, e->len);
            out->any = true;
        }
    }
    return out->any;
}

void hil_keylog_free(struct hil_keylog *k) {
    while (k->chunk != NULL) {
        uint8_t *before;
        memcpy(&before, k->chunk, sizeof before);
        free(k->chunk);
        k->chunk = before;
    }
    free(k->bucket);
    memset(k, 0, sizeof *k);
}
