/* Records framed from the stream: in place where they are whole, joined where they come in pieces, found
 * again after a gap. */
#include "tls.h"

#include "flow.h"

static void start_record(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *head) {
    struct hil_tls_side *s = &c->tls->side[side];
    s->type = head[0];
    s->version = hil_be16(head + 1);
    s->len = hil_be16(head + 3);
    s->got = 0;
    s->in_record = true;
    s->damaged = false;
    s->head_n = 0;
    s->keep = !hil_tls_is_sealed(c->tls, s, s->type, s->len) || hil_tls_may_open(d, c, side);
}

static void end_record(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span body) {
    struct hil_tls_side *s = &c->tls->side[side];
    uint8_t *buf = s->buf;
    uint32_t len = s->len;
    s->in_record = false;
    s->buf = NULL;
    hil_tls_record(d, c, side, body);
    hil_table_release(&d->table, buf, len);
}

/* Bytes of a record's body: the whole body at once needs no copy. Gives how many were used. */
static size_t body_bytes(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n) {
    struct hil_tls_side *s = &c->tls->side[side];
    uint32_t left = s->len - s->got;
    uint32_t k = n < left ? (uint32_t)n : left;
    if (s->got == 0 && k == s->len) {
        s->got = k;
        end_record(d, c, side, (struct hil_span){p, k});
        return k;
    }
    if (s->keep && s->buf == NULL && !s->damaged) {
        s->buf = hil_table_alloc(&d->table, s->len);
        s->damaged = s->buf == NULL;
    }
    if (s->buf != NULL) {
        memcpy(s->buf + s->got, p, k);
    }
    s->got += k;
    if (s->got == s->len) {
        end_record(d, c, side, (struct hil_span){s->buf, s->buf != NULL ? s->len : 0});
    }
    return k;
}

/* A place in p where a record seems to begin, or n. */
static size_t find_record(const struct hil_tls *t, const uint8_t *p, size_t n) {
    for (size_t i = 0; i + 5 <= n; i++) {
        if (hil_tls_looks(p + i, 5) != 1 || p[i] == HIL_TYPE_HEARTBEAT || hil_be16(p + i + 3) == 0) {
            continue;
        }
        if (i > 0 && (t->version >= 0x0303 || t->mid) && hil_be16(p + i + 1) != 0x0303) {
            continue;
        }
        size_t next = i + 5 + hil_be16(p + i + 3);
        if (next + 3 <= n && hil_tls_looks(p + next, n - next) == 0) {
            continue;
        }
        return i;
    }
    return n;
}

void hil_tls_data(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n) {
    struct hil_tls_side *s = &c->tls->side[side];
    while (n > 0) {
        if (s->lost) {
            size_t skip = find_record(c->tls, p, n);
            p += skip;
            n -= skip;
            s->lost = n == 0;
            s->head_n = 0;
            continue;
        }
        if (s->in_record) {
            size_t k = body_bytes(d, c, side, p, n);
            p += k;
            n -= k;
            continue;
        }
        const uint8_t *head = p;
        if (s->head_n == 0 && n >= 5) {
            p += 5;
            n -= 5;
        } else {
            s->head[s->head_n++] = *p++;
            n--;
            if (s->head_n < 5) {
                continue;
            }
            head = s->head;
        }
        if (hil_tls_looks(head, 5) != 1) {
            hil_flow_other(d, c, side, head, 5);
            s->lost = true;
            continue;
        }
        start_record(d, c, side, head);
        if (s->len == 0) {
            end_record(d, c, side, (struct hil_span){s->head, 0});
        }
    }
}

void hil_tls_gap(struct hil_decoder *d, struct hil_conn *c, int side, uint64_t missing) {
    struct hil_tls_side *s = &c->tls->side[side];
    s->gap = true;
    if (s->in_record) {
        uint32_t left = s->len - s->got;
        s->damaged = true;
        hil_tls_drop_buf(d, s);
        if (missing <= left) { /* all of it within this record: the framing holds */
            s->got += (uint32_t)missing;
            if (s->got == s->len) {
                end_record(d, c, side, (struct hil_span){NULL, 0});
            }
            return;
        }
        missing -= left;
        s->got = s->len;
        end_record(d, c, side, (struct hil_span){NULL, 0});
    }
    if (missing > 0) {
        if (s->in_message) {
            hil_tls_message_lost(d, c, side, s->hs_head[0], s->hs_len, "bytes missing in the capture");
        }
        hil_tls_drop_message(d, s);
        s->lost = true;
        s->head_n = 0;
    }
}
