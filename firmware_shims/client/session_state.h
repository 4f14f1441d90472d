/* What the files of the session share: its state, and the one place where packets come in and go out. */
#ifndef HIL_SESSION_STATE_H
#define HIL_SESSION_STATE_H

#include "session.h"

#define HIL_QOS2_IDS 32u /* received and not yet released; one more ends the connection */

struct hil_session_state {
    /* outlives a connection */
    uint16_t next_id;
    int subscribed;  /* QoS, -1: not */
    unsigned unread; /* messages that came and no `recv` step has taken yet */
    uint16_t qos2_in[HIL_QOS2_IDS];
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
};

extern struct hil_session_state hil_session;
extern uint8_t hil_session_tx[HIL_MQTT_TX_MAX];

/* Ready for CONNECT on a fresh link. */
void hil_session_fresh(void);

/* A packet identifier that is not in use. */
uint16_t hil_session_new_id(void);

/* Sends what an encoder made in hil_session_tx; a refusal of the encoder is reported as its return code. 0 or
 * -1. */
int hil_session_send(const char *api, int len);

/* The server broke a rule: say why (5.0) and close. Returns -1. */
int hil_session_violation(int error);

/* The read path: one packet of the server into hil_session.packet within `wait_ms`, 0: only what is here. 1,
 * 0: not yet, HIL_MQTT_E_* when the server broke a rule, HIL_FETCH_LOST with hil_outcome. And whether an idle
 * application lets the client work at all. All are weak: another client may bring its own
 * (client/paho_session.c). */
enum { HIL_FETCH_LOST = -0x1000 };
int hil_session_fetch(uint32_t wait_ms);
void hil_session_fetch_fresh(void); /* a new connection: what is left of the last one is dropped */
bool hil_session_yields(void);

/* Until the next packet or the deadline: the packet's type, HIL_PUMP_TIMEOUT, or HIL_PUMP_LOST with
 * hil_outcome. */
enum { HIL_PUMP_TIMEOUT = 0, HIL_PUMP_LOST = -1 };
int hil_session_pump(uint32_t start, uint32_t timeout);

/* Waits for `type` (with `id`, unless 0). Acknowledgements of other ids are let pass, as the standard allows.
 */
int hil_session_await(enum hil_mqtt_type type, uint16_t id);

#endif
