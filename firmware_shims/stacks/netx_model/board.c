/* What include/hil/netx.h wants of a board, for the stand-in. */
#include "hil/netx.h"

#include "host.h"
#include "nx_model.h"

NX_IP *hil_netx_ip(void) {
    return nx_model_ip();
}

NX_PACKET_POOL *hil_netx_pool(void) {
    return nx_model_pool();
}

UINT hil_netx_resolve(const char *host, ULONG *address, ULONG ticks) {
    uint32_t found = 0;
    if (nx_host_resolve(host, &found, (uint32_t)(ticks * 1000u / NX_IP_PERIODIC_RATE)) != HIL_NET_OK)
        return 0xA3u; /* NX_DNS_QUERY_FAILED */
    *address = found;
    return NX_SUCCESS;
}
