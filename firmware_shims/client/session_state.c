/* MQTT packets in and out of hil_link. They come in through one place, the pump, which answers what must be
 * answered at once, keeps the connection alive, and tells its caller what came.
 */
#include "session_state.h"

#include "hil/board.h"
#include "hil/net.h"
#include "hil/shim.h"
#include "link.h"
#include "settings.h"

#include <string.h>

static uint8_t packet_buf[HIL_MQTT_RX_MAX];
struct hil_session_state hil_session;
uint8_t hil_session_tx[HIL_MQTT_TX_MAX];

void hil_session_reset(void) {
    memset(&hil_session, 0, sizeof hil_session);
    hil_session.subscribed = -1;
}

void hil_session_fresh(void) {
    hil_mqtt_decoder_init(&hil_session.decoder, packet_buf, sizeof packet_buf, hil_settings.level);
    hil_session_fetch_fresh();
    hil_session.connected = hil_session.ping_open = false;
    hil_session.keepalive_ms = hil_settings.keepalive * 1000u;
}

uint16_t hil_session_new_id(void) {
    do
        hil_session.next_id++;
    while (hil_session.next_id == 0 || hil_session.next_id == hil_session.out.id);
    return hil_session.next_id;
}

int hil_session_send(const char *api, int len) {
    if (len < 0) {
        hil_event_api(api, len, 0);
        return hil_fail("mqtt", len, false);
    }
    if (hil_session.server_max_packet != 0 && (uint32_t)len > hil_session.server_max_packet) {
        hil_event_api(api, HIL_MQTT_E_TOO_LARGE, 0);
        return hil_fail("mqtt", HIL_MQTT_E_TOO_LARGE, false); /* [MQTT-3.2.2-15] */
    }
    int rc = hil_link_send(hil_session_tx, (size_t)len);
    hil_event_api(api, rc == 0 ? 0 : hil_outcome.rc, 0);
    hil_session.sent_ms = hil_board_ms();
    if (rc != 0)
        hil_session.connected = false;
    return rc;
}

int hil_session_violation(int error) {
    hil_event_api("hil_mqtt_decode", error, 0);
    if (hil_settings.level == 5 && hil_session.connected && error < -0x80) {
        int len = hil_mqtt_disconnect(hil_session_tx, sizeof hil_session_tx, 5, (uint8_t)-error);
        (void)hil_link_send(hil_session_tx, (size_t)len);
    }
    hil_link_close(HIL_CLOSE_ORDERLY);
    hil_session.connected = false;
    return hil_fail("mqtt", error, true);
}

static uint16_t *qos2_slot(uint16_t id) {
    for (size_t i = 0; i < HIL_QOS2_IDS; i++)
        if (hil_session.qos2_in[i] == id)
            return &hil_session.qos2_in[i];
    return NULL;
}

static int on_publish(const struct hil_mqtt_packet *p) {
    if (p->properties.has_alias)
        return hil_session_violation(-0x94); /* we announced no topic alias maximum */
    uint16_t *known = p->qos == 2 ? qos2_slot(p->id) : NULL;
    if (p->qos == 2 && known == NULL) {
        uint16_t *free_slot = qos2_slot(0);
        if (free_slot == NULL)
            return hil_session_violation(-0x93);
        *free_slot = p->id;
    }
    if (known == NULL) {
        hil_session.unread++;
        hil_event("mqtt", "state=msg qos=%u id=%u len=%lu retain=%d crc32=%08lx", p->qos, (unsigned)p->id,
                  (unsigned long)p->payload.len, p->retain ? 1 : 0,
                  (unsigned long)hil_crc32(0, p->payload.data, p->payload.len));
    }
    if (p->qos == 0)
        return 0;
    enum hil_mqtt_type answer = p->qos == 1 ? HIL_MQTT_PUBACK : HIL_MQTT_PUBREC;
    return hil_session_send("hil_mqtt_ack", hil_mqtt_ack(hil_session_tx, sizeof hil_session_tx,
                                                         hil_settings.level, answer, p->id, 0));
}

static int on_pubrel(const struct hil_mqtt_packet *p) {
    uint16_t *slot = qos2_slot(p->id);
    uint8_t reason = slot == NULL ? 0x92 : 0;
    if (slot != NULL)
        *slot = 0;
    return hil_session_send("hil_mqtt_ack",
                            hil_mqtt_ack(hil_session_tx, sizeof hil_session_tx, hil_settings.level,
                                         HIL_MQTT_PUBCOMP, p->id, reason));
}

