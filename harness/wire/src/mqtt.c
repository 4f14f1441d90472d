#include "mqtt.h"

#include "jwt.h"
#include "mqtt_packet.h"

#include <stdlib.h>

#define FLIGHT_MAX 48U
#define SECOND     1000000000LL

/* Packet identifiers a side has in use: what it sent and the peer has not answered. */
struct flight {
    uint16_t id[FLIGHT_MAX];
    uint8_t type[FLIGHT_MAX]; /* PUBLISH with its QoS in the upper half, PUBREL, SUBSCRIBE, UNSUBSCRIBE */
    uint32_t n;
    bool blind; /* more than fit, or bytes missing: no rule about identifiers is judged */
};

struct side {
    uint8_t head[5], head_n;
    uint8_t *buf; /* what is kept of a packet that came in pieces */
    uint32_t keep, got, remaining;
    bool in_packet, damaged, lost, disconnected;
    uint32_t packets;
    int64_t t_last;
    struct flight flight;
};

struct hil_mqtt {
    struct side side[2];
    bool active, whole, connected, accepted, auth; /* whole: seen from its first byte */
    uint8_t level;
    uint16_t keepalive;
    uint32_t maximum_packet[2], receive_maximum[2], alias_maximum[2]; /* what each side allows the other */
    uint8_t maximum_qos;
    bool retain_available;
};

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
        return mq || expected ? 1 : 0;
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

/* ---- rules that need the connection's state ---- */

static int flight_find(const struct flight *f, uint16_t id) {
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->id[i] == id) {
            return (int)i;
        }
    }
    return -1;
}

static void flight_add(struct flight *f, uint16_t id, uint8_t type) {
    int i = flight_find(f, id);
    if (i >= 0) {
        f->type[i] = type;
    } else if (f->n < FLIGHT_MAX) {
        f->id[f->n] = id;
        f->type[f->n++] = type;
    } else {
        f->blind = true;
    }
}

/* Takes the identifier out if it is in flight as that type. */
static bool flight_take(struct flight *f, uint16_t id, uint8_t type, uint8_t becomes) {
    int i = flight_find(f, id);
    if (i < 0 || f->type[i] != type) {
        return false;
    }
    if (becomes != 0) {
        f->type[i] = becomes;
    } else {
        f->n--;
        f->id[i] = f->id[f->n];
        f->type[i] = f->type[f->n];
    }
    return true;
}

#define QOS1 (HIL_MQTT_PUBLISH | 0x10)
#define QOS2 (HIL_MQTT_PUBLISH | 0x20)

static uint32_t publishes_in_flight(const struct flight *f) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        n += f->type[i] == QOS1 || f->type[i] == QOS2 || f->type[i] == HIL_MQTT_PUBREL;
    }
    return n;
}

static void new_id(struct hil_mqtt *m, struct hil_mqtt_packet *p, struct flight *f, uint8_t type) {
    int i = flight_find(f, p->id);
    bool dup = p->type == HIL_MQTT_PUBLISH && (p->flags & 8U) != 0;
    if (i >= 0 && m->whole && !f->blind) {
        bool same = f->type[i] == type;
        if (dup && same) {
            hil_mqtt_breach(p, HIL_RULE_RESEND);
        } else {
            hil_mqtt_breach(p, p->client ? HIL_RULE_ID_IN_USE : HIL_RULE_ID_IN_USE_SERVER);
        }
    }
    flight_add(f, p->id, type);
}

