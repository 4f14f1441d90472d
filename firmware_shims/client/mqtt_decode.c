/* Packets a server sends, decoded strictly: whatever breaks a rule of the standard is refused, since a client
 * must then close the connection (3.1.1 section 4.8, 5.0 section 4.13).
 *
 * The first byte and the length are judged as soon as they are there, so that a hostile length needs no
 * memory and a forbidden packet is not waited for.
 */
#include "mqtt.h"

#include <string.h>

struct in {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static unsigned get_u8(struct in *in) {
    if (in->bad || in->left < 1) {
        in->bad = true;
        return 0;
    }
    in->left--;
    return *in->at++;
}

static unsigned get_u16(struct in *in) {
    unsigned high = get_u8(in);
    return (high << 8) | get_u8(in);
}

static uint32_t get_u32(struct in *in) {
    uint32_t high = get_u16(in);
    return (high << 16) | get_u16(in);
}

static struct hil_slice get_bytes(struct in *in, size_t len) {
    struct hil_slice slice = {in->at, len};
    if (in->bad || len > in->left) {
        in->bad = true;
        return (struct hil_slice){in->at, 0};
    }
    in->at += len;
    in->left -= len;
    return slice;
}

static struct hil_slice get_string(struct in *in) {
    struct hil_slice slice = get_bytes(in, get_u16(in));
    if (!in->bad && !hil_utf8_valid(slice.data, slice.len))
        in->bad = true;
    return slice;
}

/* 4 bytes at most, and the shortest form ([MQTT-1.5.5-1]; 3.1.1 allows longer ones in the fixed header only).
 */
static uint32_t get_varint(struct in *in) {
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        unsigned byte = get_u8(in);
        value |= (uint32_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            if (shift > 0 && byte == 0)
                in->bad = true;
            return value;
        }
    }
    in->bad = true;
    return 0;
}

/* Where a property may stand: one bit a packet type. */
#define IN(type) (1u << HIL_MQTT_##type)
#define ACKS     (IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP) | IN(SUBACK) | IN(UNSUBACK))
enum { BYTE, U16, U32, VARINT, STRING, BINARY, PAIR };
static const struct {
    uint8_t id, kind;
    uint16_t where;
} PROPERTIES[] = {
    {0x01, BYTE, IN(PUBLISH)},
    {0x02, U32, IN(PUBLISH)},
    {0x03, STRING, IN(PUBLISH)},
    {0x08, STRING, IN(PUBLISH)},
    {0x09, BINARY, IN(PUBLISH)},
    {0x0B, VARINT, IN(PUBLISH)},
    {0x11, U32, IN(CONNACK)}, /* in DISCONNECT a server must not send it ([MQTT-3.14.2-2]) */
    {0x12, STRING, IN(CONNACK)},
    {0x13, U16, IN(CONNACK)},
    {0x15, STRING, IN(CONNACK) | IN(AUTH)},
    {0x16, BINARY, IN(CONNACK) | IN(AUTH)},
    {0x1A, STRING, IN(CONNACK)},
    {0x1C, STRING, IN(CONNACK) | IN(DISCONNECT)},
    {0x1F, STRING, IN(CONNACK) | ACKS | IN(DISCONNECT) | IN(AUTH)},
    {0x21, U16, IN(CONNACK)},
    {0x22, U16, IN(CONNACK)},
    {0x23, U16, IN(PUBLISH)},
    {0x24, BYTE, IN(CONNACK)},
    {0x25, BYTE, IN(CONNACK)},
    {0x26, PAIR, IN(CONNACK) | IN(PUBLISH) | ACKS | IN(DISCONNECT) | IN(AUTH)},
    {0x27, U32, IN(CONNACK)},
    {0x28, BYTE, IN(CONNACK)},
    {0x29, BYTE, IN(CONNACK)},
    {0x2A, BYTE, IN(CONNACK)},
};

