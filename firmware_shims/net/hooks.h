/* Hooks lwIP calls; implemented in net/lwip_hooks.c. */
#ifndef HIL_LWIP_HOOKS_H
#define HIL_LWIP_HOOKS_H

#include "lwip/ip_addr.h"

u32_t hil_lwip_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote, u16_t remote_port);
#define LWIP_HOOK_TCP_ISN hil_lwip_isn

struct netif;
struct netif *hil_lwip_route(const ip4_addr_t *dest);
#define LWIP_HOOK_IP4_ROUTE hil_lwip_route

#endif
