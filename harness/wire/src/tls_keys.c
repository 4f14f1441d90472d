/* Which key opens which record: epochs of TLS 1.2 (ChangeCipherSpec) and TLS 1.3 (early, handshake,
 * application). */
#include "tls.h"

#include <stdlib.h>

#define AHEAD_FIRST                                                                                          \
    4U                   /* sequence numbers tried beyond the expected one, when nothing is known to be lost \
                          */
#define AHEAD_GAP    64U /* when records may have been lost */
#define TRIES_MAX    64U /* failed records after which nothing is searched any more */
#define OPENER_SIZE  2560U
#define FAILURES_MAX 8U /* a side that never opened is given up after so many records */

/* What OpenSSL keeps for one direction is outside our allocator: it is counted by its usual size. */
void hil_tls_set_opener(struct hil_decoder *d, struct hil_tls_side *s, struct hil_opener *o) {
    d->table.memory += o != NULL ? OPENER_SIZE : 0;
    d->table.memory -= s->opener != NULL ? OPENER_SIZE : 0;
    hil_opener_free(s->opener);
    s->opener = o;
}

void hil_tls_drop_keys(struct hil_decoder *d, struct hil_tls *t) {
    for (int i = 0; i < 2; i++) {
        hil_tls_set_opener(d, &t->side[i], NULL);
    }
    hil_table_release(&d->table, t->secrets, sizeof *t->secrets);
    t->secrets = NULL;
}

/* Called when a ClientHello tells the client random. */
void hil_tls_find_keys(struct hil_decoder *d, struct hil_conn *c) {
    struct hil_tls *t = c->tls;
    struct hil_secrets found;
    if (!hil_keylog_find(&d->keys, t->client_random, &found)) {
        return;
    }
    if (t->secrets == NULL) {
        t->secrets = hil_table_alloc(&d->table, sizeof *t->secrets);
    }
    if (t->secrets != NULL) {
        *t->secrets = found;
        t->keys_found = true;
    }
}

static struct hil_opener *from_label(struct hil_decoder *d, struct hil_tls *t, enum hil_label label) {
    const struct hil_secrets *s = t->secrets;
    if (s == NULL || s->len[label] == 0) {
        return NULL;
    }
    return hil_opener_13(&d->crypto, &t->info, s->secret[label], s->len[label]);
}

/* TLS 1.2: the side's ChangeCipherSpec starts its keys. TLS 1.3: after Finished, application keys. */
void hil_tls_epoch(struct hil_decoder *d, struct hil_conn *c, int side) {
    struct hil_tls *t = c->tls;
    struct hil_tls_side *s = &t->side[side];
    bool client = side == c->client;
    if (t->version == 0x0304) {
        struct hil_opener *o = from_label(d, t, client ? HIL_LABEL_CLIENT_APP : HIL_LABEL_SERVER_APP);
        hil_tls_set_opener(d, s, o);
        s->app_keys = true;
        s->tried = true;
        return;
    }
    if (!t->have_client || !t->have_server || t->secrets == NULL || t->secrets->len[HIL_LABEL_MASTER] != 48) {
        hil_tls_set_opener(d, s, NULL); /* keys of an earlier handshake do not hold any more */
        return;
    }
    hil_tls_set_opener(d, s,
                       hil_opener_12(&d->crypto, &t->info, t->version, t->etm,
                                     t->secrets->secret[HIL_LABEL_MASTER], t->client_random, t->server_random,
                                     client));
}

bool hil_tls_may_open(const struct hil_decoder *d, const struct hil_conn *c, int side) {
    (void)d;
    const struct hil_tls *t = c->tls;
    const struct hil_tls_side *s = &t->side[side];
    return s->opener != NULL || t->info.cipher == HIL_CIPHER_NULL ||
           (t->secrets != NULL && t->version == 0x0304 && !s->tried) ||
           (t->secrets != NULL && t->early_data && side == c->client);
}

/* The first epoch of a TLS 1.3 side, when its first sealed record comes. */
static void first_epoch(struct hil_decoder *d, struct hil_conn *c, int side) {
    struct hil_tls *t = c->tls;
    struct hil_tls_side *s = &t->side[side];
    bool client = side == c->client;
    s->tried = true;
    hil_tls_set_opener(d, s,
                       from_label(d, t, client ? HIL_LABEL_CLIENT_HANDSHAKE : HIL_LABEL_SERVER_HANDSHAKE));
    if (s->opener == NULL) {
        hil_tls_set_opener(d, s, from_label(d, t, client ? HIL_LABEL_CLIENT_APP : HIL_LABEL_SERVER_APP));
        s->app_keys = s->opener != NULL;
    }
}