static void keep(struct hil_mqtt_properties *p, uint8_t id, uint32_t number, struct hil_slice text) {
    switch (id) {
    case 0x12:
        p->assigned_id = text;
        break;
    case 0x13:
        p->has_keepalive = true;
        p->keepalive = (uint16_t)number;
        break;
    case 0x15:
        p->auth_method = text;
        break;
    case 0x1F:
        p->reason = text;
        break;
    case 0x21:
        p->has_receive_maximum = true;
        p->receive_maximum = (uint16_t)number;
        break;
    case 0x23:
        p->has_alias = true;
        p->alias = (uint16_t)number;
        break;
    case 0x24:
        p->has_max_qos = true;
        p->max_qos = (uint8_t)number;
        break;
    case 0x25:
        p->has_retain_available = true;
        p->retain_available = (uint8_t)number;
        break;
    case 0x27:
        p->has_max_packet = true;
        p->max_packet = number;
        break;
    default:
        break;
    }
}

/* Values the standard calls a protocol error. */
static bool value_allowed(uint8_t id, uint32_t number, struct hil_slice text) {
    switch (id) {
    case 0x01: /* payload format indicator */
    case 0x24: /* maximum QoS: 0 or 1 */
    case 0x25:
    case 0x28:
    case 0x29:
    case 0x2A:
        return number <= 1;
    case 0x0B: /* subscription identifier */
    case 0x21: /* receive maximum */
    case 0x23: /* topic alias */
    case 0x27: /* maximum packet size */
        return number != 0;
    case 0x08: /* response topic */
        return hil_mqtt_check_topic(text) == 0;
    default:
        return true;
    }
}

static int properties(struct in *in, enum hil_mqtt_type type, struct hil_mqtt_properties *out) {
    uint32_t len = get_varint(in), seen = 0;
    struct hil_slice block = get_bytes(in, len);
    if (in->bad)
        return HIL_MQTT_E_MALFORMED;
    struct in p = {block.data, block.len, false};
    while (p.left > 0) {
        uint8_t id = (uint8_t)get_u8(&p);
        size_t row = 0, rows = sizeof PROPERTIES / sizeof *PROPERTIES;
        while (row < rows && PROPERTIES[row].id != id)
            row++;
        if (row == rows)
            return HIL_MQTT_E_MALFORMED;
        if ((PROPERTIES[row].where & (1u << type)) == 0)
            return HIL_MQTT_E_PROTOCOL;
        /* Only user properties, and subscription identifiers of a PUBLISH, may come more than once. */
        if ((seen & (1u << row)) != 0 && PROPERTIES[row].kind != PAIR && id != 0x0B)
            return HIL_MQTT_E_PROTOCOL;
        seen |= 1u << row;
        uint32_t number = 0;
        struct hil_slice text = {NULL, 0};
        switch (PROPERTIES[row].kind) {
        case BYTE:
            number = get_u8(&p);
            break;
        case U16:
            number = get_u16(&p);
            break;
        case U32:
            number = get_u32(&p);
            break;
        case VARINT:
            number = get_varint(&p);
            break;
        case BINARY:
            text = get_bytes(&p, get_u16(&p));
            break;
        case PAIR:
            get_string(&p);
            text = get_string(&p);
            break;
        default:
            text = get_string(&p);
            break;
        }
        if (p.bad)
            return HIL_MQTT_E_MALFORMED;
        if (!value_allowed(id, number, text))
            return HIL_MQTT_E_PROTOCOL;
        keep(out, id, number, text);
    }
    return 0;
}

/* First byte of a packet a server may send at this level, flags included (tables 2.1 and 2.2 of both
 * standards). */
