#include "mqtt_state.h"

#include <stdlib.h>

struct hil_mqtt *hil_mqtt_new(struct hil_decoder *d, struct hil_conn *c) {
    struct hil_mqtt *m = hil_table_alloc(&d->table, sizeof *m);
    if (m == NULL) {
        return NULL;
    }
    memset(m, 0, sizeof *m);
    m->whole = c->syn_seen;
    m->maximum_qos = 2;
    m->retain_available = true;
    for (int i = 0; i < 2; i++) {
        m->receive_maximum[i] = 65535;
        m->maximum_packet[i] = UINT32_MAX;
    }
    c->mqtt = m;
    return m;
}

void hil_mqtt_free(struct hil_decoder *d, struct hil_conn *c) {
    struct hil_mqtt *m = c->mqtt;
    if (m == NULL) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        hil_table_release(&d->table, m->side[i].buf, m->side[i].keep);
    }
    hil_table_release(&d->table, m, sizeof *m);
    c->mqtt = NULL;
}

bool hil_mqtt_active(const struct hil_mqtt *m) {
    return m->active;
}

bool hil_mqtt_whole(const uint8_t *p, size_t n) {
    uint32_t remaining;
    int k = n >= 2 ? hil_mqtt_varint(p + 1, n - 1, &remaining) : 0;
    return k > 0 && n == 1 + (size_t)k + remaining;
}

int hil_mqtt_looks(const uint8_t *p, size_t n, bool client, bool expected) {
    uint32_t remaining;
    if (n < 2) {
        return n == 0 || expected || (p[0] >> 4) == 1 ? -1 : 0;
    }
    unsigned type = p[0] >> 4;
    int k = hil_mqtt_varint(p + 1, n - 1, &remaining);
    if (k < 0) {
        return 0;
    }
    if (client && type == HIL_MQTT_CONNECT) {
        if (k == 0) {
            return -1;
        }
        size_t at = 1 + (size_t)k;
        if (n < at + 4) {
            return -1;
        }
        uint16_t name = hil_be16(p + at);
        bool mq = name >= 2 && name <= 16 && (p[at + 2] | 0x20) == 'm' && (p[at + 3] | 0x20) == 'q';
        bool whole = n == at + remaining && name <= 32; /* one packet, though its protocol name is not MQTT */
        return mq || whole || expected ? 1 : 0;
    }
    if (!expected) {
        return !client && type == HIL_MQTT_CONNACK && remaining == 2 && n == 4 && p[2] <= 1 && p[3] <= 5;
    }
    if (k == 0) {
        return -1;
    }
    /* Where MQTT is expected, anything that can be a fixed header is one; text is not. */
    if (type == 0) {
        return p[0] == 0;
    }
    uint8_t flags = p[0] & 15U;
    bool legal = type == HIL_MQTT_PUBLISH ? true
                 : type == HIL_MQTT_PUBREL || type == HIL_MQTT_SUBSCRIBE || type == HIL_MQTT_UNSUBSCRIBE
                     ? flags == 2
                     : flags == 0;
    return legal ? 1 : 0;
}

/* ---- framing ---- */

static void packet(struct hil_decoder *d, struct hil_conn *c, int side, uint8_t first, uint32_t head,
                   uint32_t minimal, struct hil_span body, uint32_t remaining, bool tls) {
    struct hil_mqtt *m = c->mqtt;
    struct hil_mqtt_packet p;
    bool client = side == c->client;
    hil_mqtt_parse(first, body, remaining, m->level, client, &p);
    p.len = head + remaining;
    if (head > minimal) {
        if (m->level < 5 && p.type != HIL_MQTT_CONNECT && p.malformed == NULL) {
            p.malformed = "remaining length longer than needed";
        }
        hil_mqtt_breach(&p, HIL_RULE_VARINT);
    }
    m->active = true;
    hil_mqtt_judge(m, &p, side, d->t);
    hil_mqtt_say(d, c, side, &p, tls);
}

static uint32_t minimal_head(uint32_t remaining) {
    return remaining < 128 ? 2 : remaining < 16384 ? 3 : remaining < 2097152 ? 4 : 5;
}

