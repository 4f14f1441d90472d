#include "mqtt_packet.h"

#include "mqtt_check.h"

const char *const hil_mqtt_name[16] = {
    "RESERVED",  "CONNECT", "CONNACK",     "PUBLISH",  "PUBACK",  "PUBREC",   "PUBREL",     "PUBCOMP",
    "SUBSCRIBE", "SUBACK",  "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
};

const struct hil_rule_text hil_rule_text[HIL_RULE_COUNT] = {
#define X(name, v3, v5, text) {v3, v5, text},
#include "mqtt_rules.h"
#undef X
};

void hil_mqtt_breach(struct hil_mqtt_packet *p, enum hil_rule rule) {
    const struct hil_rule_text *r = &hil_rule_text[rule];
    if ((p->level >= 5 ? r->v5 : r->v3) == NULL) {
        return;
    }
    for (size_t i = 0; i < p->breach_n; i++) {
        if (p->breach[i] == rule) {
            return;
        }
    }
    if (p->breach_n < HIL_BREACHES_MAX) {
        p->breach[p->breach_n++] = (uint8_t)rule;
    }
}

static void connect_flags(struct hil_mqtt_packet *p) {
    uint8_t f = p->connect_flags;
    p->has_will = (f & 4U) != 0;
    p->has_username = (f & 0x80U) != 0;
    p->has_password = (f & 0x40U) != 0;
    if ((f & 1U) != 0) {
        hil_mqtt_breach(p, HIL_RULE_CONNECT_RESERVED);
    }
    if (!p->has_will && (f & 0x18U) != 0) {
        hil_mqtt_breach(p, HIL_RULE_WILL_QOS_UNUSED);
    }
    if (!p->has_will && (f & 0x20U) != 0) {
        hil_mqtt_breach(p, HIL_RULE_WILL_RETAIN_UNUSED);
    }
    if (p->has_will && (f & 0x18U) == 0x18U) {
        hil_mqtt_breach(p, HIL_RULE_WILL_QOS_3);
    }
    if (p->has_password && !p->has_username) {
        hil_mqtt_breach(p, HIL_RULE_PASSWORD_ALONE);
    }
}

static void connect_payload(struct hil_mqtt_packet *p, struct hil_span b) {
    if (!hil_vec16(&b, &p->client_id)) {
        p->malformed = "client identifier";
        hil_mqtt_breach(p, HIL_RULE_CLIENT_ID_PRESENT);
        return;
    }
    hil_mqtt_check_text(p, p->client_id, HIL_RULE_CLIENT_ID_UTF8);
    if (p->client_id.n == 0 && p->connect_level == 4 && (p->connect_flags & 2U) == 0) {
        hil_mqtt_breach(p, HIL_RULE_EMPTY_CLIENT_ID);
    }
    if (p->has_will) {
        if (p->level >= 5) {
            p->has_will_properties = hil_mqtt_take_properties(p, &b, &p->will_properties, HIL_MQTT_WILL);
        }
        if (!hil_vec16(&b, &p->will_topic) || !hil_vec16(&b, &p->will_payload)) {
            p->malformed = "will";
            hil_mqtt_breach(p, HIL_RULE_WILL_PRESENT);
            return;
        }
        hil_mqtt_check_topic(p, p->will_topic, HIL_RULE_WILL_TOPIC_UTF8);
        if (p->will_topic.n == 0) {
            hil_mqtt_breach(p, HIL_RULE_TOPIC_EMPTY);
        }
    }
    if (p->has_username) {
        if (!hil_vec16(&b, &p->username)) {
            p->malformed = "user name";
            hil_mqtt_breach(p, HIL_RULE_USERNAME_PRESENT);
            return;
        }
        hil_mqtt_check_text(p, p->username, HIL_RULE_USERNAME_UTF8);
    }
    if (p->has_password && !hil_vec16(&b, &p->password)) {
        p->malformed = "password";
        hil_mqtt_breach(p, HIL_RULE_PASSWORD_PRESENT);
        return;
    }
    if (b.n > 0) {
        p->malformed = "bytes after the payload";
        hil_mqtt_breach(p, HIL_RULE_CONNECT_ORDER);
    }
}