static int check_first(uint8_t first, unsigned level) {
    unsigned type = first >> 4, flags = first & 15u;
    switch (type) {
    case HIL_MQTT_PUBLISH: {
        unsigned qos = (flags >> 1) & 3;
        bool bad = qos == 3 || (qos == 0 && (flags & 8) != 0); /* [MQTT-3.3.1-4], [MQTT-3.3.1-2] */
        return bad ? HIL_MQTT_E_MALFORMED : 0;
    }
    case HIL_MQTT_PUBREL:
        return flags == 2 ? 0 : HIL_MQTT_E_MALFORMED;
    case HIL_MQTT_CONNACK:
    case HIL_MQTT_PUBACK:
    case HIL_MQTT_PUBREC:
    case HIL_MQTT_PUBCOMP:
    case HIL_MQTT_SUBACK:
    case HIL_MQTT_UNSUBACK:
    case HIL_MQTT_PINGRESP:
        return flags == 0 ? 0 : HIL_MQTT_E_MALFORMED;
    case HIL_MQTT_DISCONNECT:
    case HIL_MQTT_AUTH:
        if (level != 5)
            return HIL_MQTT_E_PROTOCOL;
        return flags == 0 ? 0 : HIL_MQTT_E_MALFORMED;
    default: /* 0, and what only a client sends */
        return type == 0 ? HIL_MQTT_E_MALFORMED : HIL_MQTT_E_PROTOCOL;
    }
}

static int connack(struct in *in, unsigned level, struct hil_mqtt_packet *packet) {
    unsigned flags = get_u8(in);
    packet->code = (uint8_t)get_u8(in);
    if (in->bad || flags > 1)
        return HIL_MQTT_E_MALFORMED;
    packet->session_present = flags == 1;
    if (level == 4 && packet->code > 5)
        return HIL_MQTT_E_MALFORMED; /* reserved for future use: table 3.1 */
    if (level == 5 && packet->code != 0 && packet->code < 0x80)
        return HIL_MQTT_E_MALFORMED;
    if (packet->code != 0 && packet->session_present)
        return HIL_MQTT_E_PROTOCOL; /* [MQTT-3.2.2-4], 5.0 [MQTT-3.2.2-6] */
    if (level == 5)
        return properties(in, HIL_MQTT_CONNACK, &packet->properties);
    return 0;
}

static int publish(struct in *in, unsigned level, unsigned flags, struct hil_mqtt_packet *packet) {
    packet->qos = (flags >> 1) & 3;
    packet->dup = (flags & 8) != 0;
    packet->retain = (flags & 1) != 0;
    packet->topic = get_string(in);
    if (packet->qos > 0)
        packet->id = (uint16_t)get_u16(in);
    if (in->bad || (packet->qos > 0 && packet->id == 0))
        return HIL_MQTT_E_MALFORMED;
    if (level == 5) {
        int rc = properties(in, HIL_MQTT_PUBLISH, &packet->properties);
        if (rc != 0)
            return rc;
    }
    bool by_alias = packet->topic.len == 0 && packet->properties.has_alias;
    if (!by_alias && hil_mqtt_check_topic(packet->topic) != 0)
        return packet->topic.len == 0 ? HIL_MQTT_E_PROTOCOL : HIL_MQTT_E_MALFORMED;
    packet->payload = get_bytes(in, in->left);
    return 0;
}

static int ack(struct in *in, unsigned level, struct hil_mqtt_packet *packet) {
    packet->id = (uint16_t)get_u16(in);
    if (in->bad || packet->id == 0)
        return HIL_MQTT_E_MALFORMED;
    if (packet->type == HIL_MQTT_SUBACK || packet->type == HIL_MQTT_UNSUBACK) {
        if (level == 5) {
            int rc = properties(in, packet->type, &packet->properties);
            if (rc != 0)
                return rc;
        }
        if (level == 4 && packet->type == HIL_MQTT_UNSUBACK)
            return 0;
        packet->codes = get_bytes(in, in->left);
        for (size_t i = 0; i < packet->codes.len; i++) {
            uint8_t code = packet->codes.data[i];
            bool known = packet->type == HIL_MQTT_UNSUBACK ? code == 0 || code == 0x11 : code <= 2;
            if (!known && !(level == 5 ? code >= 0x80 : code == 0x80))
                return HIL_MQTT_E_MALFORMED; /* [MQTT-3.9.3-2] */
        }
        return packet->codes.len > 0 ? 0 : HIL_MQTT_E_MALFORMED;
    }
    if (level == 5 && in->left > 0) {
        packet->code = (uint8_t)get_u8(in);
        if (packet->code != 0 && packet->code != 0x10 && packet->code < 0x80)
            return HIL_MQTT_E_MALFORMED;
        if (in->left > 0)
            return properties(in, packet->type, &packet->properties);
    }
    return 0;
}

