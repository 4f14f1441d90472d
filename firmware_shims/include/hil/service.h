/* Service: what every bounded wait of the client does on the way: watchdog, heartbeat, link. TLS stacks use
 * these for their transport, so that a long handshake still ticks and is still bounded.
 */
#ifndef HIL_SERVICE_H
#define HIL_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest wait between two services, in ms. */
#define HIL_SERVICE_MS 250u

/* Kicks the watchdog; prints `tick` once a second while a script runs. Called by every wait inside hil_net,
 * too: a peer that does not answer at all must not look like a device that hangs. */
void hil_heartbeat(void);

/* The same, between two waits of the client: it floods the UART where that defect is on. */
void hil_service(void);

/* hil_net_recv with services in between. HIL_NET_* codes. */
int hil_service_recv(void *data, size_t cap, uint32_t timeout_ms);

/* hil_net_send, except that a reset is not an error as long as bytes of the peer can be read: they may hold
 * the alert that explains the reset, which a stack that fails on its write would never see. */
int hil_service_send(const void *data, size_t len, uint32_t timeout_ms);

/* Waits without the network's data (back-off). */
void hil_service_sleep(uint32_t ms);

#endif
