#include "conn_table.h"

#include <stdlib.h>
#include <sys/random.h>

#define BUCKETS 16384U

bool hil_table_init(struct hil_table *t) {
    memset(t, 0, sizeof *t);
    t->chunk = calloc(HIL_CONNS_MAX / HIL_CHUNK + 1,
                      sizeof(struct hil_conn *)); /* NOLINT(bugprone-sizeof-expression) */
    t->bucket = calloc(BUCKETS, sizeof *t->bucket);
    t->used = 1;
    if (getrandom(&t->seed, sizeof t->seed, GRND_NONBLOCK) != sizeof t->seed) {
        t->seed = 0x9e3779b97f4a7c15U; /* only a flood of chosen ports would notice */
    }
    return t->chunk != NULL && t->bucket != NULL;
}

void hil_table_free(struct hil_table *t) {
    if (t->chunk != NULL) {
        for (uint32_t i = 0; i < HIL_CONNS_MAX / HIL_CHUNK + 1; i++) {
            free(t->chunk[i]);
        }
    }
    free(t->chunk);
    free(t->bucket);
    memset(t, 0, sizeof *t);
}

void *hil_table_alloc(struct hil_table *t, size_t n) {
    void *p = malloc(n);
    if (p != NULL) {
        t->memory += n;
    }
    return p;
}

void hil_table_release(struct hil_table *t, void *p, size_t n) {
    if (p != NULL) {
        t->memory -= n;
        free(p);
    }
}

uint32_t hil_table_hash(const struct hil_table *t, const struct hil_addr *a, uint16_t ap,
                        const struct hil_addr *b, uint16_t bp) {
    uint64_t x[4];
    memcpy(x, a->b, 16);
    memcpy(x + 2, b->b, 16);
    uint64_t p = (uint64_t)(ap ^ bp) << 32 | (uint32_t)(ap + bp);
    uint64_t h = t->seed ^ p * 0x9e3779b97f4a7c15U;
    /* The same for both directions: the halves of both addresses are combined by + and ^. */
    h ^= (x[0] + x[2]) * 0xc2b2ae3d27d4eb4fU;
    h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9U;
    h ^= (x[1] ^ x[3]) * 0x94d049bb133111ebU + (x[1] + x[3]);
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93U;
    return (uint32_t)(h >> 40) & (BUCKETS - 1);
}

static inline bool same_addr(const struct hil_addr *a, const struct hil_addr *b) {
    return memcmp(a->b, b->b, 16) == 0;
}

uint32_t hil_table_lookup(const struct hil_table *t, uint32_t bucket, const struct hil_addr *src,
                          uint16_t sport, const struct hil_addr *dst, uint16_t dport, int *side) {
    for (uint32_t i = t->bucket[bucket]; i != 0; i = hil_table_at(t, i)->hash_next) {
        const struct hil_conn *c = hil_table_at(t, i);
        if (c->port[0] == sport && c->port[1] == dport && same_addr(&c->addr[0], src) &&
            same_addr(&c->addr[1], dst)) {
            *side = 0;
            return i;
        }
        if (c->port[1] == sport && c->port[0] == dport && same_addr(&c->addr[1], src) &&
            same_addr(&c->addr[0], dst)) {
            *side = 1;
            return i;
        }
    }
    return 0;
}

void hil_lru_remove(struct hil_table *t, uint32_t i) {
    struct hil_conn *c = hil_table_at(t, i);
    *(c->older != 0 ? &hil_table_at(t, c->older)->newer : &t->oldest) = c->newer;
    *(c->newer != 0 ? &hil_table_at(t, c->newer)->older : &t->newest) = c->older;
    c->older = c->newer = 0;
}

void hil_lru_append(struct hil_table *t, uint32_t i) {
    struct hil_conn *c = hil_table_at(t, i);
    c->older = t->newest;
    c->newer = 0;
    *(t->newest != 0 ? &hil_table_at(t, t->newest)->newer : &t->oldest) = i;
    t->newest = i;
}

void hil_closing_remove(struct hil_table *t, uint32_t i) {
    struct hil_conn *c = hil_table_at(t, i);
    *(c->closing_prev != 0 ? &hil_table_at(t, c->closing_prev)->closing_next : &t->closing_head) =
        c->closing_next;
    *(c->closing_next != 0 ? &hil_table_at(t, c->closing_next)->closing_prev : &t->closing_tail) =
        c->closing_prev;
    c->closing_next = c->closing_prev = 0;
}

void hil_closing_append(struct hil_table *t, uint32_t i) {
    struct hil_conn *c = hil_table_at(t, i);
    c->closing_prev = t->closing_tail;
    *(t->closing_tail != 0 ? &hil_table_at(t, t->closing_tail)->closing_next : &t->closing_head) = i;
    t->closing_tail = i;
}

uint32_t hil_table_fresh(struct hil_table *t) {
    uint32_t i = t->used;
    if (i >= HIL_CONNS_MAX) {
        return 0;
    }
    if (t->chunk[i / HIL_CHUNK] == NULL) {
        t->chunk[i / HIL_CHUNK] = calloc(HIL_CHUNK, sizeof(struct hil_conn));
        if (t->chunk[i / HIL_CHUNK] == NULL) {
            return 0;
        }
    }
    t->used++;
    return i;
}

void hil_table_unlink(struct hil_table *t, uint32_t i) {
    struct hil_conn *c = hil_table_at(t, i);
    hil_lru_remove(t, i);
    uint32_t *link = &t->bucket[c->bucket];
    while (*link != i) {
        link = &hil_table_at(t, *link)->hash_next;
    }
    *link = c->hash_next;
    c->hash_next = t->free;
    t->free = i;
    t->live--;
}