static void publish_limits(const struct hil_mqtt *m, struct hil_mqtt_packet *p, int side) {
    uint8_t qos = p->flags >> 1 & 3U;
    struct hil_property alias;
    bool client = p->client;
    if (m->level < 5 || !m->accepted) {
        return;
    }
    if (client && qos > m->maximum_qos) {
        hil_mqtt_breach(p, HIL_RULE_MAXIMUM_QOS);
    }
    if (client && (p->flags & 1U) != 0 && !m->retain_available) {
        hil_mqtt_breach(p, HIL_RULE_RETAIN_AVAILABLE);
    }
    uint32_t limit = m->alias_maximum[side ^ 1];
    if (p->has_properties && hil_mqtt_find_property(p->properties, 35, &alias) && alias.number > limit) {
        hil_mqtt_breach(p, !client      ? HIL_RULE_ALIAS_MAXIMUM_SERVER
                           : limit == 0 ? HIL_RULE_ALIAS_FORBIDDEN
                                        : HIL_RULE_ALIAS_MAXIMUM);
    }
    const struct flight *f = &m->side[side].flight;
    if (!f->blind && qos > 0 && publishes_in_flight(f) > m->receive_maximum[side ^ 1]) {
        hil_mqtt_breach(p, client ? HIL_RULE_RECEIVE_MAXIMUM : HIL_RULE_RECEIVE_MAXIMUM_SERVER);
    }
}

static void identifiers(struct hil_mqtt *m, struct hil_mqtt_packet *p, int side) {
    struct flight *mine = &m->side[side].flight;
    struct flight *theirs = &m->side[side ^ 1].flight;
    bool sure = m->whole && !theirs->blind && p->has_id;
    bool refused = p->has_code && p->code >= 0x80;
    uint8_t qos = p->flags >> 1 & 3U;
    switch (p->type) {
    case HIL_MQTT_PUBLISH:
        if (qos == 1 || qos == 2) {
            new_id(m, p, mine, qos == 1 ? QOS1 : QOS2);
        }
        publish_limits(m, p, side);
        break;
    case HIL_MQTT_SUBSCRIBE:
    case HIL_MQTT_UNSUBSCRIBE:
        new_id(m, p, mine, p->type);
        break;
    case HIL_MQTT_PUBACK:
        if (!flight_take(theirs, p->id, QOS1, 0) && sure) {
            hil_mqtt_breach(p, HIL_RULE_ACK_ID);
        }
        break;
    case HIL_MQTT_PUBREC: {
        int i = flight_find(theirs, p->id);
        bool again = i >= 0 && theirs->type[i] == HIL_MQTT_PUBREL;
        if (!again && !flight_take(theirs, p->id, QOS2, refused ? 0 : HIL_MQTT_PUBREL) && sure) {
            hil_mqtt_breach(p, HIL_RULE_ACK_ID);
        }
        break;
    }
    case HIL_MQTT_PUBREL:
        if (flight_find(mine, p->id) < 0 && m->whole && !mine->blind && p->has_id) {
            hil_mqtt_breach(p, HIL_RULE_ACK_ID);
        }
        break;
    case HIL_MQTT_PUBCOMP:
        if (!flight_take(theirs, p->id, HIL_MQTT_PUBREL, 0) && sure) {
            hil_mqtt_breach(p, HIL_RULE_ACK_ID);
        }
        break;
    case HIL_MQTT_SUBACK:
        if (!flight_take(theirs, p->id, HIL_MQTT_SUBSCRIBE, 0) && sure) {
            hil_mqtt_breach(p, HIL_RULE_SUBACK_ID);
        }
        break;
    case HIL_MQTT_UNSUBACK:
        if (!flight_take(theirs, p->id, HIL_MQTT_UNSUBSCRIBE, 0) && sure) {
            hil_mqtt_breach(p, HIL_RULE_SUBACK_ID);
        }
        break;
    default:
        break;
    }
}

static void take_limits(struct hil_mqtt *m, const struct hil_mqtt_packet *p, int side) {
    struct hil_property o;
    struct hil_span list = p->properties;
    while (p->has_properties && hil_mqtt_property(&list, &o) > 0) {
        switch (o.id) {
        case 19:
            m->keepalive = (uint16_t)o.number;
            break;
        case 21:
            m->auth = true;
            break;
        case 33:
            m->receive_maximum[side] = o.number;
            break;
        case 34:
            m->alias_maximum[side] = o.number;
            break;
        case 36:
            m->maximum_qos = (uint8_t)o.number;
            break;
        case 37:
            m->retain_available = o.number != 0;
            break;
        case 39:
            m->maximum_packet[side] = o.number;
            break;
        default:
            break;
        }
    }
}

