/* Session: MQTT over one link at a time, remembering what must outlive a connection (subscription,
 * unacknowledged packet, received QoS 2 ids). All functions wait, bounded by the `timeout` setting, keep the
 * connection alive while they do, and return 0 or -1 with hil_outcome filled in.
 */
#ifndef HIL_SESSION_H
#define HIL_SESSION_H

#include "mqtt.h"

/* Largest packet accepted; a bigger one ends the connection. Announced at level 5. */
#ifndef HIL_MQTT_RX_MAX
#define HIL_MQTT_RX_MAX 4096u
#endif
#define HIL_MQTT_TX_MAX 2048u

/* Forgets everything: a new run. */
void hil_session_reset(void);

/* CONNECT to CONNACK on an open link, then what the standard wants after a reconnect: unacknowledged packets
 * again, the subscription again when the server has forgotten it. */
int hil_session_connect(void);

int hil_session_subscribe(unsigned qos);
int hil_session_unsubscribe(void);
int hil_session_publish(unsigned qos);
int hil_session_ping(void);

/* Keeps the connection alive for `ms`. With `until_message` returns as soon as there is a message that no
 * earlier call has taken, one that came during other steps too, and fails if there is none in time. */
int hil_session_idle(uint32_t ms, bool until_message);

/* DISCONNECT, then the link is closed in order. */
int hil_session_disconnect(void);

/* Hands `topic` to PUBLISH and expects a refusal: 0 when it was refused (reason in *rc), -1 when it went out.
 */
int hil_session_bad_topic(struct hil_slice topic, int *rc);

#endif