static void parse_connect(struct hil_mqtt_packet *p, struct hil_span b) {
    p->level = 4; /* until it says otherwise: rules need a version to be numbered in */
    if (!hil_vec16(&b, &p->protocol) || !hil_u8(&b, &p->connect_level)) {
        p->malformed = "protocol name";
        return;
    }
    uint8_t level = p->connect_level;
    p->level = level == 5 ? 5 : 4;
    bool mqtt = p->protocol.n == 4 && memcmp(p->protocol.p, "MQTT", 4) == 0;
    bool old = p->protocol.n == 6 && memcmp(p->protocol.p, "MQIsdp", 6) == 0;
    bool known =
        (mqtt && (level == 4 || level == 5 || level == 0x84)) || (old && (level == 3 || level == 0x83));
    if (!mqtt && !old) {
        hil_mqtt_breach(p, HIL_RULE_PROTOCOL_NAME);
    } else if (!known) {
        hil_mqtt_breach(p, HIL_RULE_PROTOCOL_LEVEL);
    }
    if (!hil_u8(&b, &p->connect_flags) || !hil_u16(&b, &p->keepalive)) {
        p->malformed = "connect flags";
        return;
    }
    connect_flags(p);
    if (p->level >= 5) {
        p->has_properties = hil_mqtt_take_properties(p, &b, &p->properties, HIL_MQTT_CONNECT);
        if (!p->has_properties) {
            return;
        }
    }
    connect_payload(p, b);
}

/* Whether a code is in the list. */
static bool one_of(uint8_t code, const uint8_t *list, size_t n) {
    return memchr(list, code, n) != NULL;
}

static void parse_connack(struct hil_mqtt_packet *p, struct hil_span b) {
    uint8_t flags;
    static const uint8_t codes[] = {0,    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
                                    0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f};
    if (!hil_u8(&b, &flags) || !hil_u8(&b, &p->code)) {
        p->malformed = "too short";
        return;
    }
    p->has_code = true;
    p->session_present = (flags & 1U) != 0;
    if ((flags & 0xfeU) != 0) {
        hil_mqtt_breach(p, HIL_RULE_CONNACK_FLAGS);
    }
    if (p->code != 0 && p->session_present) {
        hil_mqtt_breach(p, HIL_RULE_SESSION_PRESENT);
    }
    if (p->level >= 5) {
        if (!one_of(p->code, codes, sizeof codes)) {
            hil_mqtt_breach(p, HIL_RULE_CONNACK_CODE);
        }
        p->has_properties = hil_mqtt_take_properties(p, &b, &p->properties, HIL_MQTT_CONNACK);
    }
    if (b.n > 0 && p->malformed == NULL) {
        p->malformed = "too long";
    }
}

static void parse_publish(struct hil_mqtt_packet *p, struct hil_span b, uint32_t remaining) {
    uint8_t qos = p->flags >> 1 & 3U;
    const uint8_t *start = b.p;
    if (qos == 3) {
        hil_mqtt_breach(p, HIL_RULE_QOS_3);
    }
    if (qos == 0 && (p->flags & 8U) != 0) {
        hil_mqtt_breach(p, HIL_RULE_DUP_QOS0);
    }
    if (!hil_vec16(&b, &p->topic)) {
        p->malformed = "topic name";
        return;
    }
    hil_mqtt_check_topic(p, p->topic, HIL_RULE_TOPIC_UTF8);
    if (p->topic.n > 0 && (memchr(p->topic.p, '#', p->topic.n) || memchr(p->topic.p, '+', p->topic.n))) {
        hil_mqtt_breach(p, HIL_RULE_TOPIC_WILDCARD);
    }
    if (qos > 0) {
        p->has_id = hil_u16(&b, &p->id);
        if (!p->has_id) {
            p->malformed = "packet identifier";
            return;
        }
    }
    if (p->level >= 5) {
        p->has_properties = hil_mqtt_take_properties(p, &b, &p->properties, HIL_MQTT_PUBLISH);
        if (!p->has_properties) {
            return;
        }
    }
    struct hil_property alias;
    if (p->topic.n == 0 && !(p->has_properties && hil_mqtt_find_property(p->properties, 35, &alias))) {
        hil_mqtt_breach(p, HIL_RULE_TOPIC_EMPTY);
    }
    p->payload_len = remaining - (uint32_t)(b.p - start);
}

static void ack_code(struct hil_mqtt_packet *p) {
    static const uint8_t received[] = {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};
    static const uint8_t released[] = {0, 0x92};
    switch (p->type) {
    case HIL_MQTT_PUBACK:
        if (!one_of(p->code, received, sizeof received)) {
            hil_mqtt_breach(p, HIL_RULE_PUBACK_CODE);
        }
        break;
    case HIL_MQTT_PUBREC:
        if (!one_of(p->code, received, sizeof received)) {
            hil_mqtt_breach(p, HIL_RULE_PUBREC_CODE);
        }
        break;
    case HIL_MQTT_PUBREL:
        if (!one_of(p->code, released, sizeof released)) {
            hil_mqtt_breach(p, HIL_RULE_PUBREL_CODE);
        }
        break;
    default:
        if (!one_of(p->code, released, sizeof released)) {
            hil_mqtt_breach(p, HIL_RULE_PUBCOMP_CODE);
        }
        break;
    }
}

