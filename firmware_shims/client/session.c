/* MQTT session over hil_link; see session.h. Packets come in through one place, pump(), which answers what must be
 * answered at once and tells its caller what came.
 */
#include "session.h"

#include "hil/board.h"
#include "hil/net.h"
#include "hil/shim.h"
#include "link.h"
#include "settings.h"

#include <string.h>

#define QOS2_IDS 32u /* received and not yet released; a server may have as many open as we announce */
#define PUMP_TIMEOUT 0
#define PUMP_LOST (-1)

static struct {
    /* outlives a connection */
    uint16_t next_id;
    int subscribed; /* QoS, -1: not */
    unsigned unread; /* messages that came and no `recv` step has taken yet */
    uint16_t qos2_in[QOS2_IDS];
    struct {
        uint16_t id; /* 0: none */
        unsigned qos;
        bool received;  /* PUBREC came: only PUBREL may follow */
        bool delivered; /* a reconnect has finished the flow: the step that began it is done */
    } out;
    /* of one connection */
    bool connected, ping_open;
    uint32_t keepalive_ms, sent_ms, heard_ms, ping_ms;
    unsigned server_max_qos;
    uint32_t server_max_packet;
    uint8_t rx[256];
    size_t rx_at, rx_len;
    struct hil_mqtt_decoder decoder;
    struct hil_mqtt_packet packet;
} session;

static uint8_t packet_buf[HIL_MQTT_RX_MAX];
static uint8_t tx[HIL_MQTT_TX_MAX];

void hil_session_reset(void) {
    memset(&session, 0, sizeof session);
    session.subscribed = -1;
}

static uint16_t new_id(void) {
    do
        session.next_id++;
    while (session.next_id == 0 || session.next_id == session.out.id);
    return session.next_id;
}

/* Sends what an encoder made; a refusal of the encoder is reported as its return code. */
static int send_packet(const char *api, int len) {
    if (len < 0) {
        hil_event_api(api, len, 0);
        return hil_fail("mqtt", len, false);
    }
    if (session.server_max_packet != 0 && (uint32_t)len > session.server_max_packet) {
        hil_event_api(api, HIL_MQTT_E_TOO_LARGE, 0);
        return hil_fail("mqtt", HIL_MQTT_E_TOO_LARGE, false); /* [MQTT-3.2.2-15] */
    }
    int rc = hil_link_send(tx, (size_t)len);
    hil_event_api(api, rc == 0 ? 0 : hil_outcome.rc, 0);
    session.sent_ms = hil_board_ms();
    if (rc != 0)
        session.connected = false;
    return rc;
}

/* The server broke a rule: say why (5.0) and close. */
static int violation(int error) {
    hil_event_api("hil_mqtt_decode", error, 0);
    if (hil_settings.level == 5 && session.connected && error < -0x80) {
        int len = hil_mqtt_disconnect(tx, sizeof tx, 5, (uint8_t)-error);
        (void)hil_link_send(tx, (size_t)len);
    }
    hil_link_close(HIL_CLOSE_ORDERLY);
    session.connected = false;
    return hil_fail("mqtt", error, true);
}

static uint16_t *qos2_slot(uint16_t id) {
    for (size_t i = 0; i < QOS2_IDS; i++)
        if (session.qos2_in[i] == id)
            return &session.qos2_in[i];
    return NULL;
}

static int on_publish(const struct hil_mqtt_packet *p) {
    if (p->properties.has_alias)
        return violation(-0x94); /* we announced no topic alias maximum */
    uint16_t *known = p->qos == 2 ? qos2_slot(p->id) : NULL;
    if (p->qos == 2 && known == NULL) {
        uint16_t *free_slot = qos2_slot(0);
        if (free_slot == NULL)
            return violation(-0x93);
        *free_slot = p->id;
    }
    if (known == NULL) {
        session.unread++;
        hil_event("mqtt", "state=msg qos=%u id=%u len=%lu retain=%d crc32=%08lx", p->qos, (unsigned)p->id,
                  (unsigned long)p->payload.len, p->retain ? 1 : 0,
                  (unsigned long)hil_crc32(0, p->payload.data, p->payload.len));
    }
    if (p->qos == 0)
        return 0;
    enum hil_mqtt_type answer = p->qos == 1 ? HIL_MQTT_PUBACK : HIL_MQTT_PUBREC;
    return send_packet("hil_mqtt_ack", hil_mqtt_ack(tx, sizeof tx, hil_settings.level, answer, p->id, 0));
}

