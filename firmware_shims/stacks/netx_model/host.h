/* The network below the model: net/posix.c (host.c) or net/lwip.c on a serial line (host_lwip.c), under names
 * of its own, as net/netx.c has the usual ones. */
#ifndef NETX_MODEL_HOST_H
#define NETX_MODEL_HOST_H

#define hil_net_up       nx_host_up
#define hil_net_address  nx_host_address
#define hil_net_connect  nx_host_connect
#define hil_net_send     nx_host_send
#define hil_net_recv     nx_host_recv
#define hil_net_readable nx_host_readable
#define hil_net_close    nx_host_close
#define hil_net_detail   nx_host_detail

#include "../../include/hil/net.h"

/* Milliseconds that wait at most until timers are looked at. */
#define NX_MODEL_SLICE_MS 50u

/* The IPv4 address of a name, in host byte order. HIL_NET_OK or HIL_NET_*. */
int nx_host_resolve(const char *host, uint32_t *address, uint32_t timeout_ms);

uint32_t nx_model_ms(void);
void nx_model_run_timers(void);
/* nx_host_recv in slices, with timers in between. */
int nx_model_recv(void *data, size_t cap, uint32_t timeout_ms);

#endif