static void bad_header(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n,
                       bool tls) {
    struct hil_mqtt_side *s = &c->mqtt->side[side];
    s->lost = true;
    if (hil_ev_begin(d, HIL_EV_mqtt, c, side)) {
        J_STR(&d->out, "type", hil_mqtt_name[p[0] >> 4]);
        J_UINT(&d->out, "len", n);
        J_BOOL(&d->out, "tls", tls);
        J_UINT(&d->out, "flags", p[0] & 15U);
        J_STR(&d->out, "malformed", "remaining length longer than four bytes");
        hil_ev_end(d);
    }
}

static void end_packet(struct hil_decoder *d, struct hil_conn *c, int side, bool tls) {
    struct hil_mqtt_side *s = &c->mqtt->side[side];
    uint8_t *buf = s->buf;
    uint32_t keep = s->keep;
    uint32_t have = s->damaged ? 0 : s->got < keep ? s->got : keep;
    s->buf = NULL;
    s->in_packet = false;
    packet(d, c, side, s->head[0], s->head_n, minimal_head(s->remaining),
           (struct hil_span){buf, buf != NULL ? have : 0}, s->remaining, tls);
    s->head_n = 0;
    hil_table_release(&d->table, buf, keep);
}

static void begin_packet(struct hil_decoder *d, struct hil_conn *c, int side) {
    struct hil_mqtt_side *s = &c->mqtt->side[side];
    s->in_packet = true;
    s->got = 0;
    s->damaged = false;
    s->keep = s->remaining < HIL_MQTT_KEEP ? s->remaining : HIL_MQTT_KEEP;
    s->buf = s->keep > 0 ? hil_table_alloc(&d->table, s->keep) : NULL;
}

void hil_mqtt_data(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n,
                   bool tls) {
    struct hil_mqtt_side *s = &c->mqtt->side[side];
    while (n > 0 && !s->lost) {
        if (s->in_packet) {
            uint32_t left = s->remaining - s->got;
            uint32_t k = n < left ? (uint32_t)n : left;
            if (s->buf != NULL && s->got < s->keep) {
                uint32_t room = s->keep - s->got;
                memcpy(s->buf + s->got, p, k < room ? k : room);
            }
            s->got += k;
            p += k;
            n -= k;
            if (s->got == s->remaining) {
                end_packet(d, c, side, tls);
            }
            continue;
        }
        if (s->head_n == 0 && n >= 2) { /* the usual case: the whole packet is here */
            int k = hil_mqtt_varint(p + 1, n - 1, &s->remaining);
            if (k > 0 && n - 1 - (size_t)k >= s->remaining) {
                uint32_t head = 1U + (uint32_t)k;
                packet(d, c, side, p[0], head, minimal_head(s->remaining),
                       (struct hil_span){p + head, s->remaining}, s->remaining, tls);
                p += head + s->remaining;
                n -= head + s->remaining;
                continue;
            }
        }
        s->head[s->head_n++] = *p++;
        n--;
        int k = hil_mqtt_varint(s->head + 1, s->head_n - 1U, &s->remaining);
        if (k < 0) {
            bad_header(d, c, side, s->head, s->head_n, tls);
        } else if (k > 0) {
            begin_packet(d, c, side);
            if (s->remaining == 0) {
                end_packet(d, c, side, tls);
            }
        }
    }
}

void hil_mqtt_gap(struct hil_decoder *d, struct hil_conn *c, int side, uint64_t missing) {
    struct hil_mqtt *m = c->mqtt;
    struct hil_mqtt_side *s = &m->side[side];
    m->side[0].flight.blind = m->side[1].flight.blind = true;
    if (s->in_packet && missing <= s->remaining - s->got) {
        if (s->got < s->keep) { /* what follows the gap is not kept, what was before it is read */
            hil_table_release(&d->table, s->buf, s->keep);
            s->buf = NULL;
            s->damaged = true;
        }
        s->got += (uint32_t)missing;
        if (s->got == s->remaining) {
            end_packet(d, c, side, c->tls != NULL);
        }
        return;
    }
    s->lost = true; /* packets have no mark to find them by */
}

void hil_mqtt_close(struct hil_decoder *d, const struct hil_conn *c) {
    if (c->mqtt != NULL && d->opt.summary) {
        J_UINT(&d->out, "mqtt_c", c->mqtt->side[c->client].packets);
        J_UINT(&d->out, "mqtt_s", c->mqtt->side[c->client ^ 1].packets);
    }
}
