/* Net: one TCP connection at a time, as a client. Implementations: net/posix.c (a process), net/lwip.c (a
 * microcontroller).
 *
 * All calls are bounded by timeout_ms. Return codes: >= 0 bytes or success; HIL_NET_* otherwise. `detail` of
 * the last failure (errno, lwIP err_t) is in hil_net_detail().
 */
#ifndef HIL_NET_H
#define HIL_NET_H

#include <stddef.h>
#include <stdint.h>

enum {
    HIL_NET_OK = 0,
    HIL_NET_TIMEOUT = -1, /* nothing within the bound */
    HIL_NET_CLOSED = -2,  /* peer sent FIN, no more data */
    HIL_NET_RESET = -3,   /* peer sent RST */
    HIL_NET_REFUSED = -4, /* RST to the SYN */
    HIL_NET_NAME = -5,    /* the name has no address */
    HIL_NET_LINK = -6,    /* no link or no address */
    HIL_NET_ERROR = -7    /* anything else: see hil_net_detail() */
};

/* Brings the interface up; returns HIL_NET_OK when an address is there. */
int hil_net_up(uint32_t timeout_ms);

/* Our address as text, "" when none. Static storage. */
const char *hil_net_address(void);

/* Connects to `address` (dotted IPv4) when it is not empty, else resolves `host`. */
int hil_net_connect(const char *host, const char *address, uint16_t port, uint32_t timeout_ms);

/* Sends all of it or fails. Returns len or HIL_NET_*. */
int hil_net_send(const void *data, size_t len, uint32_t timeout_ms);

/* Returns 1..cap bytes, or HIL_NET_*. Never 0. */
int hil_net_recv(void *data, size_t cap, uint32_t timeout_ms);

/* 1 when bytes can be read at once, else 0. */
int hil_net_readable(void);

/* FIN and wait (bounded) for the socket's release; with abort != 0 RST at once. */
void hil_net_close(int abort);

int hil_net_detail(void);

#endif
