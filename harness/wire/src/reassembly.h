/* One direction of a connection put in order: what comes in its turn is handed on, what comes early waits. */
#ifndef HIL_WIRE_REASSEMBLY_H
#define HIL_WIRE_REASSEMBLY_H

#include "decoder.h"

/* Payload of a segment whose first byte is `seq`. */
void hil_tcp_payload(struct hil_decoder *d, struct hil_conn *c, int side, uint32_t seq,
                     const struct hil_segment *g);
/* The side acknowledged up to `ack`: bytes of the other side that never showed up become a gap after a while.
 */
void hil_tcp_acknowledged(struct hil_decoder *d, struct hil_conn *c, int side, uint32_t ack);
/* Everything that waits behind holes is delivered, the holes told; then the flow's own rest. */
void hil_tcp_finish_side(struct hil_decoder *d, struct hil_conn *c, int side);
void hil_tcp_drop_early(struct hil_table *t, struct hil_side *s);

#endif