static void client_order(struct hil_mqtt *m, struct hil_mqtt_packet *p, struct side *s, int64_t now) {
    if (p->type == HIL_MQTT_CONNECT) {
        if (m->connected) {
            hil_mqtt_breach(p, HIL_RULE_CONNECT_ONCE);
        }
        m->connected = true;
        return;
    }
    if (m->whole && !m->connected && s->packets == 0) {
        hil_mqtt_breach(p, HIL_RULE_CONNECT_FIRST);
    }
    if (m->auth && !m->accepted && p->type != HIL_MQTT_AUTH && p->type != HIL_MQTT_DISCONNECT) {
        hil_mqtt_breach(p, HIL_RULE_AUTH_FIRST);
    }
    /* A second and a tenth of slack: capture times are not the client's. */
    int64_t limit = (int64_t)m->keepalive * SECOND;
    if (m->keepalive != 0 && s->packets > 0 && now - s->t_last > limit + limit / 10 + SECOND) {
        hil_mqtt_breach(p, HIL_RULE_KEEP_ALIVE);
    }
}

static void server_order(struct hil_mqtt *m, struct hil_mqtt_packet *p, const struct side *s) {
    if (p->type == HIL_MQTT_CONNACK) {
        if (m->accepted || (m->whole && s->packets > 0 && !m->auth)) {
            hil_mqtt_breach(p, HIL_RULE_CONNACK_ONCE);
        }
        m->accepted = p->code == 0;
        return;
    }
    if (m->whole && !m->accepted) {
        if (p->type == HIL_MQTT_DISCONNECT) {
            hil_mqtt_breach(p, HIL_RULE_DISCONNECT_EARLY);
        } else if (p->type != HIL_MQTT_AUTH && s->packets == 0) {
            hil_mqtt_breach(p, HIL_RULE_CONNACK_FIRST);
        }
    }
}

static void state_rules(struct hil_mqtt *m, struct hil_mqtt_packet *p, int side, int64_t now) {
    struct side *s = &m->side[side];
    if (p->type == HIL_MQTT_CONNECT && p->client) {
        m->level = p->level;
        m->keepalive = p->keepalive;
    }
    if (s->disconnected) {
        hil_mqtt_breach(p, HIL_RULE_AFTER_DISCONNECT);
    }
    if (p->client) {
        client_order(m, p, s, now);
    } else {
        server_order(m, p, s);
    }
    if (p->len > m->maximum_packet[side ^ 1]) {
        hil_mqtt_breach(p, p->client ? HIL_RULE_MAXIMUM_PACKET : HIL_RULE_MAXIMUM_PACKET_SERVER);
    }
    if (p->type == HIL_MQTT_CONNECT || p->type == HIL_MQTT_CONNACK) {
        take_limits(m, p, side);
    }
    identifiers(m, p, side);
    s->disconnected = s->disconnected || p->type == HIL_MQTT_DISCONNECT;
    s->packets++;
    s->t_last = now;
}

/* ---- output ---- */

static void put_properties(struct hil_json *j, struct hil_span list) {
    struct hil_property o;
    uint32_t n = 0;
    while (n++ < 64 && hil_mqtt_property(&list, &o) > 0) {
        J_LIT(j, ",\"");
        hil_json_raw(j, o.name, strlen(o.name));
        J_LIT(j, "\":");
        if (o.kind == HIL_PROPERTY_TEXT) {
            hil_json_text(j, o.text.p, o.text.n, HIL_JSON_TEXT_MAX);
        } else if (o.kind == HIL_PROPERTY_BINARY) {
            /* Authentication data may be a secret, correlation data has no meaning here: the length is
             * enough. */
            hil_json_uint(j, o.text.n);
        } else if (o.kind == HIL_PROPERTY_PAIR) {
            J_LIT(j, "[");
            hil_json_text(j, o.text.p, o.text.n, HIL_JSON_TEXT_MAX);
            J_LIT(j, ",");
            hil_json_text(j, o.second.p, o.second.n, HIL_JSON_TEXT_MAX);
            J_LIT(j, "]");
        } else {
            hil_json_uint(j, o.number);
        }
    }
}

