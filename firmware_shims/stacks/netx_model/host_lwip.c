/* The model's TCP over lwIP on a serial line: net/lwip.c under the names of host.h. */
#include "host.h"

#include "../../net/lwip.c"

int nx_host_resolve(const char *host, uint32_t *address, uint32_t timeout_ms) {
    struct deadline deadline = deadline_in(timeout_ms);
    ip_addr_t found;
    int rc = resolve(host, &found, &deadline);
    if (rc == HIL_NET_OK)
        *address = lwip_ntohl(ip4_addr_get_u32(ip_2_ip4(&found)));
    return rc;
}
