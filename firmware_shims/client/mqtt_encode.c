/* Packets a client sends. The body is measured first, so that the fixed header can be written in front of it.
 */
#include "mqtt.h"

#include <string.h>

#define MAX_REMAINING 268435455u

struct out {
    uint8_t *at;
    size_t left;
    bool full;
};

static void put_bytes(struct out *out, const void *data, size_t len) {
    if (out->full || len > out->left) {
        out->full = true;
        return;
    }
    if (len > 0)
        memcpy(out->at, data, len);
    out->at += len;
    out->left -= len;
}

static void put_u8(struct out *out, unsigned value) {
    uint8_t byte = (uint8_t)value;
    put_bytes(out, &byte, 1);
}

static void put_u16(struct out *out, unsigned value) {
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put_bytes(out, bytes, sizeof bytes);
}

static void put_u32(struct out *out, uint32_t value) {
    put_u16(out, (unsigned)(value >> 16));
    put_u16(out, (unsigned)(value & 0xFFFF));
}

static void put_varint(struct out *out, size_t value) {
    do {
        unsigned byte = (unsigned)(value & 0x7F);
        value >>= 7;
        put_u8(out, byte | (value != 0 ? 0x80u : 0));
    } while (value != 0);
}

static void put_string(struct out *out, struct hil_slice string) {
    put_u16(out, (unsigned)string.len);
    put_bytes(out, string.data, string.len);
}

/* Fixed header; the caller then writes exactly `remaining` bytes. */
static struct out begin(uint8_t *buf, size_t cap, unsigned first, size_t remaining) {
    struct out out = {buf, cap, remaining > MAX_REMAINING};
    put_u8(&out, first);
    put_varint(&out, remaining);
    return out;
}

static int finish(const struct out *out, const uint8_t *buf) {
    return out->full ? HIL_MQTT_E_SPACE : (int)(out->at - buf);
}

static int check_text(struct hil_slice text) {
    if (text.len > 65535)
        return HIL_MQTT_E_LENGTH;
    return hil_utf8_valid(text.data, text.len) ? 0 : HIL_MQTT_E_UTF8;
}

static int check_connect(const struct hil_mqtt_connect *c) {
    int rc;
    if (c->level != 4 && c->level != 5)
        return HIL_MQTT_E_ARGUMENT;
    if (c->level == 4 && c->password.data != NULL && c->username.data == NULL)
        return HIL_MQTT_E_ARGUMENT; /* [MQTT-3.1.2-22] */
    if (c->level == 4 && c->client_id.len == 0 && !c->clean)
        return HIL_MQTT_E_ARGUMENT; /* [MQTT-3.1.3-7] */
    if (c->password.len > 65535)
        return HIL_MQTT_E_LENGTH;
    if ((rc = check_text(c->client_id)) != 0 || (rc = check_text(c->username)) != 0)
        return rc;
    if (c->will != NULL) {
        if (c->will->qos > 2)
            return HIL_MQTT_E_ARGUMENT;
        if (c->will->payload.len > 65535)
            return HIL_MQTT_E_LENGTH;
        return hil_mqtt_check_topic(c->will->topic);
    }
    return 0;
}

int hil_mqtt_connect(uint8_t *buf, size_t cap, const struct hil_mqtt_connect *c) {
    int rc = check_connect(c);
    if (rc != 0)
        return rc;
    const struct hil_mqtt_will *will = c->will;
    size_t properties = (c->session_expiry != 0 ? 5u : 0) + (c->max_packet != 0 ? 5u : 0);
    size_t will_properties = will != NULL && will->delay != 0 ? 5u : 0;
    size_t remaining = 10 + 2 + c->client_id.len;
    unsigned flags = c->clean ? 0x02u : 0;
    if (c->level == 5)
        remaining += 1 + properties;
    if (will != NULL) {
        flags |= 0x04u | (will->qos << 3) | (will->retain ? 0x20u : 0);
        remaining += 4 + will->topic.len + will->payload.len + (c->level == 5 ? 1 + will_properties : 0);
    }
    if (c->username.data != NULL) {
        flags |= 0x80u;
        remaining += 2 + c->username.len;
    }
    if (c->password.data != NULL) {
        flags |= 0x40u;
        remaining += 2 + c->password.len;
    }
    struct out out = begin(buf, cap, HIL_MQTT_CONNECT << 4, remaining);
    put_string(&out, hil_slice_of("MQTT"));
    put_u8(&out, c->level);
    put_u8(&out, flags);
    put_u16(&out, c->keepalive);
    if (c->level == 5) {
        put_varint(&out, properties);
        if (c->session_expiry != 0) {
            put_u8(&out, 0x11);
            put_u32(&out, c->session_expiry);
        }
        if (c->max_packet != 0) {
            put_u8(&out, 0x27);
            put_u32(&out, c->max_packet);
        }
    }
    put_string(&out, c->client_id);
    if (will != NULL) {
        if (c->level == 5) {
            put_varint(&out, will_properties);
            if (will_properties != 0) {
                put_u8(&out, 0x18);
                put_u32(&out, will->delay);
            }
        }
        put_string(&out, will->topic);
        put_string(&out, will->payload);
    }
    if (c->username.data != NULL)
        put_string(&out, c->username);
    if (c->password.data != NULL)
        put_string(&out, c->password);
    return finish(&out, buf);
}