static void parse_ack(struct hil_mqtt_packet *p, struct hil_span b) {
    p->has_id = hil_u16(&b, &p->id);
    if (!p->has_id) {
        p->malformed = "packet identifier";
        return;
    }
    if (p->level >= 5 && b.n > 0) {
        p->has_code = hil_u8(&b, &p->code);
        ack_code(p);
        if (b.n > 0) {
            p->has_properties = hil_mqtt_take_properties(p, &b, &p->properties, p->type);
        }
    }
    if (b.n > 0 && p->malformed == NULL) {
        p->malformed = "too long";
    }
}

static bool id_and_properties(struct hil_mqtt_packet *p, struct hil_span *b) {
    p->has_id = hil_u16(b, &p->id);
    if (!p->has_id) {
        p->malformed = "packet identifier";
        return false;
    }
    if (p->level >= 5) {
        p->has_properties = hil_mqtt_take_properties(p, b, &p->properties, p->type);
        return p->has_properties;
    }
    return true;
}

static void subscribe_options(struct hil_mqtt_packet *p, uint8_t o) {
    uint8_t reserved = p->level >= 5 ? 0xc0U : 0xfcU;
    if ((o & reserved) != 0 || (o & 3U) == 3 || (p->level >= 5 && (o >> 4 & 3U) == 3)) {
        hil_mqtt_breach(p, HIL_RULE_SUBSCRIBE_OPTIONS);
    }
}

static void parse_filters(struct hil_mqtt_packet *p, struct hil_span b) {
    bool sub = p->type == HIL_MQTT_SUBSCRIBE;
    if (!id_and_properties(p, &b)) {
        return;
    }
    if (b.n == 0 && !p->cut) {
        hil_mqtt_breach(p, sub ? HIL_RULE_SUBSCRIBE_EMPTY : HIL_RULE_UNSUBSCRIBE_EMPTY);
    }
    while (b.n > 0) {
        struct hil_filter f = {{NULL, 0}, 0};
        if (!hil_vec16(&b, &f.topic) || (sub && !hil_u8(&b, &f.options))) {
            p->malformed = "topic filter";
            return;
        }
        hil_mqtt_check_filter(p, &f, sub ? HIL_RULE_FILTER_UTF8 : HIL_RULE_UNFILTER_UTF8);
        if (sub) {
            subscribe_options(p, f.options);
        }
        if (p->filter_n < HIL_FILTERS_MAX) {
            p->filter[p->filter_n++] = f;
        } else {
            p->filter_more++;
        }
    }
}

static void parse_suback(struct hil_mqtt_packet *p, struct hil_span b) {
    static const uint8_t sub5[] = {0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2};
    static const uint8_t sub3[] = {0, 1, 2, 0x80};
    static const uint8_t unsub5[] = {0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91};
    bool sub = p->type == HIL_MQTT_SUBACK;
    if (!id_and_properties(p, &b)) {
        return;
    }
    if (!sub && p->level < 5) {
        if (b.n > 0) {
            p->malformed = "too long";
        }
        return;
    }
    p->codes = b;
    for (size_t i = 0; i < b.n; i++) {
        bool ok = !sub            ? one_of(b.p[i], unsub5, sizeof unsub5)
                  : p->level >= 5 ? one_of(b.p[i], sub5, sizeof sub5)
                                  : one_of(b.p[i], sub3, sizeof sub3);
        if (!ok) {
            hil_mqtt_breach(p, sub ? HIL_RULE_SUBACK_CODE : HIL_RULE_UNSUBACK_CODE);
        }
    }
    if (b.n == 0 && !p->cut) {
        p->malformed = "no codes";
    }
}

static void disconnect_code(struct hil_mqtt_packet *p) {
    static const uint8_t both[] = {0, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99};
    static const uint8_t server[] = {0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x9a, 0x9b,
                                     0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2};
    bool ok = one_of(p->code, both, sizeof both) ||
              (p->client ? p->code == 4 : one_of(p->code, server, sizeof server));
    if (!ok) {
        hil_mqtt_breach(p, HIL_RULE_DISCONNECT_CODE);
    }
}

