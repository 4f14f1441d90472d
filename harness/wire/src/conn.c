#include "conn_table.h"

#include "decoder.h"
#include "flow.h"
#include "mqtt.h"
#include "reassembly.h"
#include "tls.h"

#define SECOND 1000000000LL
#define LINGER (5 * SECOND)    /* after FIN or RST, for what still arrives */
#define IDLE   (7200 * SECOND) /* longer than common MQTT keep-alives */

struct hil_conn *hil_conn_find(struct hil_decoder *d, const struct hil_addr *src, uint16_t sport,
                               const struct hil_addr *dst, uint16_t dport) {
    int side;
    struct hil_table *t = &d->table;
    uint32_t i =
        hil_table_lookup(t, hil_table_hash(t, src, sport, dst, dport), src, sport, dst, dport, &side);
    return i != 0 ? hil_table_at(t, i) : NULL;
}

/* ---- the end of a connection ---- */

/* `client` and `server` as "ip:port". */
static void put_ends(struct hil_decoder *d, const struct hil_conn *c) {
    for (int i = 0; i < 2; i++) {
        int side = i ^ c->client;
        char text[64];
        char ip[48];
        hil_addr_text(&c->addr[side], ip);
        bool v6 = strchr(ip, ':') != NULL;
        size_t n = strlen(ip);
        size_t len = 0;
        if (v6) {
            text[len++] = '[';
        }
        memcpy(text + len, ip, n);
        len += n;
        if (v6) {
            text[len++] = ']';
        }
        text[len++] = ':';
        len += hil_decimal(text + len, c->port[side]);
        text[len] = 0;
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
    hil_tcp_finish_side(d, c, c->client);
    hil_tcp_finish_side(d, c, c->client ^ 1);
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
    hil_tcp_drop_early(&d->table, &c->side[0]);
    hil_tcp_drop_early(&d->table, &c->side[1]);
    c->dead = true;
}

static const char *how_of(const struct hil_conn *c, const char *otherwise) {
    if (c->side[0].rst || c->side[1].rst) {
        return "rst";
    }
    return c->side[0].fin && c->side[1].fin ? "fin" : otherwise;
}

/* Out of the table. */
static void forget(struct hil_decoder *d, uint32_t i, const char *how) {
    struct hil_table *t = &d->table;
    struct hil_conn *c = hil_table_at(t, i);
    if (c->closing && !c->dead) {
        hil_closing_remove(t, i);
    }
    finalize(d, c, how_of(c, how));
    hil_table_unlink(t, i);
}

/* The least recently used one leaves; it counts as evicted only when it was not over. */
static void evict(struct hil_decoder *d) {
    const struct hil_conn *c = hil_table_at(&d->table, d->table.oldest);
    d->evicted += !c->closing && !c->dead;
    forget(d, d->table.oldest, "idle");
}

/* Connections that ended a while ago get their `close`; those idle for long leave; the budget is kept. */
static void expire(struct hil_decoder *d) {
    struct hil_table *t = &d->table;
    while (t->closing_head != 0) {
        struct hil_conn *c = hil_table_at(t, t->closing_head);
        int64_t age = d->t - c->t_closing;
        if (age < LINGER && age >= 0) {
            break;
        }
        hil_closing_remove(t, t->closing_head);
        finalize(d, c, how_of(c, "end"));
    }
    while (t->oldest != 0 && d->t - hil_table_at(t, t->oldest)->t_last > IDLE) {
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
    hil_closing_append(t, i);
}

/* ---- the beginning of a connection ---- */

static uint32_t take_slot(struct hil_decoder *d) {
    struct hil_table *t = &d->table;
    if (t->free == 0 && t->used >= HIL_CONNS_MAX) {
        evict(d);
    }
    uint32_t i = t->free;
    if (i != 0) {
        t->free = hil_table_at(t, i)->hash_next;
        return i;
    }
    return hil_table_fresh(t);
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
    struct hil_conn *c = hil_table_at(t, i);
    memset(c, 0, sizeof *c);
    c->bucket = bucket;
    c->hash_next = t->bucket[bucket];
    t->bucket[bucket] = i;
    hil_lru_append(t, i);
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
    uint32_t bucket = hil_table_hash(t, &g->src, g->sport, &g->dst, g->dport);
    uint32_t i = hil_table_lookup(t, bucket, &g->src, g->sport, &g->dst, g->dport, &side);
    bool opening = (g->flags & (HIL_SYN | HIL_ACK)) == HIL_SYN;
    if (i != 0 && opening && is_reuse(hil_table_at(t, i), side, g)) {
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
    struct hil_conn *c = hil_table_at(t, i);
    if (t->newest != i) {
        hil_lru_remove(t, i);
        hil_lru_append(t, i);
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
        hil_tcp_payload(d, c, side, seq, g);
    }
    if ((g->flags & HIL_ACK) != 0) {
        hil_tcp_acknowledged(d, c, side, g->ack);
    }
    if ((g->flags & (HIL_FIN | HIL_RST)) != 0) {
        hil_conn_opened(d, c);
        end_flags(d, c, i, side, g);
    }
}

void hil_conn_finish(struct hil_decoder *d) {
    struct hil_table *t = &d->table;
    while (t->closing_head != 0) {
        struct hil_conn *c = hil_table_at(t, t->closing_head);
        hil_closing_remove(t, t->closing_head);
        finalize(d, c, how_of(c, "end"));
    }
    for (uint32_t i = t->oldest; i != 0; i = hil_table_at(t, i)->newer) {
        finalize(d, hil_table_at(t, i), "end");
    }
}
