#include "mqtt_state.h"

#include "jwt.h"

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

void hil_mqtt_say(struct hil_decoder *d, const struct hil_conn *c, int side, const struct hil_mqtt_packet *p,
                  bool tls) {
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