/* Acts on one packet; its type, or HIL_PUMP_LOST. */
static int handle(const struct hil_mqtt_packet *p) {
    int rc = 0;
    if (!hil_session.connected && p->type != HIL_MQTT_CONNACK && p->type != HIL_MQTT_AUTH &&
        p->type != HIL_MQTT_DISCONNECT)
        return hil_session_violation(HIL_MQTT_E_PROTOCOL);
    switch (p->type) {
    case HIL_MQTT_CONNACK:
        if (hil_session.connected)
            return hil_session_violation(HIL_MQTT_E_PROTOCOL);
        break;
    case HIL_MQTT_PUBLISH:
        rc = on_publish(p);
        break;
    case HIL_MQTT_PUBREL:
        rc = on_pubrel(p);
        break;
    case HIL_MQTT_PINGRESP:
        hil_event("mqtt", "state=pong");
        hil_session.ping_open = false;
        break;
    case HIL_MQTT_DISCONNECT:
        if (!hil_session.connected)
            return hil_session_violation(HIL_MQTT_E_PROTOCOL);
        hil_event("mqtt", "state=disconnect code=%u", (unsigned)p->code);
        hil_link_close(HIL_CLOSE_ORDERLY);
        hil_session.connected = false;
        return hil_fail("mqtt", p->code, true);
    case HIL_MQTT_AUTH: /* we gave no authentication method */
        return hil_session_violation(HIL_MQTT_E_PROTOCOL);
    default:
        break;
    }
    return rc != 0 ? HIL_PUMP_LOST : (int)p->type;
}

/* PINGREQ when nothing was sent for most of the keep-alive, or nothing heard for all of it. */
static int keep_alive(void) {
    uint32_t now = hil_board_ms(), period = hil_session.keepalive_ms;
    if (!hil_session.connected || period == 0)
        return 0;
    if (hil_session.ping_open) {
        if (now - hil_session.ping_ms < period)
            return 0;
        hil_event_api("hil_session_keepalive", HIL_NET_TIMEOUT, 0);
        hil_link_close(HIL_CLOSE_ORDERLY);
        hil_session.connected = false;
        return hil_fail("mqtt", HIL_NET_TIMEOUT, true);
    }
    if (now - hil_session.sent_ms < period / 4 * 3 && now - hil_session.heard_ms < period)
        return 0;
    hil_session.ping_open = true;
    hil_session.ping_ms = now;
    hil_event("mqtt", "state=ping");
    return hil_session_send("hil_mqtt_pingreq", hil_mqtt_pingreq(hil_session_tx, sizeof hil_session_tx));
}

__attribute__((weak)) void hil_session_fetch_fresh(void) {
    hil_session.rx_at = hil_session.rx_len = 0;
}

static int decode_waiting(void) {
    while (hil_session.rx_at < hil_session.rx_len) {
        size_t used = 0;
        int rc = hil_mqtt_decode(&hil_session.decoder, hil_session.rx + hil_session.rx_at,
                                 hil_session.rx_len - hil_session.rx_at, &used, &hil_session.packet);
        hil_session.rx_at += used;
        if (rc != 0)
            return rc;
    }
    return 0;
}

__attribute__((weak)) int hil_session_fetch(uint32_t wait_ms) {
    int rc = decode_waiting();
    if (rc != 0 || wait_ms == 0)
        return rc;
    int got = hil_link_recv(hil_session.rx, sizeof hil_session.rx, wait_ms);
    if (got < 0)
        return HIL_FETCH_LOST;
    hil_session.rx_at = 0;
    hil_session.rx_len = (size_t)got;
    return decode_waiting();
}

__attribute__((weak)) bool hil_session_yields(void) {
    return true;
}

int hil_session_pump(uint32_t start, uint32_t timeout) {
    uint32_t wait = 0; /* at first only what has come already */
    for (;;) {
        int rc = hil_session_fetch(wait);
        if (rc == HIL_FETCH_LOST) {
            hil_session.connected = false;
            return HIL_PUMP_LOST;
        }
        if (rc < 0)
            return hil_session_violation(rc);
        if (rc > 0) {
            hil_session.heard_ms = hil_board_ms();
            rc = handle(&hil_session.packet);
            return rc != HIL_PUMP_LOST && keep_alive() != 0 ? HIL_PUMP_LOST : rc;
        }
        uint32_t gone = hil_board_ms() - start;
        if (keep_alive() != 0)
            return HIL_PUMP_LOST;
        if (gone >= timeout)
            return HIL_PUMP_TIMEOUT;
        wait = timeout - gone < 250 ? timeout - gone : 250;
    }
}

/* Waits for `type` (with `id`, unless 0). Acknowledgements of other ids are let pass, as the standard allows.
 */
int hil_session_await(enum hil_mqtt_type type, uint16_t id) {
    uint32_t start = hil_board_ms();
    for (;;) {
        int got = hil_session_pump(start, hil_settings.timeout);
        if (got == HIL_PUMP_LOST)
            return -1;
        if (got == (int)type && (id == 0 || hil_session.packet.id == id))
            return 0;
        /* A peer may send other packets without end. */
        if (got == HIL_PUMP_TIMEOUT || hil_board_ms() - start >= hil_settings.timeout) {
            hil_link_close(HIL_CLOSE_ORDERLY);
            hil_session.connected = false;
            return hil_fail("mqtt", HIL_NET_TIMEOUT, true);
        }
    }
}
