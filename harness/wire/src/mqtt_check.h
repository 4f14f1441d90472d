/* Checks that packets share: properties and strings. */
#ifndef HIL_WIRE_MQTT_CHECK_H
#define HIL_WIRE_MQTT_CHECK_H

#include "mqtt_packet.h"

#define HIL_MQTT_WILL 16U /* beside the packet types: the properties of a will */

/* Property length and list, checked for where they may stand. */
bool hil_mqtt_take_properties(struct hil_mqtt_packet *p, struct hil_span *b, struct hil_span *out,
                              unsigned where);
void hil_mqtt_check_text(struct hil_mqtt_packet *p, struct hil_span s, enum hil_rule rule);
void hil_mqtt_check_topic(struct hil_mqtt_packet *p, struct hil_span s, enum hil_rule rule);
void hil_mqtt_check_filter(struct hil_mqtt_packet *p, const struct hil_filter *f, enum hil_rule utf8);

#endif