/* Early data come before the suite is known: the suites of TLS 1.3 are tried. */
static int open_early(struct hil_decoder *d, struct hil_tls *t, struct hil_tls_side *s, uint8_t *type,
                      const uint8_t *body, size_t n) {
    static const uint16_t suites[] = {0x1301, 0x1302, 0x1303, 0x1304, 0x1305};
    const struct hil_secrets *k = t->secrets;
    if (k == NULL || k->len[HIL_LABEL_CLIENT_EARLY] == 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        struct hil_suite info;
        if (!hil_suite_info(suites[i], &info) || hil_hash_len(info.prf) != k->len[HIL_LABEL_CLIENT_EARLY]) {
            continue;
        }
        struct hil_opener *o = hil_opener_13(&d->crypto, &info, k->secret[HIL_LABEL_CLIENT_EARLY],
                                             k->len[HIL_LABEL_CLIENT_EARLY]);
        int got = o != NULL ? hil_opener_open(o, type, s->version, body, n, d->scratch, 0) : -1;
        if (got >= 0) {
            hil_tls_set_opener(d, s, o);
            return got;
        }
        hil_opener_free(o);
    }
    return -1;
}

/* The epoch that follows, when Finished (or EndOfEarlyData) itself was lost or early data were refused. */
static int open_next_epoch(struct hil_decoder *d, struct hil_conn *c, int side, uint8_t *type,
                           const uint8_t *body, size_t n) {
    struct hil_tls *t = c->tls;
    struct hil_tls_side *s = &t->side[side];
    bool client = side == c->client;
    enum hil_label next[2] = {client ? HIL_LABEL_CLIENT_HANDSHAKE : HIL_LABEL_SERVER_HANDSHAKE,
                              client ? HIL_LABEL_CLIENT_APP : HIL_LABEL_SERVER_APP};
    for (int i = t->early_data && client ? 0 : 1; i < 2; i++) {
        struct hil_opener *o = from_label(d, t, next[i]);
        int got = o != NULL ? hil_opener_open(o, type, s->version, body, n, d->scratch, AHEAD_GAP) : -1;
        if (got >= 0) {
            hil_tls_set_opener(d, s, o);
            s->app_keys = i == 1;
            s->finished = s->finished || i == 1;
            return got;
        }
        hil_opener_free(o);
    }
    return -1;
}

static int open13(struct hil_decoder *d, struct hil_conn *c, int side, uint8_t *type, const uint8_t *body,
                  size_t n) {
    struct hil_tls *t = c->tls;
    struct hil_tls_side *s = &t->side[side];
    unsigned ahead = s->failed > TRIES_MAX ? 0 : s->gap ? AHEAD_GAP : s->opened == 0 ? AHEAD_FIRST : 0;
    if (s->opener == NULL && !s->tried) {
        first_epoch(d, c, side);
    }
    int got =
        s->opener != NULL ? hil_opener_open(s->opener, type, s->version, body, n, d->scratch, ahead) : -1;
    if (got < 0 && !s->app_keys && s->failed < TRIES_MAX && (s->gap || t->early_data || s->opened == 0)) {
        got = open_next_epoch(d, c, side, type, body, n);
    }
    return got;
}

/* Plaintext length with the bytes in d->scratch, or -1: stays sealed. */
int hil_tls_unseal(struct hil_decoder *d, struct hil_conn *c, int side, uint8_t *type, const uint8_t *body,
                   size_t n) {
    struct hil_tls *t = c->tls;
    struct hil_tls_side *s = &t->side[side];
    int got = -1;
    size_t mac = hil_hash_len(t->info.mac);
    if (t->info.cipher == HIL_CIPHER_NULL && s->opener == NULL && n >= mac && n + 64 <= HIL_SCRATCH) {
        memcpy(d->scratch, body, n - mac); /* authenticated only: anybody can read it */
        return (int)(n - mac);
    }
    if (t->secrets == NULL || n + 64 > HIL_SCRATCH) {
        return -1;
    }
    if (t->version == 0) {
        if (!t->early_data || side != c->client) {
            return -1;
        }
        if (s->opener != NULL) {
            got = hil_opener_open(s->opener, type, s->version, body, n, d->scratch, 0);
        }
        got = got >= 0 ? got : open_early(d, t, s, type, body, n);
    } else if (t->version == 0x0304) {
        got = open13(d, c, side, type, body, n);
    } else if (s->opener != NULL) {
        unsigned ahead = s->gap && s->failed < TRIES_MAX ? AHEAD_GAP : 0;
        got = hil_opener_open(s->opener, type, s->version, body, n, d->scratch, ahead);
    } else {
        return -1;
    }
    if (got >= 0) {
        s->opened++;
        s->gap = false;
        return got;
    }
    s->failed++;
    if (s->opened == 0 && s->failed >= FAILURES_MAX) {
        hil_tls_set_opener(d, s, NULL);
        s->tried = true;
    }
    return -1;
}