static void put_jwt(struct hil_json *j, struct hil_span password) {
    struct hil_jwt t;
    hil_jwt_parse(password, &t);
    J_LIT(j, ",\"jwt\":{");
    J_UINT(j, "segments", t.segments);
    if (t.has_alg) {
        J_STR(j, "alg", t.alg);
    }
    if (t.has_typ) {
        J_STR(j, "typ", t.typ);
    }
    J_BOOL(j, "kid", t.has_kid);
    if (t.has_aud) {
        J_STR(j, "aud", t.aud);
    }
    if (t.has_iss) {
        J_STR(j, "iss", t.iss);
    }
    if (t.has_sub) {
        J_STR(j, "sub", t.sub);
    }
    if (t.has_iat) {
        J_INT(j, "iat", t.iat);
    }
    if (t.has_exp) {
        J_INT(j, "exp", t.exp);
    }
    if (t.has_nbf) {
        J_INT(j, "nbf", t.nbf);
    }
    J_LIT(j, ",\"missing\":[");
    const struct {
        bool has;
        const char *name;
    } wanted[] = {{t.has_alg, "alg"}, {t.has_aud, "aud"}, {t.has_iat, "iat"}, {t.has_exp, "exp"}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (!wanted[i].has) {
            J_LIT(j, ",");
            hil_json_str(j, wanted[i].name);
        }
    }
    J_LIT(j, "]");
    J_UINT(j, "sig_len", t.sig_len);
    J_BOOL(j, "padding", t.padding);
    J_BOOL(j, "standard_alphabet", t.standard_alphabet);
    J_BOOL(j, "times_are_text", t.times_are_text);
    if (t.malformed != NULL) {
        J_STR(j, "malformed", t.malformed);
    }
    J_LIT(j, "}");
}

static void put_connect(struct hil_json *j, const struct hil_mqtt_packet *p) {
    J_TEXT(j, "protocol", p->protocol.p, p->protocol.n);
    J_UINT(j, "level", p->connect_level);
    J_BOOL(j, "clean", (p->connect_flags & 2U) != 0);
    J_UINT(j, "connect_flags", p->connect_flags);
    J_UINT(j, "keepalive", p->keepalive);
    J_TEXT(j, "client_id", p->client_id.p, p->client_id.n);
    if (p->has_username) {
        J_TEXT(j, "username", p->username.p, p->username.n);
    }
    if (p->has_password) {
        J_UINT(j, "password_len", p->password.n);
        if (hil_jwt_looks(p->password)) {
            put_jwt(j, p->password);
        }
    }
    if (p->has_will) {
        J_LIT(j, ",\"will\":{");
        J_TEXT(j, "topic", p->will_topic.p, p->will_topic.n);
        J_UINT(j, "qos", p->connect_flags >> 3 & 3U);
        J_BOOL(j, "retain", (p->connect_flags & 0x20U) != 0);
        J_UINT(j, "len", p->will_payload.n);
        if (p->has_will_properties) {
            J_LIT(j, ",\"properties\":{");
            put_properties(j, p->will_properties);
            J_LIT(j, "}");
        }
        J_LIT(j, "}");
    }
}

static void put_filters(struct hil_json *j, const struct hil_mqtt_packet *p) {
    bool sub = p->type == HIL_MQTT_SUBSCRIBE;
    J_LIT(j, ",\"filters\":[");
    for (size_t i = 0; i < p->filter_n; i++) {
        const struct hil_filter *f = &p->filter[i];
        if (!sub) {
            J_LIT(j, ",");
            hil_json_text(j, f->topic.p, f->topic.n, HIL_JSON_TEXT_MAX);
            continue;
        }
        J_LIT(j, ",{");
        J_TEXT(j, "topic", f->topic.p, f->topic.n);
        J_UINT(j, "qos", f->options & 3U);
        if (p->level >= 5) {
            J_UINT(j, "options", f->options);
        }
        J_LIT(j, "}");
    }
    J_LIT(j, "]");
    if (p->filter_more > 0) {
        J_UINT(j, "filters_more", p->filter_more);
    }
}