static int decode_body(struct hil_mqtt_decoder *d, struct hil_mqtt_packet *packet) {
    struct in in = {d->buf + d->header, d->need - d->header, false};
    int rc = 0;
    memset(packet, 0, sizeof *packet);
    packet->type = (enum hil_mqtt_type)(d->buf[0] >> 4);
    packet->size = d->need;
    switch (packet->type) {
    case HIL_MQTT_CONNACK:
        rc = connack(&in, d->level, packet);
        break;
    case HIL_MQTT_PUBLISH:
        rc = publish(&in, d->level, d->buf[0] & 15u, packet);
        break;
    case HIL_MQTT_PINGRESP:
        break;
    case HIL_MQTT_DISCONNECT:
    case HIL_MQTT_AUTH:
        if (in.left > 0)
            packet->code = (uint8_t)get_u8(&in);
        if (in.left > 0)
            rc = properties(&in, packet->type, &packet->properties);
        break;
    default:
        rc = ack(&in, d->level, packet);
        break;
    }
    if (rc == 0 && (in.bad || in.left > 0))
        rc = HIL_MQTT_E_MALFORMED;
    return rc;
}

void hil_mqtt_decoder_init(struct hil_mqtt_decoder *decoder, uint8_t *buf, size_t cap, unsigned level) {
    memset(decoder, 0, sizeof *decoder);
    decoder->buf = buf;
    decoder->cap = cap;
    decoder->level = level;
}

/* One more byte of the fixed header has come. */
static int fixed_header(struct hil_mqtt_decoder *d) {
    if (d->have == 1)
        return check_first(d->buf[0], d->level);
    size_t digits = d->have - 1;
    uint8_t last = d->buf[digits];
    if ((last & 0x80) != 0)
        return digits == 4 ? HIL_MQTT_E_MALFORMED : 0;
    if (digits > 1 && last == 0 && d->level == 5)
        return HIL_MQTT_E_MALFORMED;
    size_t remaining = 0;
    for (size_t i = digits; i > 0; i--)
        remaining = (remaining << 7) | (d->buf[i] & 0x7Fu);
    d->header = d->have;
    d->need = d->have + remaining;
    return d->need > d->cap ? HIL_MQTT_E_TOO_LARGE : 0;
}

int hil_mqtt_decode(struct hil_mqtt_decoder *d, const uint8_t *data, size_t len, size_t *used,
                    struct hil_mqtt_packet *packet) {
    *used = 0;
    if (d->need != 0 && d->have == d->need)
        d->have = d->need = 0; /* the packet given out by the last call is over */
    while (*used < len && d->need == 0) {
        if (d->have >= d->cap)
            return HIL_MQTT_E_TOO_LARGE;
        d->buf[d->have++] = data[(*used)++];
        int rc = fixed_header(d);
        if (rc != 0)
            return rc;
    }
    if (d->need == 0)
        return 0;
    size_t n = d->need - d->have;
    n = n < len - *used ? n : len - *used;
    if (n > 0)
        memcpy(d->buf + d->have, data + *used, n);
    d->have += n;
    *used += n;
    if (d->have < d->need)
        return 0;
    int rc = decode_body(d, packet);
    return rc != 0 ? rc : 1;
}
