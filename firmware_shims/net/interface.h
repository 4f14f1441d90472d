/* Interface: what lies between net/lwip.c and the kind of link: net/ethernet.c over a MAC, net/ppp.c over a
 * UART. */
#ifndef HIL_NET_INTERFACE_H
#define HIL_NET_INTERFACE_H

#include <stdbool.h>

#include "lwip/netif.h"

extern struct netif hil_interface;

/* After lwip_init(): adds the interface, with its address or what will get one, and the name server. 0 or -1.
 */
int hil_interface_start(void);
/* Hands over what came and follows the link's state; true when something came. */
bool hil_interface_poll(void);
/* True when hil_interface_poll has something to do. Callable with interrupts masked. */
bool hil_interface_pending(void);

#endif
