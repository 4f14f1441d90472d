/* MQTT 3.1.1 and 5.0, client side, with no I/O: bytes in, packets out, and the reverse.
 *
 * Encoders write one whole packet to `out` and return its length, or a negative HIL_MQTT_E_*: they refuse
 * what the standard forbids a client to send (ill-formed UTF-8, U+0000, wildcards in a topic name, strings
 * over 65535 bytes, packet id 0), before anything is written. `level` is 4 or 5 everywhere.
 *
 * The decoder takes bytes as they come, one at a time if need be, and answers with a packet, "more", or the
 * error for which the standard demands that the connection be closed. It knows packets, not sessions: whether
 * a packet was expected now is session.c's business. Memory is the caller's; nothing is allocated. Slices
 * point into the caller's buffers.
 */
#ifndef HIL_MQTT_H
#define HIL_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

enum {
    HIL_MQTT_E_SPACE = -1,        /* the packet does not fit into `cap` */
    HIL_MQTT_E_UTF8 = -2,         /* ill-formed UTF-8, a surrogate, or U+0000 */
    HIL_MQTT_E_LENGTH = -3,       /* a string over 65535 bytes, or a packet over 268435455 */
    HIL_MQTT_E_TOPIC = -4,        /* empty, a wildcard in a topic name, or a misplaced one in a filter */
    HIL_MQTT_E_ARGUMENT = -5,     /* QoS 3, packet id 0, password without user name at level 4, … */
    HIL_MQTT_E_MALFORMED = -0x81, /* negated MQTT 5 reason codes, so that DISCONNECT can say why */
    HIL_MQTT_E_PROTOCOL = -0x82,
    HIL_MQTT_E_TOO_LARGE = -0x95
};

struct hil_slice {
    const uint8_t *data; /* NULL: absent */
    size_t len;
};

/* A slice of a C string; NULL gives an absent one. */
struct hil_slice hil_slice_of(const char *string);

struct hil_mqtt_will {
    struct hil_slice topic, payload;
    unsigned qos;
    bool retain;
    uint32_t delay; /* s, level 5 */
};

struct hil_mqtt_connect {
    unsigned level;
    bool clean;
    uint16_t keepalive; /* s */
    struct hil_slice client_id, username, password;
    const struct hil_mqtt_will *will; /* NULL: none */
    uint32_t session_expiry;          /* s, level 5; 0 is not sent */
    uint32_t max_packet;              /* bytes, level 5; 0 is not sent */
};

int hil_mqtt_connect(uint8_t *out, size_t cap, const struct hil_mqtt_connect *connect);

struct hil_mqtt_publish {
    struct hil_slice topic, payload;
    unsigned qos;
    bool retain, dup;
    uint16_t id; /* QoS 1 and 2 */
};

int hil_mqtt_publish(uint8_t *out, size_t cap, unsigned level, const struct hil_mqtt_publish *publish);
int hil_mqtt_subscribe(uint8_t *out, size_t cap, unsigned level, uint16_t id, struct hil_slice filter,
                       unsigned qos);
int hil_mqtt_unsubscribe(uint8_t *out, size_t cap, unsigned level, uint16_t id, struct hil_slice filter);
/* PUBACK, PUBREC, PUBREL, PUBCOMP. A `reason` other than 0 is sent at level 5 only. */
int hil_mqtt_ack(uint8_t *out, size_t cap, unsigned level, enum hil_mqtt_type type, uint16_t id,
                 uint8_t reason);
int hil_mqtt_pingreq(uint8_t *out, size_t cap);
int hil_mqtt_disconnect(uint8_t *out, size_t cap, unsigned level, uint8_t reason);

/* What the client uses of the properties it reads; all are checked. */
struct hil_mqtt_properties {
    bool has_receive_maximum, has_max_qos, has_max_packet, has_keepalive, has_retain_available, has_alias;
    uint16_t receive_maximum, keepalive, alias;
    uint8_t max_qos, retain_available;
    uint32_t max_packet;
    struct hil_slice assigned_id, reason, auth_method;
};

struct hil_mqtt_packet {
    enum hil_mqtt_type type;
    size_t size;                     /* of the whole packet on the wire */
    uint16_t id;                     /* PUBLISH QoS > 0, acks */
    uint8_t code;                    /* CONNACK, PUBACK…, DISCONNECT, AUTH */
    bool session_present;            /* CONNACK */
    unsigned qos;                    /* PUBLISH */
    bool dup, retain;                /* PUBLISH */
    struct hil_slice topic, payload; /* PUBLISH */
    struct hil_slice codes;          /* SUBACK, UNSUBACK at level 5: one byte a filter */
    struct hil_mqtt_properties properties;
};

struct hil_mqtt_decoder {
    uint8_t *buf;
    size_t cap, have;
    size_t need;   /* whole packet, 0 until the fixed header is complete */
    size_t header; /* bytes of the fixed header */
    unsigned level;
};

void hil_mqtt_decoder_init(struct hil_mqtt_decoder *decoder, uint8_t *buf, size_t cap, unsigned level);

/* Takes bytes up to the end of one packet; *used says how many. 1: *packet is valid until the next call; 0:
 * more is needed; negative: close the connection (HIL_MQTT_E_MALFORMED, _PROTOCOL, _TOO_LARGE). */
int hil_mqtt_decode(struct hil_mqtt_decoder *decoder, const uint8_t *data, size_t len, size_t *used,
                    struct hil_mqtt_packet *packet);

/* Well-formed UTF-8 with neither U+0000 nor surrogates, as MQTT demands of every string. */
bool hil_utf8_valid(const uint8_t *data, size_t len);

/* 0, or the reason why a client must not use it: HIL_MQTT_E_LENGTH before a byte is read, _UTF8, _TOPIC. */
int hil_mqtt_check_topic(struct hil_slice topic);
int hil_mqtt_check_filter(struct hil_slice filter);

#endif
