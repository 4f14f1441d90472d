/* The model's TCP over lwIP on a serial line: net/lwip.c under the names of host.h. */
#include "host.h"

#include "../../net/lwip.c" // NOLINT(bugprone-suspicious-include): under the names of host.h

int nx_host_resolve(const char *host, uint32_t *address, uint32_t timeout_ms) {
    struct hil_deadline deadline = hil_deadline_in(timeout_ms);
    ip_addr_t found;
    err_t why = ERR_OK;
    int rc = hil_lwip_resolve(host, &found, &deadline, &why);
    if (rc == HIL_NET_OK)
        *address = lwip_ntohl(ip4_addr_get_u32(ip_2_ip4(&found)));
    return rc;
}