static int on_pubrel(const struct hil_mqtt_packet *p) {
    uint16_t *slot = qos2_slot(p->id);
    uint8_t reason = slot == NULL ? 0x92 : 0;
    if (slot != NULL)
        *slot = 0;
    return send_packet("hil_mqtt_ack",
                       hil_mqtt_ack(tx, sizeof tx, hil_settings.level, HIL_MQTT_PUBCOMP, p->id, reason));
}

/* Acts on one packet; its type, or PUMP_LOST. */
static int handle(const struct hil_mqtt_packet *p) {
    int rc = 0;
    if (!session.connected && p->type != HIL_MQTT_CONNACK && p->type != HIL_MQTT_AUTH &&
        p->type != HIL_MQTT_DISCONNECT)
        return violation(HIL_MQTT_E_PROTOCOL);
    switch (p->type) {
    case HIL_MQTT_CONNACK:
        if (session.connected)
            return violation(HIL_MQTT_E_PROTOCOL);
        break;
    case HIL_MQTT_PUBLISH:
        rc = on_publish(p);
        break;
    case HIL_MQTT_PUBREL:
        rc = on_pubrel(p);
        break;
    case HIL_MQTT_PINGRESP:
        hil_event("mqtt", "state=pong");
        session.ping_open = false;
        break;
    case HIL_MQTT_DISCONNECT:
        if (!session.connected)
            return violation(HIL_MQTT_E_PROTOCOL);
        hil_event("mqtt", "state=disconnect code=%u", (unsigned)p->code);
        hil_link_close(HIL_CLOSE_ORDERLY);
        session.connected = false;
        return hil_fail("mqtt", p->code, true);
    case HIL_MQTT_AUTH: /* we gave no authentication method */
        return violation(HIL_MQTT_E_PROTOCOL);
    default:
        break;
    }
    return rc != 0 ? PUMP_LOST : (int)p->type;
}

/* PINGREQ when nothing was sent for most of the keep-alive, or nothing heard for all of it. */
static int keep_alive(void) {
    uint32_t now = hil_board_ms(), period = session.keepalive_ms;
    if (!session.connected || period == 0)
        return 0;
    if (session.ping_open) {
        if (now - session.ping_ms < period)
            return 0;
        hil_event_api("hil_session_keepalive", HIL_NET_TIMEOUT, 0);
        hil_link_close(HIL_CLOSE_ORDERLY);
        session.connected = false;
        return hil_fail("mqtt", HIL_NET_TIMEOUT, true);
    }
    if (now - session.sent_ms < period / 4 * 3 && now - session.heard_ms < period)
        return 0;
    session.ping_open = true;
    session.ping_ms = now;
    hil_event("mqtt", "state=ping");
    return send_packet("hil_mqtt_pingreq", hil_mqtt_pingreq(tx, sizeof tx));
}

/* Until the next packet or the deadline: the packet's type, PUMP_TIMEOUT, or PUMP_LOST with hil_outcome. */
static int pump(uint32_t start, uint32_t timeout) {
    for (;;) {
        while (session.rx_at < session.rx_len) {
            size_t used = 0;
            int rc = hil_mqtt_decode(&session.decoder, session.rx + session.rx_at, session.rx_len - session.rx_at,
                                     &used, &session.packet);
            session.rx_at += used;
            if (rc < 0)
                return violation(rc);
            if (rc > 0) {
                session.heard_ms = hil_board_ms();
                return handle(&session.packet);
            }
        }
        uint32_t gone = hil_board_ms() - start, wait = 250;
        if (keep_alive() != 0)
            return PUMP_LOST;
        if (gone >= timeout)
            return PUMP_TIMEOUT;
        if (timeout - gone < wait)
            wait = timeout - gone;
        int got = hil_link_recv(session.rx, sizeof session.rx, wait);
        if (got < 0) {
            session.connected = false;
            return PUMP_LOST;
        }
        session.rx_at = 0;
        session.rx_len = (size_t)got;
    }
}

/* Waits for `type` (with `id`, unless 0). Acknowledgements of other ids are let pass, as the standard allows. */
static int await(enum hil_mqtt_type type, uint16_t id) {
    uint32_t start = hil_board_ms();
    for (;;) {
        int got = pump(start, hil_settings.timeout);
        if (got == PUMP_LOST)
            return -1;
        if (got == PUMP_TIMEOUT) {
            hil_link_close(HIL_CLOSE_ORDERLY);
            session.connected = false;
            return hil_fail("mqtt", HIL_NET_TIMEOUT, true);
        }
        if (got == (int)type && (id == 0 || session.packet.id == id))
            return 0;
    }
}

