/* One MQTT control packet, read without state: fields, properties, and what it breaks of the standard by
 * itself. */
#ifndef HIL_WIRE_MQTT_PACKET_H
#define HIL_WIRE_MQTT_PACKET_H

#include "bytes.h"

enum hil_mqtt_type {
    HIL_MQTT_CONNECT = 1,
    HIL_MQTT_CONNACK,
    HIL_MQTT_PUBLISH,
    HIL_MQTT_PUBACK,
    HIL_MQTT_PUBREC,
    HIL_MQTT_PUBREL,
    HIL_MQTT_PUBCOMP,
    HIL_MQTT_SUBSCRIBE,
    HIL_MQTT_SUBACK,
    HIL_MQTT_UNSUBSCRIBE,
    HIL_MQTT_UNSUBACK,
    HIL_MQTT_PINGREQ,
    HIL_MQTT_PINGRESP,
    HIL_MQTT_DISCONNECT,
    HIL_MQTT_AUTH
};

extern const char *const hil_mqtt_name[16];

/* Rules of the standard; HIL_RULES in mqtt_rules.h gives their numbers in 3.1.1 and 5.0 and their text. */
enum hil_rule {
#define X(name, v3, v5, text) HIL_RULE_##name,
#include "mqtt_rules.h"
#undef X
    HIL_RULE_COUNT
};

struct hil_rule_text {
    const char *v3, *v5, *text; /* NULL: that version has no such statement */
};
extern const struct hil_rule_text hil_rule_text[HIL_RULE_COUNT];

#define HIL_BREACHES_MAX 12
#define HIL_FILTERS_MAX  32
#define HIL_CODES_MAX    64

struct hil_filter {
    struct hil_span topic;
    uint8_t options;
};

struct hil_mqtt_packet {
    uint8_t type, flags, level; /* level: the version its rules are numbered in, 4 or 5 */
    uint8_t connect_level;      /* as CONNECT has it */
    bool client;                /* who sent it */
    bool cut;                   /* the body is longer than what is there */
    uint32_t len;               /* the whole packet */
    uint16_t id;
    bool has_id;
    /* CONNECT */
    struct hil_span protocol, client_id, username, password, will_topic, will_payload;
    uint8_t connect_flags;
    uint16_t keepalive;
    bool has_username, has_password, has_will;
    /* CONNACK, acknowledgements, DISCONNECT, AUTH */
    bool session_present, has_code;
    uint8_t code;
    struct hil_span codes; /* SUBACK, UNSUBACK */
    /* PUBLISH */
    struct hil_span topic;
    uint32_t payload_len;
    /* SUBSCRIBE, UNSUBSCRIBE */
    struct hil_filter filter[HIL_FILTERS_MAX];
    size_t filter_n, filter_more;
    /* MQTT 5 */
    bool has_properties, has_will_properties;
    struct hil_span properties, will_properties;
    const char *malformed;
    uint8_t breach[HIL_BREACHES_MAX];
    size_t breach_n;
};

/* `first` is the packet's first byte, `body` what follows the remaining length; `level` the connection's
 * version. */
void hil_mqtt_parse(uint8_t first, struct hil_span body, uint32_t remaining, uint8_t level, bool client,
                    struct hil_mqtt_packet *p);
void hil_mqtt_breach(struct hil_mqtt_packet *p, enum hil_rule rule);

enum hil_property_kind {
    HIL_PROPERTY_BYTE,
    HIL_PROPERTY_U16,
    HIL_PROPERTY_U32,
    HIL_PROPERTY_VARINT,
    HIL_PROPERTY_TEXT,
    HIL_PROPERTY_BINARY,
    HIL_PROPERTY_PAIR
};

struct hil_property {
    uint8_t id;
    const char *name;
    enum hil_property_kind kind;
    uint32_t number;
    struct hil_span text, second;
};

/* Next property: 1, 0 at the end, -1 malformed or unknown. */
int hil_mqtt_property(struct hil_span *list, struct hil_property *out);
/* First property with that id, if there is one. */
bool hil_mqtt_find_property(struct hil_span list, uint8_t id, struct hil_property *out);
/* Variable byte integer: its length in bytes, 0 when more bytes are needed, -1 malformed. */
int hil_mqtt_varint(const uint8_t *p, size_t n, uint32_t *v);

#endif
