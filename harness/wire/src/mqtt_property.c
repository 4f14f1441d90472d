#include "mqtt_check.h"

#include "utf8.h"

int hil_mqtt_varint(const uint8_t *p, size_t n, uint32_t *v) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        if (i == n) {
            return 0;
        }
        value |= (p[i] & 0x7fU) << (7 * i);
        if ((p[i] & 0x80U) == 0) {
            *v = value;
            return (int)i + 1;
        }
    }
    return -1;
}

static const struct {
    uint8_t id;
    uint8_t kind;
    const char *name;
} properties[] = {
    {1, HIL_PROPERTY_BYTE, "payload_format_indicator"},
    {2, HIL_PROPERTY_U32, "message_expiry_interval"},
    {3, HIL_PROPERTY_TEXT, "content_type"},
    {8, HIL_PROPERTY_TEXT, "response_topic"},
    {9, HIL_PROPERTY_BINARY, "correlation_data"},
    {11, HIL_PROPERTY_VARINT, "subscription_identifier"},
    {17, HIL_PROPERTY_U32, "session_expiry_interval"},
    {18, HIL_PROPERTY_TEXT, "assigned_client_identifier"},
    {19, HIL_PROPERTY_U16, "server_keep_alive"},
    {21, HIL_PROPERTY_TEXT, "authentication_method"},
    {22, HIL_PROPERTY_BINARY, "authentication_data"},
    {23, HIL_PROPERTY_BYTE, "request_problem_information"},
    {24, HIL_PROPERTY_U32, "will_delay_interval"},
    {25, HIL_PROPERTY_BYTE, "request_response_information"},
    {26, HIL_PROPERTY_TEXT, "response_information"},
    {28, HIL_PROPERTY_TEXT, "server_reference"},
    {31, HIL_PROPERTY_TEXT, "reason_string"},
    {33, HIL_PROPERTY_U16, "receive_maximum"},
    {34, HIL_PROPERTY_U16, "topic_alias_maximum"},
    {35, HIL_PROPERTY_U16, "topic_alias"},
    {36, HIL_PROPERTY_BYTE, "maximum_qos"},
    {37, HIL_PROPERTY_BYTE, "retain_available"},
    {38, HIL_PROPERTY_PAIR, "user_property"},
    {39, HIL_PROPERTY_U32, "maximum_packet_size"},
    {40, HIL_PROPERTY_BYTE, "wildcard_subscription_available"},
    {41, HIL_PROPERTY_BYTE, "subscription_identifier_available"},
    {42, HIL_PROPERTY_BYTE, "shared_subscription_available"},
};

static bool varint(struct hil_span *s, uint32_t *v) {
    int k = hil_mqtt_varint(s->p, s->n, v);
    return k > 0 && hil_skip(s, (size_t)k);
}

static bool property_value(struct hil_span *s, struct hil_property *o) {
    uint8_t b = 0;
    uint16_t h = 0;
    switch (o->kind) {
    case HIL_PROPERTY_BYTE:
        if (!hil_u8(s, &b)) {
            return false;
        }
        o->number = b;
        return true;
    case HIL_PROPERTY_U16:
        if (!hil_u16(s, &h)) {
            return false;
        }
        o->number = h;
        return true;
    case HIL_PROPERTY_U32:
        return hil_u32(s, &o->number);
    case HIL_PROPERTY_VARINT:
        return varint(s, &o->number);
    case HIL_PROPERTY_TEXT:
    case HIL_PROPERTY_BINARY:
        return hil_vec16(s, &o->text);
    case HIL_PROPERTY_PAIR:
        return hil_vec16(s, &o->text) && hil_vec16(s, &o->second);
    }
    return false;
}

int hil_mqtt_property(struct hil_span *list, struct hil_property *out) {
    uint32_t id;
    memset(out, 0, sizeof *out);
    if (list->n == 0) {
        return 0;
    }
    if (!varint(list, &id)) {
        return -1;
    }
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
        if (properties[i].id == id) {
            out->id = properties[i].id;
            out->name = properties[i].name;
            out->kind = (enum hil_property_kind)properties[i].kind;
            return property_value(list, out) ? 1 : -1;
        }
    }
    return -1;
}

bool hil_mqtt_find_property(struct hil_span list, uint8_t id, struct hil_property *out) {
    while (hil_mqtt_property(&list, out) > 0) {
        if (out->id == id) {
            return true;
        }
    }
    return false;
}

static uint32_t bit(unsigned type) {
    return 1U << type;
}

