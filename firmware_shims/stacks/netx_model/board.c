/* What include/hil/netx.h wants of a board, for the stand-in. */
#include "hil/netx.h"

#include "nx_model.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>

NX_IP *hil_netx_ip(void) {
    return nx_model_ip();
}

NX_PACKET_POOL *hil_netx_pool(void) {
    return nx_model_pool();
}

UINT hil_netx_resolve(const char *host, ULONG *address, ULONG ticks) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    (void)ticks;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return 0xA3u; /* NX_DNS_QUERY_FAILED */
    const struct sockaddr_in *to = (const struct sockaddr_in *)(const void *)found->ai_addr;
    *address = ntohl(to->sin_addr.s_addr);
    freeaddrinfo(found);
    return NX_SUCCESS;
}
