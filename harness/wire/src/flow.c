#include "flow.h"

#include "mqtt.h"
#include "tls.h"

struct hil_tls *hil_flow_tls(struct hil_decoder *d, struct hil_conn *c) {
    return c->tls != NULL ? c->tls : hil_tls_new(d, c);
}

int hil_flow_role(struct hil_span f) {
    if (hil_tls_looks(f.p, f.n) == 1 && f.p[0] == HIL_TYPE_HANDSHAKE && f.n > 5) {
        return f.p[5] == HIL_HS_CLIENT_HELLO ? 1 : f.p[5] == HIL_HS_SERVER_HELLO ? -1 : 0;
    }
    return hil_mqtt_looks(f.p, f.n, true, false) == 1 && f.n > 0 ? 1 : 0;
}

void hil_flow_other(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n) {
    struct hil_side *s = &c->side[side];
    if (s->data_told) {
        return;
    }
    s->data_told = true;
    if (!hil_ev_begin(d, HIL_EV_data, c, side)) {
        return;
    }
    size_t text = 0;
    while (text < n && text < 64 &&
           ((p[text] >= 0x20 && p[text] < 0x7f) || p[text] == '\r' || p[text] == '\n')) {
        text++;
    }
    J_UINT(&d->out, "len", n);
    J_HEX(&d->out, "first", p, n < 16 ? n : 16);
    if (text >= 4 || (text > 0 && text == n)) {
        J_TEXT(&d->out, "text", p, text);
    }
    hil_ev_end(d);
}

bool hil_flow_mqtt_port(const struct hil_decoder *d, const struct hil_conn *c, bool tls) {
    uint16_t port = c->port[c->client ^ 1];
    for (size_t i = 0; i < d->opt.port_n; i++) {
        if (d->opt.ports[i] == port) {
            return true;
        }
    }
    return port == 1883 || (tls && port == 8883);
}

/* Decides what a direction speaks, from its first bytes; UNKNOWN while they are too few. */
static enum hil_proto detect(const struct hil_decoder *d, const struct hil_conn *c, int side,
                             const uint8_t *p, size_t n, bool last) {
    bool client = side == c->client;
    bool peer_mqtt = c->side[side ^ 1].proto == HIL_PROTO_MQTT;
    int tls = hil_tls_looks(p, n);
    if (tls == 1) {
        return HIL_PROTO_TLS;
    }
    int ssl2 = client ? hil_tls_looks_ssl2(p, n) : 0;
    bool plain_port = c->port[c->client ^ 1] == 1883;
    if (ssl2 == 1 && !plain_port) {
        return HIL_PROTO_TLS;
    }
    /* On a port that was only named, anything but CONNECT must be one whole packet to count. */
    bool named = hil_flow_mqtt_port(d, c, false) && hil_mqtt_whole(p, n);
    int mqtt = hil_mqtt_looks(p, n, client, peer_mqtt || plain_port || named);
    if (mqtt == 1) {
        return HIL_PROTO_MQTT;
    }
    if (!last && (tls < 0 || ssl2 < 0 || mqtt < 0)) {
        return HIL_PROTO_UNKNOWN;
    }
    /* In mid-stream of a port that TLS is spoken on, the record's beginning comes later. */
    bool tls_peer = c->side[side ^ 1].proto == HIL_PROTO_TLS;
    if (!c->syn_seen && !last && (tls_peer || c->port[c->client ^ 1] == 8883)) {
        return HIL_PROTO_TLS;
    }
    return HIL_PROTO_OTHER;
}

static void first_tls(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n) {
    bool fresh = c->tls == NULL;
    struct hil_tls *t = hil_flow_tls(d, c);
    if (t == NULL) {
        c->side[side].proto = HIL_PROTO_OTHER;
        return;
    }
    if (fresh) {
        t->mid = !c->syn_seen || c->side[side].gaps > 0 || c->side[side].cut_told;
    }
    if (side == c->client && hil_tls_looks(p, n) == 0 && hil_tls_looks_ssl2(p, n) == 1) {
        hil_tls_ssl2(d, c, side, p, n);
        return;
    }
    if (hil_tls_looks(p, n) == 0) {
        t->side[side].lost = true;
        t->side[side].gap = true;
    }
    hil_tls_data(d, c, side, p, n);
}

static void start(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n,
                  bool last) {
    struct hil_side *s = &c->side[side];
    s->proto = detect(d, c, side, p, n, last);
    switch (s->proto) {
    case HIL_PROTO_TLS:
        first_tls(d, c, side, p, n);
        break;
    case HIL_PROTO_MQTT:
        if (c->mqtt != NULL || hil_mqtt_new(d, c) != NULL) {
            hil_mqtt_data(d, c, side, p, n, false);
        }
        break;
    case HIL_PROTO_OTHER:
        hil_flow_other(d, c, side, p, n);
        break;
    case HIL_PROTO_UNKNOWN:
        if (p != s->head) {
            memcpy(s->head, p, n); /* undecided only below 16 bytes */
            s->head_n = (uint8_t)n;
        }
        break;
    }
}

void hil_flow_data(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n) {
    struct hil_side *s = &c->side[side];
    switch (s->proto) {
    case HIL_PROTO_TLS:
        if (c->tls != NULL) {
            hil_tls_data(d, c, side, p, n);
        }
        return;
    case HIL_PROTO_MQTT:
        if (c->mqtt != NULL) {
            hil_mqtt_data(d, c, side, p, n, false);
        }
        return;
    case HIL_PROTO_OTHER:
        return;
    case HIL_PROTO_UNKNOWN:
        break;
    }
    if (s->head_n == 0 && (n >= sizeof s->head || detect(d, c, side, p, n, false) != HIL_PROTO_UNKNOWN)) {
        start(d, c, side, p, n, n >= sizeof s->head);
        return;
    }
    while (n > 0 && s->proto == HIL_PROTO_UNKNOWN) {
        s->head[s->head_n++] = *p++;
        n--;
        bool full = s->head_n == sizeof s->head;
        if (full || detect(d, c, side, s->head, s->head_n, false) != HIL_PROTO_UNKNOWN) {
            start(d, c, side, s->head, s->head_n, full);
        }
    }
    if (n > 0) {
        hil_flow_data(d, c, side, p, n);
    }
}

void hil_flow_gap(struct hil_decoder *d, struct hil_conn *c, int side, uint64_t missing) {
    struct hil_side *s = &c->side[side];
    if (s->proto == HIL_PROTO_UNKNOWN && s->head_n > 0) {
        start(d, c, side, s->head, s->head_n, true);
    }
    if (s->proto == HIL_PROTO_TLS && c->tls != NULL) {
        hil_tls_gap(d, c, side, missing);
    } else if (s->proto == HIL_PROTO_MQTT && c->mqtt != NULL) {
        hil_mqtt_gap(d, c, side, missing);
    }
}

void hil_flow_end(struct hil_decoder *d, struct hil_conn *c, int side) {
    struct hil_side *s = &c->side[side];
    if (s->proto == HIL_PROTO_UNKNOWN && s->head_n > 0) {
        start(d, c, side, s->head, s->head_n, true);
    }
    if (s->proto == HIL_PROTO_TLS && c->tls != NULL) {
        hil_tls_end(d, c, side);
    }
}
