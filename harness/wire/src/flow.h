/* One direction's byte stream in order: finds out what it speaks and hands it to TLS or MQTT. */
#ifndef HIL_WIRE_FLOW_H
#define HIL_WIRE_FLOW_H

#include "decoder.h"

void hil_flow_data(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n);
/* `missing` bytes of the stream will never come. */
void hil_flow_gap(struct hil_decoder *d, struct hil_conn *c, int side, uint64_t missing);
/* The stream is over: what is held back is told now. */
void hil_flow_end(struct hil_decoder *d, struct hil_conn *c, int side);
/* Looks at the first payload of a connection that began before the capture: does its sender speak as a client
 * (1), as a server (-1), or can it not be told (0)? */
int hil_flow_role(struct hil_span first);
/* TLS state of the connection, made when needed; NULL when memory is out. */
struct hil_tls *hil_flow_tls(struct hil_decoder *d, struct hil_conn *c);
/* Whether MQTT is expected on the server's port: inside TLS on 8883 too, and on ports that were named. */
bool hil_flow_mqtt_port(const struct hil_decoder *d, const struct hil_conn *c, bool tls);
/* `data`, once a direction. */
void hil_flow_other(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n);

#endif
