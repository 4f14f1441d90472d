/* Link layers: what lies in front of a packet. */
#ifndef HIL_WIRE_LINK_H
#define HIL_WIRE_LINK_H

#include "bytes.h"

/* HIL_LINK_ANY_IP: IP of whatever version its first nibble says. */
enum { HIL_LINK_ANY_IP = 1, HIL_ETHER_IP = 0x0800, HIL_ETHER_ARP = 0x0806, HIL_ETHER_IPV6 = 0x86dd };

/* Name of a LINKTYPE that is understood, or NULL. */
const char *hil_link_name(uint16_t link);

/* Ether type of the payload, which `s` is moved to; 0: nothing we read. */
uint16_t hil_link_strip(uint16_t link, struct hil_span *s);

#endif