/* The rest of an outgoing QoS 1 or 2 flow, from wherever it stands. */
static int finish_publish(void) {
    uint16_t id = session.out.id;
    const struct hil_mqtt_packet *p = &session.packet;
    enum hil_mqtt_type first = session.out.qos == 1 ? HIL_MQTT_PUBACK : HIL_MQTT_PUBREC;
    if (!session.out.received) {
        if (await(first, id) != 0)
            return -1;
        hil_event("mqtt", "state=%s id=%u code=%u", session.out.qos == 1 ? "puback" : "pubrec", (unsigned)id,
                  (unsigned)p->code);
        if (session.out.qos == 1 || p->code >= 0x80) {
            session.out.id = 0; /* [MQTT-4.3.3-4]: no PUBREL after a refusal */
            return p->code >= 0x80 ? hil_fail("mqtt", p->code, false) : 0;
        }
        session.out.received = true;
    }
    if (send_packet("hil_mqtt_ack", hil_mqtt_ack(tx, sizeof tx, hil_settings.level, HIL_MQTT_PUBREL, id, 0)) != 0 ||
        await(HIL_MQTT_PUBCOMP, id) != 0)
        return -1;
    hil_event("mqtt", "state=pubcomp id=%u code=%u", (unsigned)id, (unsigned)p->code);
    session.out.id = 0;
    return 0;
}

static int send_publish(unsigned qos, bool dup) {
    const struct hil_settings *s = &hil_settings;
    struct hil_mqtt_publish publish = {
        .topic = hil_slice_of(s->topic), .payload = hil_slice_of(s->payload), .qos = qos, .dup = dup};
    if (qos > session.server_max_qos) {
        hil_event_api("hil_mqtt_publish", HIL_MQTT_E_ARGUMENT, 0);
        return hil_fail("mqtt", HIL_MQTT_E_ARGUMENT, false); /* [MQTT-3.2.2-11] */
    }
    if (qos > 0)
        publish.id = session.out.id;
    int rc = send_packet("hil_mqtt_publish", hil_mqtt_publish(tx, sizeof tx, s->level, &publish));
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
    if (session.out.delivered) {
        session.out.delivered = false;
        return 0;
    }
    session.out.id = new_id();
    session.out.qos = qos;
    session.out.received = false;
    if (send_publish(qos, false) != 0) {
        if (!hil_outcome.lost)
            session.out.id = 0;
        return -1;
    }
    return finish_publish();
}

int hil_session_bad_topic(struct hil_slice topic, int *rc) {
    struct hil_mqtt_publish publish = {.topic = topic, .payload = hil_slice_of("bad")};
    int len = hil_mqtt_publish(tx, sizeof tx, hil_settings.level, &publish);
    hil_event_api("hil_mqtt_publish", len, 0);
    *rc = len;
    if (len < 0)
        return 0;
    (void)send_packet("hil_mqtt_publish", len);
    return hil_fail("script", 0, false);
}

int hil_session_subscribe(unsigned qos) {
    uint16_t id = new_id();
    hil_link_state("subscribe");
    if (send_packet("hil_mqtt_subscribe", hil_mqtt_subscribe(tx, sizeof tx, hil_settings.level, id,
                                                             hil_slice_of(hil_settings.filter), qos)) != 0)
        return -1;
    hil_event("mqtt", "state=sub qos=%u id=%u", qos, (unsigned)id);
    if (await(HIL_MQTT_SUBACK, id) != 0)
        return -1;
    if (session.packet.codes.len != 1)
        return violation(HIL_MQTT_E_PROTOCOL); /* one filter, one code */
    unsigned code = session.packet.codes.data[0];
    hil_event("mqtt", "state=suback id=%u code=%u", (unsigned)id, code);
    if (code >= 0x80)
        return hil_fail("mqtt", (long)code, false);
    session.subscribed = (int)qos;
    return 0;
}