/* Packet types a property may stand in (MQTT 5, table 2-4); bit HIL_MQTT_WILL: will properties. */
static uint32_t allowed(uint8_t id) {
    uint32_t acks =
        bit(HIL_MQTT_PUBACK) | bit(HIL_MQTT_PUBREC) | bit(HIL_MQTT_PUBREL) | bit(HIL_MQTT_PUBCOMP);
    uint32_t subs = bit(HIL_MQTT_SUBACK) | bit(HIL_MQTT_UNSUBACK);
    uint32_t connect = bit(HIL_MQTT_CONNECT);
    uint32_t connack = bit(HIL_MQTT_CONNACK);
    switch (id) {
    case 1:
    case 2:
    case 3:
    case 8:
    case 9:
        return bit(HIL_MQTT_PUBLISH) | bit(HIL_MQTT_WILL);
    case 11:
        return bit(HIL_MQTT_PUBLISH) | bit(HIL_MQTT_SUBSCRIBE);
    case 17:
        return connect | connack | bit(HIL_MQTT_DISCONNECT);
    case 21:
    case 22:
        return connect | connack | bit(HIL_MQTT_AUTH);
    case 23:
    case 25:
        return connect;
    case 24:
        return bit(HIL_MQTT_WILL);
    case 28:
        return connack | bit(HIL_MQTT_DISCONNECT);
    case 31:
        return connack | acks | subs | bit(HIL_MQTT_DISCONNECT) | bit(HIL_MQTT_AUTH);
    case 33:
    case 34:
    case 39:
        return connect | connack;
    case 35:
        return bit(HIL_MQTT_PUBLISH);
    case 38:
        return ~0U;
    default: /* 18, 19, 26, 36, 37, 40, 41, 42 */
        return connack;
    }
}

static void check_properties(struct hil_mqtt_packet *p, struct hil_span list, unsigned where) {
    struct hil_property o;
    uint64_t seen = 0;
    int more;
    while ((more = hil_mqtt_property(&list, &o)) > 0) {
        bool repeat = (seen >> o.id & 1U) != 0;
        seen |= (uint64_t)1 << o.id;
        if ((allowed(o.id) & bit(where)) == 0) {
            p->malformed = "property that does not belong to this packet";
        } else if (repeat && o.id != 38 && !(o.id == 11 && where == HIL_MQTT_PUBLISH)) {
            p->malformed = "property given twice";
        }
        if (o.kind == HIL_PROPERTY_PAIR) {
            if ((hil_utf8_check(o.text) | hil_utf8_check(o.second)) & HIL_UTF8_BAD) {
                hil_mqtt_breach(p, HIL_RULE_USER_PROPERTY);
            }
        } else if (o.kind == HIL_PROPERTY_TEXT) {
            hil_mqtt_check_text(p, o.text,
                                o.id == 3   ? HIL_RULE_CONTENT_TYPE
                                : o.id == 8 ? HIL_RULE_RESPONSE_TOPIC_UTF8
                                            : HIL_RULE_UTF8);
        }
        if (o.id == 8 && o.text.n > 0 &&
            (memchr(o.text.p, '#', o.text.n) || memchr(o.text.p, '+', o.text.n))) {
            hil_mqtt_breach(p, HIL_RULE_RESPONSE_TOPIC);
        }
        if (o.id == 35 && o.number == 0) {
            hil_mqtt_breach(p, HIL_RULE_ALIAS_ZERO);
        }
        if (o.id == 11 && where == HIL_MQTT_PUBLISH && p->client) {
            hil_mqtt_breach(p, HIL_RULE_SUBSCRIPTION_ID);
        }
        if (o.id == 17 && where == HIL_MQTT_DISCONNECT && !p->client) {
            hil_mqtt_breach(p, HIL_RULE_DISCONNECT_EXPIRY);
        }
    }
    if (more < 0) {
        p->malformed = "properties";
    }
}

/* Property length and list. */
bool hil_mqtt_take_properties(struct hil_mqtt_packet *p, struct hil_span *b, struct hil_span *out,
                              unsigned where) {
    uint32_t n;
    if (b->n == 0 && !p->cut) {
        hil_mqtt_breach(p, HIL_RULE_PROPERTY_LENGTH);
        p->malformed = "no property length";
        return false;
    }
    int k = hil_mqtt_varint(b->p, b->n, &n);
    if (k > 1 && (n >> (7 * (k - 1))) == 0) {
        hil_mqtt_breach(p, HIL_RULE_VARINT);
    }
    if (k <= 0 || !hil_skip(b, (size_t)k) || !hil_take(b, n, out)) {
        p->malformed = "property length";
        return false;
    }
    check_properties(p, *out, where);
    return true;
}
