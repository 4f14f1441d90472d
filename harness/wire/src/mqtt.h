/* MQTT 3.1, 3.1.1 and 5: packets framed from the stream, read in full, checked against the standard's
 * statements. */
#ifndef HIL_WIRE_MQTT_H
#define HIL_WIRE_MQTT_H

#include "decoder.h"

#define HIL_MQTT_KEEP (72U * 1024U) /* bytes of a packet that are kept when it comes in pieces */

struct hil_mqtt *hil_mqtt_new(struct hil_decoder *d, struct hil_conn *c);
void hil_mqtt_free(struct hil_decoder *d, struct hil_conn *c);
/* Bytes of one direction in order; tls says where they come from. */
void hil_mqtt_data(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n, bool tls);
void hil_mqtt_gap(struct hil_decoder *d, struct hil_conn *c, int side, uint64_t missing);
/* Whether the first bytes of a direction are MQTT: 1, 0, -1 too few. `expected`: the port or the peer says
 * MQTT. */
int hil_mqtt_looks(const uint8_t *p, size_t n, bool client, bool expected);
/* Whether the bytes are exactly one packet by their length. */
bool hil_mqtt_whole(const uint8_t *p, size_t n);
bool hil_mqtt_active(const struct hil_mqtt *m);
void hil_mqtt_close(struct hil_decoder *d, const struct hil_conn *c);

#endif