int hil_session_unsubscribe(void) {
    uint16_t id = new_id();
    hil_link_state("unsubscribe");
    if (send_packet("hil_mqtt_unsubscribe", hil_mqtt_unsubscribe(tx, sizeof tx, hil_settings.level, id,
                                                                 hil_slice_of(hil_settings.filter))) != 0 ||
        await(HIL_MQTT_UNSUBACK, id) != 0)
        return -1;
    session.subscribed = -1;
    if (hil_settings.level == 5 && session.packet.codes.len != 1)
        return violation(HIL_MQTT_E_PROTOCOL);
    unsigned code = session.packet.codes.len > 0 ? session.packet.codes.data[0] : 0u;
    hil_event("mqtt", "state=unsuback id=%u code=%u", (unsigned)id, code);
    return code >= 0x80 ? hil_fail("mqtt", (long)code, false) : 0;
}

int hil_session_ping(void) {
    hil_link_state("ping");
    session.ping_open = true;
    session.ping_ms = hil_board_ms();
    hil_event("mqtt", "state=ping");
    if (send_packet("hil_mqtt_pingreq", hil_mqtt_pingreq(tx, sizeof tx)) != 0)
        return -1;
    return await(HIL_MQTT_PINGRESP, 0);
}

int hil_session_idle(uint32_t ms, bool until_message) {
    uint32_t start = hil_board_ms();
    hil_link_state(until_message ? "recv" : "idle");
    for (;;) {
        if (until_message && session.unread > 0) {
            session.unread--;
            return 0;
        }
        int got = pump(start, ms);
        if (got == PUMP_LOST)
            return -1;
        if (got == PUMP_TIMEOUT)
            return until_message ? hil_fail("mqtt", HIL_NET_TIMEOUT, false) : 0;
    }
}

int hil_session_disconnect(void) {
    hil_link_state("disconnect");
    if (!session.connected) {
        hil_link_close(HIL_CLOSE_ORDERLY);
        return hil_fail("mqtt", HIL_NET_CLOSED, true);
    }
    int rc = send_packet("hil_mqtt_disconnect", hil_mqtt_disconnect(tx, sizeof tx, hil_settings.level, 0));
    if (rc == 0)
        hil_event("mqtt", "state=disconnect code=0");
    session.connected = false;
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
    session.server_max_packet = 0;
    int rc = send_packet("hil_mqtt_connect", hil_mqtt_connect(tx, sizeof tx, &connect));
    if (rc == 0)
        hil_event("mqtt", "state=connect_sent");
    return rc;
}

/* After CONNACK: what the server's limits and its memory of us mean. */
static int take_up(const struct hil_mqtt_packet *connack) {
    const struct hil_mqtt_properties *p = &connack->properties;
    bool present = connack->session_present;
    session.server_max_qos = p->has_max_qos ? p->max_qos : 2;
    session.server_max_packet = p->has_max_packet ? p->max_packet : 0;
    if (p->has_keepalive)
        session.keepalive_ms = p->keepalive * 1000u;
    if (!present) {
        memset(session.qos2_in, 0, sizeof session.qos2_in);
        session.out.id = 0; /* the step that sent it starts it anew */
        int qos = session.subscribed;
        session.subscribed = -1;
        return qos >= 0 ? hil_session_subscribe((unsigned)qos) : 0;
    }
    if (session.out.id == 0)
        return 0;
    if (!session.out.received && send_publish(session.out.qos, true) != 0) /* [MQTT-4.4.0-1] */
        return -1;
    int rc = finish_publish();
    session.out.delivered = rc == 0;
    return rc;
}

int hil_session_connect(void) {
    hil_link_state("mqtt");
    hil_link_log("mqtt: connecting");
    hil_mqtt_decoder_init(&session.decoder, packet_buf, sizeof packet_buf, hil_settings.level);
    session.rx_at = session.rx_len = 0;
    session.connected = session.ping_open = false;
    session.keepalive_ms = hil_settings.keepalive * 1000u;
    if (send_connect() != 0 || await(HIL_MQTT_CONNACK, 0) != 0)
        return -1;
    struct hil_mqtt_packet connack = session.packet;
    if (connack.code != 0) {
        hil_event("mqtt", "state=refused code=%u", (unsigned)connack.code);
        hil_link_close(HIL_CLOSE_ORDERLY);
        return hil_fail("mqtt", connack.code, true);
    }
    hil_event("mqtt", "state=connack code=0 present=%d", connack.session_present ? 1 : 0);
    if (connack.session_present && hil_settings.clean != 0) {
        session.connected = true;
        return violation(HIL_MQTT_E_PROTOCOL); /* [MQTT-3.2.2-1], 5.0 [MQTT-3.2.2-2] */
    }
    session.connected = true;
    session.heard_ms = hil_board_ms();
    return take_up(&connack);
}
