/* The steps of an MQTT session, each a short story over the pump; see session.h. */
#include "session_state.h"

#include "hil/board.h"
#include "hil/net.h"
#include "hil/service.h"
#include "hil/shim.h"
#include "jwt_password.h"
#include "link.h"
#include "settings.h"

#include <string.h>

/* The rest of an outgoing QoS 1 or 2 flow, from wherever it stands. */
static int finish_publish(void) {
    uint16_t id = hil_session.out.id;
    const struct hil_mqtt_packet *p = &hil_session.packet;
    enum hil_mqtt_type first = hil_session.out.qos == 1 ? HIL_MQTT_PUBACK : HIL_MQTT_PUBREC;
    if (!hil_session.out.received) {
        if (hil_session_await(first, id) != 0)
            return -1;
        hil_event("mqtt", "state=%s id=%u code=%u", hil_session.out.qos == 1 ? "puback" : "pubrec",
                  (unsigned)id, (unsigned)p->code);
        if (hil_session.out.qos == 1 || p->code >= 0x80) {
            hil_session.out.id = 0; /* [MQTT-4.3.3-4]: no PUBREL after a refusal */
            return p->code >= 0x80 ? hil_fail("mqtt", p->code, false) : 0;
        }
        hil_session.out.received = true;
    }
    if (hil_session_send("hil_mqtt_ack", hil_mqtt_ack(hil_session_tx, sizeof hil_session_tx,
                                                      hil_settings.level, HIL_MQTT_PUBREL, id, 0)) != 0 ||
        hil_session_await(HIL_MQTT_PUBCOMP, id) != 0)
        return -1;
    hil_event("mqtt", "state=pubcomp id=%u code=%u", (unsigned)id, (unsigned)p->code);
    hil_session.out.id = 0;
    return 0;
}

static int send_publish(unsigned qos, bool dup) {
    const struct hil_settings *s = &hil_settings;
    struct hil_mqtt_publish publish = {
        .topic = hil_slice_of(s->topic), .payload = hil_slice_of(s->payload), .qos = qos, .dup = dup};
    if (qos > hil_session.server_max_qos) {
        hil_event_api("hil_mqtt_publish", HIL_MQTT_E_ARGUMENT, 0);
        return hil_fail("mqtt", HIL_MQTT_E_ARGUMENT, false); /* [MQTT-3.2.2-11] */
    }
    if (qos > 0)
        publish.id = hil_session.out.id;
    int rc = hil_session_send("hil_mqtt_publish",
                              hil_mqtt_publish(hil_session_tx, sizeof hil_session_tx, s->level, &publish));
    if (rc == 0)
        hil_event("mqtt", "state=pub qos=%u id=%u len=%lu", qos, (unsigned)publish.id,
                  (unsigned long)publish.payload.len);
    return rc;
}

int hil_session_publish(unsigned qos) {
    hil_link_state("publish");
    hil_link_log("app: publishing");
    if (qos == 0)
        return send_publish(0, false);
    if (hil_session.out.delivered) {
        hil_session.out.delivered = false;
        return 0;
    }
    hil_session.out.id = hil_session_new_id();
    hil_session.out.qos = qos;
    hil_session.out.received = false;
    if (send_publish(qos, false) != 0) {
        if (!hil_outcome.lost)
            hil_session.out.id = 0;
        return -1;
    }
    return finish_publish();
}

int hil_session_bad_topic(struct hil_slice topic, int *rc) {
    struct hil_mqtt_publish publish = {.topic = topic, .payload = hil_slice_of("bad")};
    int len = hil_mqtt_publish(hil_session_tx, sizeof hil_session_tx, hil_settings.level, &publish);
    hil_event_api("hil_mqtt_publish", len, 0);
    *rc = len;
    if (len < 0)
        return 0;
    (void)hil_session_send("hil_mqtt_publish", len);
    return hil_fail("script", 0, false);
}

int hil_session_subscribe(unsigned qos) {
    uint16_t id = hil_session_new_id();
    hil_link_state("subscribe");
    if (hil_session_send("hil_mqtt_subscribe",
                         hil_mqtt_subscribe(hil_session_tx, sizeof hil_session_tx, hil_settings.level, id,
                                            hil_slice_of(hil_settings.filter), qos)) != 0)
        return -1;
    hil_event("mqtt", "state=sub qos=%u id=%u", qos, (unsigned)id);
    if (hil_session_await(HIL_MQTT_SUBACK, id) != 0)
        return -1;
    if (hil_session.packet.codes.len != 1)
        return hil_session_violation(HIL_MQTT_E_PROTOCOL); /* one filter, one code */
    unsigned code = hil_session.packet.codes.data[0];
    hil_event("mqtt", "state=suback id=%u code=%u", (unsigned)id, code);
    if (code >= 0x80)
        return hil_fail("mqtt", (long)code, false);
    hil_session.subscribed = (int)qos;
    return 0;
}

int hil_session_unsubscribe(void) {
    uint16_t id = hil_session_new_id();
    hil_link_state("unsubscribe");
    if (hil_session_send("hil_mqtt_unsubscribe",
                         hil_mqtt_unsubscribe(hil_session_tx, sizeof hil_session_tx, hil_settings.level, id,
                                              hil_slice_of(hil_settings.filter))) != 0 ||
        hil_session_await(HIL_MQTT_UNSUBACK, id) != 0)
        return -1;
    hil_session.subscribed = -1;
    if (hil_settings.level == 5 && hil_session.packet.codes.len != 1)
        return hil_session_violation(HIL_MQTT_E_PROTOCOL);
    unsigned code = hil_session.packet.codes.len > 0 ? hil_session.packet.codes.data[0] : 0u;
    hil_event("mqtt", "state=unsuback id=%u code=%u", (unsigned)id, code);
    return code >= 0x80 ? hil_fail("mqtt", (long)code, false) : 0;
}

