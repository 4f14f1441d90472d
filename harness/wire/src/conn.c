#include "conn.h"

#include "decoder.h"
#include "flow.h"
#include "mqtt.h"
#include "tls.h"

#include <stdlib.h>
#include <sys/random.h>

#define CHUNK      64U
#define BUCKETS    16384U
#define SECOND     1000000000LL
#define LINGER     (5 * SECOND)    /* after FIN or RST, for what still arrives */
#define IDLE       (7200 * SECOND) /* longer than common MQTT keep-alives */
#define PATIENCE   8 /* packets to wait for bytes the peer acknowledged but the capture did not show */
#define PATIENCE_T (SECOND / 2)

bool hil_table_init(struct hil_table *t) {
    memset(t, 0, sizeof *t);
    t->chunk =
        calloc(HIL_CONNS_MAX / CHUNK + 1, sizeof(struct hil_conn *)); /* NOLINT(bugprone-sizeof-expression) */
    t->bucket = calloc(BUCKETS, sizeof *t->bucket);
    t->used = 1;
    if (getrandom(&t->seed, sizeof t->seed, GRND_NONBLOCK) != sizeof t->seed) {
        t->seed = 0x9e3779b97f4a7c15U; /* only a flood of chosen ports would notice */
    }
    return t->chunk != NULL && t->bucket != NULL;
}

