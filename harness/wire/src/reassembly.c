#include "reassembly.h"

#include "flow.h"

#define SECOND     1000000000LL
#define PATIENCE   8 /* packets to wait for bytes the peer acknowledged but the capture did not show */
#define PATIENCE_T (SECOND / 2)

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

void hil_tcp_drop_early(struct hil_table *t, struct hil_side *s) {
    while (s->early != NULL) {
        struct hil_early *e = s->early;
        s->early = e->next;
        hil_table_release(t, e, sizeof *e + e->len);
    }
    s->early_bytes = s->early_n = 0;
}

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

void hil_tcp_payload(struct hil_decoder *d, struct hil_conn *c, int side, uint32_t seq,
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
void hil_tcp_acknowledged(struct hil_decoder *d, struct hil_conn *c, int side, uint32_t ack) {
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

/* Everything that waits behind holes is delivered, the holes told; then the flow's own rest. */
void hil_tcp_finish_side(struct hil_decoder *d, struct hil_conn *c, int side) {
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