static void parse_end(struct hil_mqtt_packet *p, struct hil_span b) {
    if (p->level < 5) {
        if (b.n > 0) {
            p->malformed = "too long";
        }
        return;
    }
    if (b.n == 0) {
        return; /* reason code 0 is meant */
    }
    p->has_code = hil_u8(&b, &p->code);
    if (p->type == HIL_MQTT_DISCONNECT) {
        disconnect_code(p);
    } else if (p->code != 0 && p->code != 0x18 && p->code != 0x19) {
        hil_mqtt_breach(p, HIL_RULE_AUTH_CODE);
    }
    if (b.n > 0) {
        p->has_properties = hil_mqtt_take_properties(p, &b, &p->properties, p->type);
    }
    if (b.n > 0 && p->malformed == NULL) {
        p->malformed = "too long";
    }
}

/* Flags of the fixed header: fixed for every type but PUBLISH. */
static void check_flags(struct hil_mqtt_packet *p) {
    uint8_t want =
        p->type == HIL_MQTT_PUBREL || p->type == HIL_MQTT_SUBSCRIBE || p->type == HIL_MQTT_UNSUBSCRIBE;
    want = (uint8_t)(want * 2U);
    if (p->type == HIL_MQTT_PUBLISH || p->flags == want) {
        return;
    }
    hil_mqtt_breach(p, HIL_RULE_RESERVED_FLAGS);
    switch (p->type) {
    case HIL_MQTT_PUBREL:
        hil_mqtt_breach(p, HIL_RULE_PUBREL_FLAGS);
        break;
    case HIL_MQTT_SUBSCRIBE:
        hil_mqtt_breach(p, HIL_RULE_SUBSCRIBE_FLAGS);
        break;
    case HIL_MQTT_UNSUBSCRIBE:
        hil_mqtt_breach(p, HIL_RULE_UNSUBSCRIBE_FLAGS);
        break;
    case HIL_MQTT_DISCONNECT:
        hil_mqtt_breach(p, HIL_RULE_DISCONNECT_FLAGS);
        break;
    case HIL_MQTT_AUTH:
        hil_mqtt_breach(p, HIL_RULE_AUTH_FLAGS);
        break;
    default:
        break;
    }
}

void hil_mqtt_parse(uint8_t first, struct hil_span body, uint32_t remaining, uint8_t level, bool client,
                    struct hil_mqtt_packet *p) {
    /* The filter list is long and its count says how much of it holds. */
    memset(p, 0, offsetof(struct hil_mqtt_packet, filter));
    memset(&p->filter_n, 0, sizeof *p - offsetof(struct hil_mqtt_packet, filter_n));
    p->type = first >> 4;
    p->flags = first & 15U;
    p->level = level != 0 ? level : 4;
    p->client = client;
    p->cut = body.n < remaining;
    switch (p->type) {
    case HIL_MQTT_CONNECT:
        parse_connect(p, body);
        break;
    case HIL_MQTT_CONNACK:
        parse_connack(p, body);
        break;
    case HIL_MQTT_PUBLISH:
        parse_publish(p, body, remaining);
        break;
    case HIL_MQTT_PUBACK:
    case HIL_MQTT_PUBREC:
    case HIL_MQTT_PUBREL:
    case HIL_MQTT_PUBCOMP:
        parse_ack(p, body);
        break;
    case HIL_MQTT_SUBSCRIBE:
    case HIL_MQTT_UNSUBSCRIBE:
        parse_filters(p, body);
        break;
    case HIL_MQTT_SUBACK:
    case HIL_MQTT_UNSUBACK:
        parse_suback(p, body);
        break;
    case HIL_MQTT_PINGREQ:
    case HIL_MQTT_PINGRESP:
        p->malformed = remaining != 0 ? "too long" : NULL;
        break;
    case HIL_MQTT_DISCONNECT:
        parse_end(p, body);
        break;
    case HIL_MQTT_AUTH:
        if (p->level < 5) {
            p->malformed = "packet type not in this version";
            break;
        }
        parse_end(p, body);
        break;
    default:
        p->malformed = "packet type 0";
        return;
    }
    if (p->cut && p->malformed != NULL) {
        p->malformed = NULL; /* what is missing was not captured or not kept, the packet may be whole */
    }
    check_flags(p);
    bool needs_id = p->type == HIL_MQTT_SUBSCRIBE || p->type == HIL_MQTT_UNSUBSCRIBE ||
                    (p->type == HIL_MQTT_PUBLISH && p->has_id);
    if (needs_id && p->has_id && p->id == 0) {
        hil_mqtt_breach(p, client ? HIL_RULE_ID_ZERO : HIL_RULE_ID_ZERO_SERVER);
    }
}
