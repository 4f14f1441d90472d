#include "mqtt_packet.h"

#include "utf8.h"

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

/* ---- properties ---- */

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
#define WILL 16U

/* Packet types a property may stand in (MQTT 5, table 2-4); bit WILL: will properties. */
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
        return bit(HIL_MQTT_PUBLISH) | bit(WILL);
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
        return bit(WILL);
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

static void check_text(struct hil_mqtt_packet *p, struct hil_span s, enum hil_rule rule);

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
            check_text(p, o.text,
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
static bool take_properties(struct hil_mqtt_packet *p, struct hil_span *b, struct hil_span *out,
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

/* ---- strings ---- */

static void check_text(struct hil_mqtt_packet *p, struct hil_span s, enum hil_rule rule) {
    unsigned bits = hil_utf8_check(s);
    if ((bits & HIL_UTF8_BAD) != 0) {
        hil_mqtt_breach(p, HIL_RULE_UTF8);
        hil_mqtt_breach(p, rule);
    }
    if ((bits & HIL_UTF8_NUL) != 0) {
        hil_mqtt_breach(p, HIL_RULE_UTF8_NUL);
    }
}

static void check_topic(struct hil_mqtt_packet *p, struct hil_span s, enum hil_rule rule) {
    check_text(p, s, rule);
    if (s.n > 0 && memchr(s.p, 0, s.n) != NULL) {
        hil_mqtt_breach(p, HIL_RULE_TOPIC_NUL);
    }
}

/* Wildcards of a filter: # only alone in the last level, + only alone in a level. */
static void check_wildcards(struct hil_mqtt_packet *p, struct hil_span s) {
    for (size_t i = 0; i < s.n; i++) {
        bool start = i == 0 || s.p[i - 1] == '/';
        bool end = i + 1 == s.n;
        if (s.p[i] == '#' && !(start && end)) {
            hil_mqtt_breach(p, HIL_RULE_FILTER_HASH);
        }
        if (s.p[i] == '+' && !(start && (end || s.p[i + 1] == '/'))) {
            hil_mqtt_breach(p, HIL_RULE_FILTER_PLUS);
        }
    }
}

static void check_filter(struct hil_mqtt_packet *p, const struct hil_filter *f, enum hil_rule utf8) {
    static const char share[] = "$share/";
    struct hil_span t = f->topic;
    check_topic(p, t, utf8);
    if (t.n == 0) {
        hil_mqtt_breach(p, HIL_RULE_TOPIC_EMPTY);
        return;
    }
    bool shared = p->level >= 5 && t.n >= sizeof share - 1 && memcmp(t.p, share, sizeof share - 1) == 0;
    if (shared) {
        hil_skip(&t, sizeof share - 1);
        size_t n = 0;
        while (n < t.n && t.p[n] != '/') {
            if (t.p[n] == '+' || t.p[n] == '#') {
                hil_mqtt_breach(p, HIL_RULE_SHARE_FORM);
            }
            n++;
        }
        if (n == 0) {
            hil_mqtt_breach(p, HIL_RULE_SHARE_NAME);
        } else if (n + 1 >= t.n) {
            hil_mqtt_breach(p, HIL_RULE_SHARE_FORM);
        }
        if (p->type == HIL_MQTT_SUBSCRIBE && (f->options & 4U) != 0) {
            hil_mqtt_breach(p, HIL_RULE_SHARED_NO_LOCAL);
        }
        hil_skip(&t, n < t.n ? n + 1 : n);
    }
    check_wildcards(p, t);
}

/* ---- packets ---- */

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
    check_text(p, p->client_id, HIL_RULE_CLIENT_ID_UTF8);
    if (p->client_id.n == 0 && p->connect_level == 4 && (p->connect_flags & 2U) == 0) {
        hil_mqtt_breach(p, HIL_RULE_EMPTY_CLIENT_ID);
    }
    if (p->has_will) {
        if (p->level >= 5) {
            p->has_will_properties = take_properties(p, &b, &p->will_properties, WILL);
        }
        if (!hil_vec16(&b, &p->will_topic) || !hil_vec16(&b, &p->will_payload)) {
            p->malformed = "will";
            hil_mqtt_breach(p, HIL_RULE_WILL_PRESENT);
            return;
        }
        check_topic(p, p->will_topic, HIL_RULE_WILL_TOPIC_UTF8);
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
        check_text(p, p->username, HIL_RULE_USERNAME_UTF8);
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
        p->has_properties = take_properties(p, &b, &p->properties, HIL_MQTT_CONNECT);
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
        p->has_properties = take_properties(p, &b, &p->properties, HIL_MQTT_CONNACK);
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
    check_topic(p, p->topic, HIL_RULE_TOPIC_UTF8);
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
        p->has_properties = take_properties(p, &b, &p->properties, HIL_MQTT_PUBLISH);
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
            p->has_properties = take_properties(p, &b, &p->properties, p->type);
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
        p->has_properties = take_properties(p, b, &p->properties, p->type);
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
        check_filter(p, &f, sub ? HIL_RULE_FILTER_UTF8 : HIL_RULE_UNFILTER_UTF8);
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
        p->has_properties = take_properties(p, &b, &p->properties, p->type);
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
