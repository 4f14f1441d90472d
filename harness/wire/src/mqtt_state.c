#include "mqtt_state.h"

#define SECOND 1000000000LL

static int flight_find(const struct hil_flight *f, uint16_t id) {
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->id[i] == id) {
            return (int)i;
        }
    }
    return -1;
}

static void flight_add(struct hil_flight *f, uint16_t id, uint8_t type) {
    int i = flight_find(f, id);
    if (i >= 0) {
        f->type[i] = type;
    } else if (f->n < HIL_FLIGHT_MAX) {
        f->id[f->n] = id;
        f->type[f->n++] = type;
    } else {
        f->blind = true;
    }
}

/* Takes the identifier out if it is in flight as that type. */
static bool flight_take(struct hil_flight *f, uint16_t id, uint8_t type, uint8_t becomes) {
    int i = flight_find(f, id);
    if (i < 0 || f->type[i] != type) {
        return false;
    }
    if (becomes != 0) {
        f->type[i] = becomes;
    } else {
        f->n--; /* the others keep their order */
        memmove(f->id + i, f->id + i + 1, (f->n - (uint32_t)i) * sizeof *f->id);
        memmove(f->type + i, f->type + i + 1, f->n - (uint32_t)i);
    }
    return true;
}

#define QOS1 (HIL_MQTT_PUBLISH | 0x10)
#define QOS2 (HIL_MQTT_PUBLISH | 0x20)

static uint32_t publishes_in_flight(const struct hil_flight *f) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        n += f->type[i] == QOS1 || f->type[i] == QOS2 || f->type[i] == HIL_MQTT_PUBREL;
    }
    return n;
}

static void new_id(struct hil_mqtt *m, struct hil_mqtt_packet *p, struct hil_flight *f, uint8_t type) {
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
    const struct hil_flight *f = &m->side[side].flight;
    if (!f->blind && qos > 0 && publishes_in_flight(f) > m->receive_maximum[side ^ 1]) {
        hil_mqtt_breach(p, client ? HIL_RULE_RECEIVE_MAXIMUM : HIL_RULE_RECEIVE_MAXIMUM_SERVER);
    }
}

/* The client answers in the order in which the PUBLISH packets of that QoS came. */
static bool in_order(const struct hil_flight *f, uint16_t id, uint8_t type) {
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->type[i] == type) {
            return f->id[i] == id;
        }
    }
    return true;
}

static void identifiers(struct hil_mqtt *m, struct hil_mqtt_packet *p, int side) {
    struct hil_flight *mine = &m->side[side].flight;
    struct hil_flight *theirs = &m->side[side ^ 1].flight;
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
        if (p->client && sure && flight_find(theirs, p->id) >= 0 && !in_order(theirs, p->id, QOS1)) {
            hil_mqtt_breach(p, HIL_RULE_PUBACK_ORDER);
        }
        if (!flight_take(theirs, p->id, QOS1, 0) && sure) {
            hil_mqtt_breach(p, HIL_RULE_ACK_ID);
        }
        break;
    case HIL_MQTT_PUBREC: {
        int i = flight_find(theirs, p->id);
        bool again = i >= 0 && theirs->type[i] == HIL_MQTT_PUBREL;
        if (p->client && sure && i >= 0 && !again && !in_order(theirs, p->id, QOS2)) {
            hil_mqtt_breach(p, HIL_RULE_PUBREC_ORDER);
        }
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

static void client_order(struct hil_mqtt *m, struct hil_mqtt_packet *p, struct hil_mqtt_side *s,
                         int64_t now) {
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

static void server_order(struct hil_mqtt *m, struct hil_mqtt_packet *p, const struct hil_mqtt_side *s) {
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

void hil_mqtt_judge(struct hil_mqtt *m, struct hil_mqtt_packet *p, int side, int64_t now) {
    struct hil_mqtt_side *s = &m->side[side];
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
