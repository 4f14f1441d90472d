/* What MQTT remembers of a connection; shared by its framing (mqtt.c), the rules that need it (mqtt_state.c)
 * and the events (mqtt_say.c). */
#ifndef HIL_WIRE_MQTT_STATE_H
#define HIL_WIRE_MQTT_STATE_H

#include "mqtt.h"
#include "mqtt_packet.h"

#define HIL_FLIGHT_MAX 48U

/* Packet identifiers a side has in use: what it sent and the peer has not answered. */
struct hil_flight {
    uint16_t id[HIL_FLIGHT_MAX];
    uint8_t type[HIL_FLIGHT_MAX]; /* PUBLISH with its QoS in the upper half, PUBREL, SUBSCRIBE, UNSUBSCRIBE */
    uint32_t n;
    bool blind; /* more than fit, or bytes missing: no rule about identifiers is judged */
};

struct hil_mqtt_side {
    uint8_t head[5], head_n;
    uint8_t *buf; /* what is kept of a packet that came in pieces */
    uint32_t keep, got, remaining;
    bool in_packet, damaged, lost, disconnected;
    uint32_t packets;
    int64_t t_last;
    struct hil_flight flight;
};

struct hil_mqtt {
    struct hil_mqtt_side side[2];
    bool active, whole, connected, accepted, auth; /* whole: seen from its first byte */
    uint8_t level;
    uint16_t keepalive;
    uint32_t maximum_packet[2], receive_maximum[2], alias_maximum[2]; /* what each side allows the other */
    uint8_t maximum_qos;
    bool retain_available;
};

/* Takes the packet into the connection's state and adds what it breaks there to p. */
void hil_mqtt_judge(struct hil_mqtt *m, struct hil_mqtt_packet *p, int side, int64_t now);
/* The `mqtt` event. */
void hil_mqtt_say(struct hil_decoder *d, const struct hil_conn *c, int side, const struct hil_mqtt_packet *p,
                  bool tls);

#endif
