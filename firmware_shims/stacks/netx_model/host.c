#include "host.h"

#include "../../net/posix.c" // NOLINT(bugprone-suspicious-include): under the names of host.h

int nx_host_resolve(const char *host, uint32_t *address, uint32_t timeout_ms) {
    struct sockaddr_in to;
    (void)timeout_ms; /* the machine's resolver has its own */
    int rc = resolve(host, "", &to);
    if (rc == HIL_NET_OK)
        *address = ntohl(to.sin_addr.s_addr);
    return rc;
}