static void put_codes(struct hil_json *j, const struct hil_mqtt_packet *p) {
    J_LIT(j, ",\"codes\":[");
    for (size_t i = 0; i < p->codes.n && i < HIL_CODES_MAX; i++) {
        J_LIT(j, ",");
        hil_json_uint(j, p->codes.p[i]);
    }
    J_LIT(j, "]");
}

static void put_fields(struct hil_json *j, const struct hil_mqtt_packet *p) {
    switch (p->type) {
    case HIL_MQTT_CONNECT:
        put_connect(j, p);
        break;
    case HIL_MQTT_CONNACK:
        J_BOOL(j, "session_present", p->session_present);
        break;
    case HIL_MQTT_PUBLISH:
        J_TEXT(j, "topic", p->topic.p, p->topic.n);
        J_UINT(j, "qos", p->flags >> 1 & 3U);
        J_BOOL(j, "dup", (p->flags & 8U) != 0);
        J_BOOL(j, "retain", (p->flags & 1U) != 0);
        J_UINT(j, "payload_len", p->payload_len);
        break;
    default:
        break;
    }
    if (p->has_id) {
        J_UINT(j, "id", p->id);
    }
    if (p->has_code) {
        J_UINT(j, "code", p->code);
    }
    if (p->type == HIL_MQTT_SUBSCRIBE || p->type == HIL_MQTT_UNSUBSCRIBE) {
        put_filters(j, p);
    }
    if (p->type == HIL_MQTT_SUBACK || (p->type == HIL_MQTT_UNSUBACK && p->level >= 5)) {
        put_codes(j, p);
    }
    if (p->has_properties) {
        J_LIT(j, ",\"properties\":{");
        put_properties(j, p->properties);
        J_LIT(j, "}");
    }
}

static void put_statements(struct hil_json *j, const struct hil_mqtt_packet *p) {
    J_LIT(j, ",\"statements\":[");
    for (size_t i = 0; i < p->breach_n; i++) {
        const struct hil_rule_text *r = &hil_rule_text[p->breach[i]];
        J_LIT(j, ",{");
        J_STR(j, "id", p->level >= 5 ? r->v5 : r->v3);
        J_STR(j, "text", r->text);
        J_LIT(j, ",\"level\":\"must\"}");
    }
    J_LIT(j, "]");
}

static void say_packet(struct hil_decoder *d, const struct hil_conn *c, int side,
                       const struct hil_mqtt_packet *p, bool tls) {
    struct hil_json *j = &d->out;
    if (!hil_ev_begin(d, HIL_EV_mqtt, c, side)) {
        return;
    }
    J_STR(j, "type", hil_mqtt_name[p->type]);
    J_UINT(j, "len", p->len);
    J_BOOL(j, "tls", tls);
    J_UINT(j, "flags", p->flags);
    put_fields(j, p);
    if (p->breach_n > 0) {
        put_statements(j, p);
    }
    if (p->malformed != NULL) {
        J_STR(j, "malformed", p->malformed);
    }
    if (p->cut) {
        J_LIT(j, ",\"cut\":true");
    }
    hil_ev_end(d);
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
    state_rules(m, &p, side, d->t);
    say_packet(d, c, side, &p, tls);
}

static uint32_t minimal_head(uint32_t remaining) {
    return remaining < 128 ? 2 : remaining < 16384 ? 3 : remaining < 2097152 ? 4 : 5;
}

static void bad_header(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n,
                       bool tls) {
    struct side *s = &c->mqtt->side[side];
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
    struct side *s = &c->mqtt->side[side];
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
    struct side *s = &c->mqtt->side[side];
    s->in_packet = true;
    s->got = 0;
    s->damaged = false;
    s->keep = s->remaining < HIL_MQTT_KEEP ? s->remaining : HIL_MQTT_KEEP;
    s->buf = s->keep > 0 ? hil_table_alloc(&d->table, s->keep) : NULL;
}

void hil_mqtt_data(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n,
                   bool tls) {
    struct side *s = &c->mqtt->side[side];
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
    struct side *s = &m->side[side];
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