int hil_session_ping(void) {
    hil_link_state("ping");
    hil_session.ping_open = true;
    hil_session.ping_ms = hil_board_ms();
    hil_event("mqtt", "state=ping");
    if (hil_session_send("hil_mqtt_pingreq", hil_mqtt_pingreq(hil_session_tx, sizeof hil_session_tx)) != 0)
        return -1;
    return hil_session_await(HIL_MQTT_PINGRESP, 0);
}

int hil_session_idle(uint32_t ms, bool until_message) {
    uint32_t start = hil_board_ms();
    hil_link_state(until_message ? "recv" : "idle");
    if (!hil_session_yields())
        hil_service_sleep(ms);
    for (;;) {
        if (until_message && hil_session.unread > 0) {
            hil_session.unread--;
            return 0;
        }
        int got = hil_session_pump(start, ms);
        if (got == HIL_PUMP_LOST)
            return -1;
        bool over = got == HIL_PUMP_TIMEOUT || hil_board_ms() - start >= ms;
        if (over && !(until_message && hil_session.unread > 0))
            return until_message ? hil_fail("mqtt", HIL_NET_TIMEOUT, false) : 0;
    }
}

int hil_session_disconnect(void) {
    hil_link_state("disconnect");
    if (!hil_session.connected) {
        hil_link_close(HIL_CLOSE_ORDERLY);
        return hil_fail("mqtt", HIL_NET_CLOSED, true);
    }
    int rc =
        hil_session_send("hil_mqtt_disconnect",
                         hil_mqtt_disconnect(hil_session_tx, sizeof hil_session_tx, hil_settings.level, 0));
    if (rc == 0)
        hil_event("mqtt", "state=disconnect code=0");
    hil_session.connected = false;
    hil_link_close(HIL_CLOSE_ORDERLY);
    return rc;
}

static int send_connect(void) {
    const struct hil_settings *s = &hil_settings;
    struct hil_mqtt_will will;
    struct hil_mqtt_connect connect = {
        .level = s->level,
        .clean = s->clean != 0,
        .keepalive = (uint16_t)s->keepalive,
        .client_id = hil_slice_of(s->client_id),
        .will = hil_settings_will(&will) ? &will : NULL,
        .session_expiry = s->clean != 0 ? 0 : 3600,
        .max_packet = HIL_MQTT_RX_MAX,
    };
    if (s->username[0] != '\0')
        connect.username = hil_slice_of(s->username);
    if (s->password[0] != '\0')
        connect.password = hil_slice_of(s->password);
    int rc = s->jwt_audience[0] != '\0' ? hil_jwt_password(&connect.password) : 0;
    if (rc != 0)
        return hil_fail("mqtt", rc, false);
    hil_session.server_max_packet = 0;
    rc = hil_session_send("hil_mqtt_connect",
                          hil_mqtt_connect(hil_session_tx, sizeof hil_session_tx, &connect));
    if (rc == 0)
        hil_event("mqtt", "state=connect_sent");
    return rc;
}

/* After CONNACK: what the server's limits and its memory of us mean. */
static int take_up(const struct hil_mqtt_packet *connack) {
    const struct hil_mqtt_properties *p = &connack->properties;
    bool present = connack->session_present;
    hil_session.server_max_qos = p->has_max_qos ? p->max_qos : 2;
    hil_session.server_max_packet = p->has_max_packet ? p->max_packet : 0;
    if (p->has_keepalive)
        hil_session.keepalive_ms = p->keepalive * 1000u;
    if (!present) {
        memset(hil_session.qos2_in, 0, sizeof hil_session.qos2_in);
        hil_session.out.id = 0; /* the step that sent it starts it anew */
        int qos = hil_session.subscribed;
        hil_session.subscribed = -1;
        return qos >= 0 ? hil_session_subscribe((unsigned)qos) : 0;
    }
    if (hil_session.out.id == 0)
        return 0;
    if (!hil_session.out.received && send_publish(hil_session.out.qos, true) != 0) /* [MQTT-4.4.0-1] */
        return -1;
    int rc = finish_publish();
    hil_session.out.delivered = rc == 0;
    return rc;
}

int hil_session_connect(void) {
    hil_link_state("mqtt");
    hil_link_log("mqtt: connecting");
    hil_session_fresh();
    if (send_connect() != 0 || hil_session_await(HIL_MQTT_CONNACK, 0) != 0)
        return -1;
    struct hil_mqtt_packet connack = hil_session.packet;
    if (connack.code != 0) {
        hil_event("mqtt", "state=refused code=%u", (unsigned)connack.code);
        hil_link_close(HIL_CLOSE_ORDERLY);
        return hil_fail("mqtt", connack.code, true);
    }
    hil_event("mqtt", "state=connack code=0 present=%d", connack.session_present ? 1 : 0);
    if (connack.session_present && hil_settings.clean != 0) {
        hil_session.connected = true;
        return hil_session_violation(HIL_MQTT_E_PROTOCOL); /* [MQTT-3.2.2-1], 5.0 [MQTT-3.2.2-2] */
    }
    hil_session.connected = true;
    hil_session.heard_ms = hil_board_ms();
    return take_up(&connack);
}