void hil_table_free(struct hil_table *t) {
    if (t->chunk != NULL) {
        for (uint32_t i = 0; i < HIL_CONNS_MAX / CHUNK + 1; i++) {
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

static struct hil_conn *at(const struct hil_table *t, uint32_t i) {
    return &t->chunk[i / CHUNK][i % CHUNK];
}

static uint32_t hash(const struct hil_table *t, const struct hil_addr *a, uint16_t ap,
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

/* The connection and which of its sides sends from src; index 0 when there is none. */
static uint32_t lookup(const struct hil_table *t, uint32_t bucket, const struct hil_addr *src, uint16_t sport,
                       const struct hil_addr *dst, uint16_t dport, int *side) {
    for (uint32_t i = t->bucket[bucket]; i != 0; i = at(t, i)->hash_next) {
        const struct hil_conn *c = at(t, i);
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

static void lru_remove(struct hil_table *t, uint32_t i) {
    struct hil_conn *c = at(t, i);
    *(c->older != 0 ? &at(t, c->older)->newer : &t->oldest) = c->newer;
    *(c->newer != 0 ? &at(t, c->newer)->older : &t->newest) = c->older;
    c->older = c->newer = 0;
}

static void lru_append(struct hil_table *t, uint32_t i) {
    struct hil_conn *c = at(t, i);
    c->older = t->newest;
    c->newer = 0;
    *(t->newest != 0 ? &at(t, t->newest)->newer : &t->oldest) = i;
    t->newest = i;
}

struct hil_conn *hil_conn_find(struct hil_decoder *d, const struct hil_addr *src, uint16_t sport,
                               const struct hil_addr *dst, uint16_t dport) {
    int side;
    struct hil_table *t = &d->table;
    uint32_t i = lookup(t, hash(t, src, sport, dst, dport), src, sport, dst, dport, &side);
    return i != 0 ? at(t, i) : NULL;
}

/* ---- the end of a connection ---- */

static void deliver_early(struct hil_decoder *d, struct hil_conn *c, int side);

static void gap(struct hil_decoder *d, struct hil_conn *c, int side, uint32_t missing, bool cut) {
    struct hil_side *s = &c->side[side];
    hil_conn_opened(d, c);
    if ((!cut || !s->cut_told) && hil_ev_begin(d, HIL_EV_gap, c, side)) {
        J_UINT(&d->out, "missing", missing);
        J_UINT(&d->out, "offset", s->offset);
        if (cut) {
            J_LIT(&d->out, ",\"cut\":true");
        }
        hil_ev_end(d);
    }
    if (cut) {
        s->cut_told = true;
    } else {
        s->gaps++;
    }
    s->next += missing;
    s->offset += missing;
    hil_flow_gap(d, c, side, missing);
}

static void drop_early(struct hil_table *t, struct hil_side *s) {
    while (s->early != NULL) {
        struct hil_early *e = s->early;
        s->early = e->next;
        hil_table_release(t, e, sizeof *e + e->len);
    }
    s->early_bytes = s->early_n = 0;
}

/* Everything that waits behind holes is delivered, the holes told; then the flow's own rest. */
static void finish_side(struct hil_decoder *d, struct hil_conn *c, int side) {
    struct hil_side *s = &c->side[side];
    while (s->early != NULL) {
        gap(d, c, side, s->early->seq - s->next, false);
        deliver_early(d, c, side);
    }
    const struct hil_side *peer = &c->side[side ^ 1];
    uint32_t hole = peer->ack - s->next;
    if (s->have_next && s->packets > 0 && peer->have_ack && hole > 1 && hole < 0x40000000U) {
        gap(d, c, side, hole - (s->fin ? 1U : 0U), false);
    }
    hil_flow_end(d, c, side);
}

/* `client` and `server` as "ip:port". */
static void put_ends(struct hil_decoder *d, const struct hil_conn *c) {
    for (int i = 0; i < 2; i++) {
        int side = i ^ c->client;
        char text[64];
        char ip[48];
        hil_addr_text(&c->addr[side], ip);
        bool v6 = strchr(ip, ':') != NULL;
        size_t n = strlen(ip);
        size_t at_ = 0;
        if (v6) {
            text[at_++] = '[';
        }
        memcpy(text + at_, ip, n);
        at_ += n;
        if (v6) {
            text[at_++] = ']';
        }
        text[at_++] = ':';
        at_ += hil_decimal(text + at_, c->port[side]);
        text[at_] = 0;
        hil_json_sep(&d->out, i == 0 ? ",\"client\":" : ",\"server\":", 10);
        hil_json_str(&d->out, text);
    }
}

static void say_close(struct hil_decoder *d, struct hil_conn *c, const char *how) {
    const struct hil_side *cl = &c->side[c->client];
    const struct hil_side *sv = &c->side[c->client ^ 1];
    enum hil_handshake hs = hil_tls_handshake(c->tls);
    d->handshakes[hs]++;
    if (!hil_ev_begin(d, HIL_EV_close, c, -1)) {
        return;
    }
    struct hil_json *j = &d->out;
    J_STR(j, "how", how);
    if (c->first_end >= 0) {
        J_STR(j, "first", c->first_end == (int)c->client ? "c" : "s");
    }
    J_UINT(j, "packets_c", cl->packets);
    J_UINT(j, "packets_s", sv->packets);
    J_UINT(j, "bytes_c", cl->bytes);
    J_UINT(j, "bytes_s", sv->bytes);
    J_UINT(j, "retransmissions", cl->retransmissions + sv->retransmissions);
    J_UINT(j, "gaps", cl->gaps + sv->gaps);
    J_INT(j, "t_open", c->t_first);
    if (d->opt.summary) {
        put_ends(d, c);
    }
    hil_tls_close(d, c);
    hil_mqtt_close(d, c);
    hil_ev_end(d);
}

/* Says `close` and gives all buffers back; the entry stays, so that stragglers do not open a new connection.
 */
static void finalize(struct hil_decoder *d, struct hil_conn *c, const char *how) {
    if (c->dead) {
        return;
    }
    finish_side(d, c, c->client);
    finish_side(d, c, c->client ^ 1);
    hil_conn_opened(d, c);
    int64_t t = d->t;
    uint64_t frame = d->frame;
    d->t = c->t_last; /* it ended with its own last packet, whenever we notice */
    d->frame = c->frame_last;
    say_close(d, c, how);
    d->t = t;
    d->frame = frame;
    hil_tls_free(d, c);
    hil_mqtt_free(d, c);
    drop_early(&d->table, &c->side[0]);
    drop_early(&d->table, &c->side[1]);
    c->dead = true;
}

static const char *how_of(const struct hil_conn *c, const char *otherwise) {
    if (c->side[0].rst || c->side[1].rst) {
        return "rst";
    }
    return c->side[0].fin && c->side[1].fin ? "fin" : otherwise;
}

static void unlink_closing(struct hil_table *t, uint32_t i) {
    struct hil_conn *c = at(t, i);
    *(c->closing_prev != 0 ? &at(t, c->closing_prev)->closing_next : &t->closing_head) = c->closing_next;
    *(c->closing_next != 0 ? &at(t, c->closing_next)->closing_prev : &t->closing_tail) = c->closing_prev;
    c->closing_next = c->closing_prev = 0;
}

/* Out of the table. */
static void forget(struct hil_decoder *d, uint32_t i, const char *how) {
    struct hil_table *t = &d->table;
    struct hil_conn *c = at(t, i);
    if (c->closing && !c->dead) {
        unlink_closing(t, i);
    }
    finalize(d, c, how_of(c, how));
    lru_remove(t, i);
    uint32_t *link = &t->bucket[c->bucket];
    while (*link != i) {
        link = &at(t, *link)->hash_next;
    }
    *link = c->hash_next;
    c->hash_next = t->free;
    t->free = i;
    t->live--;
}

/* The least recently used one leaves; it counts as evicted only when it was not over. */
static void evict(struct hil_decoder *d) {
    const struct hil_conn *c = at(&d->table, d->table.oldest);
    d->evicted += !c->closing && !c->dead;
    forget(d, d->table.oldest, "idle");
}

/* Connections that ended a while ago get their `close`; those idle for long leave; the budget is kept. */
static void expire(struct hil_decoder *d) {
    struct hil_table *t = &d->table;
    while (t->closing_head != 0) {
        struct hil_conn *c = at(t, t->closing_head);
        int64_t age = d->t - c->t_closing;
        if (age < LINGER && age >= 0) {
            break;
        }
        unlink_closing(t, t->closing_head);
        finalize(d, c, how_of(c, "end"));
    }
    while (t->oldest != 0 && d->t - at(t, t->oldest)->t_last > IDLE) {
        forget(d, t->oldest, "idle");
    }
    while (t->memory > HIL_MEMORY_MAX && t->oldest != 0) {
        evict(d);
    }
}

static void start_closing(struct hil_decoder *d, struct hil_conn *c, uint32_t i) {
    struct hil_table *t = &d->table;
    if (c->closing || c->dead) {
        return;
    }
    c->closing = true;
    c->t_closing = d->t;
    c->closing_prev = t->closing_tail;
    *(t->closing_tail != 0 ? &at(t, t->closing_tail)->closing_next : &t->closing_head) = i;
    t->closing_tail = i;
}

/* ---- the beginning of a connection ---- */

static uint32_t take_slot(struct hil_decoder *d) {
    struct hil_table *t = &d->table;
    if (t->free == 0 && t->used >= HIL_CONNS_MAX) {
        evict(d);
    }
    uint32_t i = t->free;
    if (i != 0) {
        t->free = at(t, i)->hash_next;
        return i;
    }
    i = t->used;
    if (t->chunk[i / CHUNK] == NULL) {
        t->chunk[i / CHUNK] = calloc(CHUNK, sizeof(struct hil_conn));
        if (t->chunk[i / CHUNK] == NULL) {
            return 0;
        }
    }
    t->used++;
    return i;
}

static bool server_port(const struct hil_decoder *d, uint16_t port) {
    for (size_t i = 0; i < d->opt.port_n; i++) {
        if (d->opt.ports[i] == port) {
            return true;
        }
    }
    return port == 8883 || port == 1883 || port == 443 || port == 8884 || port == 8886;
}

/* Without a SYN: who speaks as a client, else where a server would listen, else the higher port is the
 * client's. */
static int guess_client(const struct hil_decoder *d, const struct hil_segment *s) {
    int role = hil_flow_role((struct hil_span){s->data, s->len});
    if (role != 0) {
        return role > 0 ? 0 : 1;
    }
    bool from = server_port(d, s->sport);
    if (from != server_port(d, s->dport)) {
        return from ? 1 : 0;
    }
    return s->sport >= s->dport ? 0 : 1;
}

static uint32_t new_conn(struct hil_decoder *d, const struct hil_segment *s, uint32_t bucket) {
    struct hil_table *t = &d->table;
    uint32_t i = take_slot(d);
    if (i == 0) {
        return 0;
    }
    struct hil_conn *c = at(t, i);
    memset(c, 0, sizeof *c);
    c->bucket = bucket;
    c->hash_next = t->bucket[bucket];
    t->bucket[bucket] = i;
    lru_append(t, i);
    t->live++;
    c->addr[0] = s->src;
    c->addr[1] = s->dst;
    c->port[0] = s->sport;
    c->port[1] = s->dport;
    c->id = ++t->next_id;
    c->t_first = d->t;
    c->first_end = -1;
    bool syn = (s->flags & HIL_SYN) != 0;
    c->syn_seen = syn;
    c->client = (uint8_t)(syn ? (s->flags & HIL_ACK) != 0 : guess_client(d, s));
    return i;
}

void hil_conn_opened(struct hil_decoder *d, struct hil_conn *c) {
    if (c->v_open) {
        return;
    }
    c->v_open = true;
    if (!hil_ev_begin(d, HIL_EV_open, c, -1)) {
        return;
    }
    put_ends(d, c);
    J_STR(&d->out, "how", c->syn_seen ? "syn" : "mid");
    hil_ev_end(d);
}

/* ---- reassembly ---- */

/* Payload at its place in the stream: what is captured, then what the snap length cut away. */
static void deliver(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, uint32_t len,
                    uint32_t wirelen) {
    struct hil_side *s = &c->side[side];
    if (len > 0) {
        s->next += len;
        s->bytes += len;
        s->offset += len;
        hil_flow_data(d, c, side, p, len);
    }
    if (wirelen > len) {
        d->cut++;
        gap(d, c, side, wirelen - len, true);
    }
}

static void deliver_early(struct hil_decoder *d, struct hil_conn *c, int side) {
    struct hil_side *s = &c->side[side];
    while (s->early != NULL && (int32_t)(s->early->seq - s->next) <= 0) {
        struct hil_early *e = s->early;
        s->early = e->next;
        s->early_n--;
        s->early_bytes -= e->len;
        uint32_t old = s->next - e->seq;
        if (old < e->wirelen) {
            uint32_t trim = old < e->len ? old : e->len;
            deliver(d, c, side, e->data + trim, e->len - trim, e->wirelen - old);
        }
        hil_table_release(&d->table, e, sizeof *e + e->len);
    }
    if (s->early == NULL) {
        s->patience = 0;
    }
}

/* Keeps a segment that came early; the first copy of a byte wins. */
static void keep_early(struct hil_decoder *d, struct hil_conn *c, int side, uint32_t seq,
                       const struct hil_segment *g) {
    struct hil_side *s = &c->side[side];
    struct hil_early **link = &s->early;
    while (*link != NULL && (int32_t)((*link)->seq - seq) <= 0) {
        if (seq - (*link)->seq + g->wirelen <= (*link)->wirelen) {
            s->retransmissions++;
            return;
        }
        link = &(*link)->next;
    }
    struct hil_early *e = hil_table_alloc(&d->table, sizeof *e + g->len);
    if (e == NULL) {
        return;
    }
    e->seq = seq;
    e->len = g->len;
    e->wirelen = g->wirelen;
    if (g->len > 0) {
        memcpy(e->data, g->data, g->len);
    }
    e->next = *link;
    *link = e;
    s->early_n++;
    s->early_bytes += g->len;
    while (s->early != NULL && (s->early_n > HIL_EARLY_COUNT_MAX || s->early_bytes > HIL_EARLY_BYTES_MAX)) {
        gap(d, c, side, s->early->seq - s->next, false);
        deliver_early(d, c, side);
    }
}

static void payload(struct hil_decoder *d, struct hil_conn *c, int side, uint32_t seq,
                    const struct hil_segment *g) {
    struct hil_side *s = &c->side[side];
    uint32_t ahead = seq - s->next;
    if (ahead == 0 && s->early == NULL) {
        deliver(d, c, side, g->data, g->len, g->wirelen);
        return;
    }
    if ((int32_t)ahead > 0) {
        keep_early(d, c, side, seq, g);
        return;
    }
    uint32_t old = s->next - seq;
    if (old > 0) {
        s->retransmissions++;
    }
    if (old < g->wirelen) {
        uint32_t trim = old < g->len ? old : g->len;
        deliver(d, c, side, g->data + trim, g->len - trim, g->wirelen - old);
    }
    deliver_early(d, c, side);
}

/* The peer has acknowledged bytes we have not: after some patience (captures reorder a little) they are a
 * gap. */
static void acknowledged(struct hil_decoder *d, struct hil_conn *c, int side, uint32_t ack) {
    struct hil_side *me = &c->side[side];
    struct hil_side *s = &c->side[side ^ 1];
    if (!me->have_ack || (int32_t)(ack - me->ack) > 0) {
        me->ack = ack;
        me->have_ack = true;
    }
    if (!s->have_next) {
        s->next = ack;
        s->have_next = true;
        return;
    }
    uint32_t hole = me->ack - s->next;
    if ((int32_t)hole <= (s->early == NULL ? 1 : 0) || s->packets == 0) {
        s->patience = 0;
        return;
    }
    if (s->patience++ == 0) {
        s->hole_t = d->t;
    }
    if (s->patience < PATIENCE && d->t - s->hole_t < PATIENCE_T) {
        return;
    }
    if (s->early != NULL && s->early->seq - s->next < hole) {
        hole = s->early->seq - s->next;
    }
    s->patience = 0;
    gap(d, c, side ^ 1, hole, false);
    deliver_early(d, c, side ^ 1);
}

/* ---- one segment ---- */

static void say_flags(struct hil_decoder *d, struct hil_conn *c, int side, const struct hil_segment *g,
                      enum hil_ev ev, bool again) {
    const struct hil_side *s = &c->side[side];
    const struct hil_side *peer = &c->side[side ^ 1];
    if (!hil_ev_begin(d, ev, c, side)) {
        return;
    }
    J_UINT(&d->out, "seq", g->seq - s->isn);
    J_UINT(&d->out, "ack", (g->flags & HIL_ACK) != 0 ? g->ack - peer->isn : 0);
    if (again) {
        J_LIT(&d->out, ",\"retransmission\":true");
    }
    if (ev == HIL_EV_rst && s->have_ack && peer->have_next && (int32_t)(peer->next - s->ack) > 0) {
        J_UINT(&d->out, "unread", peer->next - s->ack);
    }
    hil_ev_end(d);
}

static void on_syn(struct hil_decoder *d, struct hil_conn *c, int side, const struct hil_segment *g) {
    struct hil_side *s = &c->side[side];
    bool again = s->syn && s->isn == g->seq;
    if (!s->syn) {
        s->syn = true;
        s->isn = g->seq;
        s->next = g->seq + 1;
        s->have_next = true;
    }
    if ((g->flags & HIL_ACK) != 0 && !c->side[side ^ 1].syn) {
        c->side[side ^ 1].isn = g->ack - 1; /* the SYN itself was not captured */
    }
    if (again) {
        s->retransmissions++;
    }
    say_flags(d, c, side, g, (g->flags & HIL_ACK) != 0 ? HIL_EV_synack : HIL_EV_syn, again);
}

/* A SYN on a known pair of ports: the same attempt again, or a new connection. */
static bool is_reuse(const struct hil_conn *c, int side, const struct hil_segment *g) {
    const struct hil_side *s = &c->side[side];
    if (c->dead || c->closing) {
        return true;
    }
    return !(s->syn && s->isn == g->seq) && (s->syn || s->packets > 0 || c->side[side ^ 1].packets > 0);
}

static void end_flags(struct hil_decoder *d, struct hil_conn *c, uint32_t i, int side,
                      const struct hil_segment *g) {
    struct hil_side *s = &c->side[side];
    if ((g->flags & HIL_FIN) != 0) {
        bool again = s->fin;
        s->fin = true;
        s->fin_seq = g->seq + g->wirelen;
        say_flags(d, c, side, g, HIL_EV_fin, again);
        if (s->next == s->fin_seq && s->early == NULL) {
            hil_flow_end(d, c, side); /* nothing more can come */
        }
    }
    if ((g->flags & HIL_RST) != 0) {
        bool again = s->rst;
        s->rst = true;
        say_flags(d, c, side, g, HIL_EV_rst, again);
    }
    if (c->first_end < 0) {
        c->first_end = (int8_t)side;
        c->first_rst = s->rst;
    }
    if (s->rst || (c->side[0].fin && c->side[1].fin)) {
        start_closing(d, c, i);
    }
}

void hil_conn_segment(struct hil_decoder *d, const struct hil_segment *g) {
    struct hil_table *t = &d->table;
    expire(d);
    int side = 0;
    uint32_t bucket = hash(t, &g->src, g->sport, &g->dst, g->dport);
    uint32_t i = lookup(t, bucket, &g->src, g->sport, &g->dst, g->dport, &side);
    bool opening = (g->flags & (HIL_SYN | HIL_ACK)) == HIL_SYN;
    if (i != 0 && opening && is_reuse(at(t, i), side, g)) {
        forget(d, i, "reused");
        i = 0;
    }
    if (i == 0) {
        i = new_conn(d, g, bucket);
        side = 0;
        if (i == 0) {
            return;
        }
    }
    struct hil_conn *c = at(t, i);
    if (t->newest != i) {
        lru_remove(t, i);
        lru_append(t, i);
    }
    if (c->dead) {
        return; /* a straggler of a connection that was told already */
    }
    c->t_last = d->t;
    c->frame_last = d->frame;
    struct hil_side *s = &c->side[side];
    s->packets++;
    if ((g->flags & HIL_SYN) != 0) {
        hil_conn_opened(d, c);
        on_syn(d, c, side, g);
    }
    uint32_t seq = g->seq + ((g->flags & HIL_SYN) != 0 ? 1U : 0U);
    if (!s->have_next) {
        s->next = seq;
        s->have_next = true;
    }
    if (!s->syn && s->packets == 1 && s->isn == 0) {
        s->isn = seq - 1; /* relative numbers count from the first one seen */
    }
    if (g->wirelen > 0) {
        hil_conn_opened(d, c);
        payload(d, c, side, seq, g);
    }
    if ((g->flags & HIL_ACK) != 0) {
        acknowledged(d, c, side, g->ack);
    }
    if ((g->flags & (HIL_FIN | HIL_RST)) != 0) {
        hil_conn_opened(d, c);
        end_flags(d, c, i, side, g);
    }
}

void hil_conn_finish(struct hil_decoder *d) {
    struct hil_table *t = &d->table;
    while (t->closing_head != 0) {
        struct hil_conn *c = at(t, t->closing_head);
        unlink_closing(t, t->closing_head);
        finalize(d, c, how_of(c, "end"));
    }
    for (uint32_t i = t->oldest; i != 0; i = at(t, i)->newer) {
        finalize(d, at(t, i), "end");
    }
}