int hil_mqtt_publish(uint8_t *buf, size_t cap, unsigned level, const struct hil_mqtt_publish *p) {
    int rc = hil_mqtt_check_topic(p->topic);
    if (rc != 0)
        return rc;
    if (p->qos > 2 || (p->qos > 0) != (p->id != 0) || (p->qos == 0 && p->dup))
        return HIL_MQTT_E_ARGUMENT; /* [MQTT-2.3.1-1], [MQTT-2.3.1-5], [MQTT-3.3.1-2], [MQTT-3.3.1-4] */
    if (p->payload.len > MAX_REMAINING - 65544u)
        return HIL_MQTT_E_LENGTH;
    size_t remaining = 2 + p->topic.len + (p->qos > 0 ? 2u : 0) + (level == 5 ? 1u : 0) + p->payload.len;
    unsigned flags = (p->dup ? 8u : 0) | (p->qos << 1) | (p->retain ? 1u : 0);
    struct out out = begin(buf, cap, (HIL_MQTT_PUBLISH << 4) | flags, remaining);
    put_string(&out, p->topic);
    if (p->qos > 0)
        put_u16(&out, p->id);
    if (level == 5)
        put_u8(&out, 0);
    put_bytes(&out, p->payload.data, p->payload.len);
    return finish(&out, buf);
}

int hil_mqtt_subscribe(uint8_t *buf, size_t cap, unsigned level, uint16_t id, struct hil_slice filter,
                       unsigned qos) {
    int rc = hil_mqtt_check_filter(filter);
    if (rc != 0)
        return rc;
    if (id == 0 || qos > 2)
        return HIL_MQTT_E_ARGUMENT;
    struct out out = begin(buf, cap, 0x82, 2 + (level == 5 ? 1u : 0) + 2 + filter.len + 1);
    put_u16(&out, id);
    if (level == 5)
        put_u8(&out, 0);
    put_string(&out, filter);
    put_u8(&out, qos);
    return finish(&out, buf);
}

int hil_mqtt_unsubscribe(uint8_t *buf, size_t cap, unsigned level, uint16_t id, struct hil_slice filter) {
    int rc = hil_mqtt_check_filter(filter);
    if (rc != 0)
        return rc;
    if (id == 0)
        return HIL_MQTT_E_ARGUMENT;
    struct out out = begin(buf, cap, 0xA2, 2 + (level == 5 ? 1u : 0) + 2 + filter.len);
    put_u16(&out, id);
    if (level == 5)
        put_u8(&out, 0);
    put_string(&out, filter);
    return finish(&out, buf);
}

int hil_mqtt_ack(uint8_t *buf, size_t cap, unsigned level, enum hil_mqtt_type type, uint16_t id,
                 uint8_t reason) {
    if (type < HIL_MQTT_PUBACK || type > HIL_MQTT_PUBCOMP || id == 0)
        return HIL_MQTT_E_ARGUMENT;
    bool with_reason = level == 5 && reason != 0;
    unsigned flags = type == HIL_MQTT_PUBREL ? 2u : 0;
    struct out out = begin(buf, cap, ((unsigned)type << 4) | flags, with_reason ? 3 : 2);
    put_u16(&out, id);
    if (with_reason)
        put_u8(&out, reason);
    return finish(&out, buf);
}

int hil_mqtt_pingreq(uint8_t *buf, size_t cap) {
    struct out out = begin(buf, cap, HIL_MQTT_PINGREQ << 4, 0);
    return finish(&out, buf);
}

int hil_mqtt_disconnect(uint8_t *buf, size_t cap, unsigned level, uint8_t reason) {
    bool with_reason = level == 5 && reason != 0;
    struct out out = begin(buf, cap, HIL_MQTT_DISCONNECT << 4, with_reason ? 1 : 0);
    if (with_reason)
        put_u8(&out, reason);
    return finish(&out, buf);
}
