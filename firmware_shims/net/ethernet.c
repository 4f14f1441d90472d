/* net/interface.h over a board's Ethernet MAC (net/port.h), with a static address or DHCP. */
#include <string.h>

#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/etharp.h"
#include "net/interface.h"
#include "net/port.h"
#ifndef HIL_NET_DHCP
#include "board_config.h"
#endif

struct netif hil_interface;

static err_t link_output(struct netif *netif, struct pbuf *frame) {
    (void)netif;
    return hil_eth_output(frame) == 0 ? ERR_OK : ERR_IF;
}

static err_t interface_init(struct netif *netif) {
    netif->name[0] = 'e';
    netif->name[1] = '0';
    netif->mtu = 1500;
    netif->hwaddr_len = ETH_HWADDR_LEN;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    netif->output = etharp_output;
    netif->linkoutput = link_output;
    return hil_eth_start(netif->hwaddr) == 0 ? ERR_OK : ERR_IF;
}

bool hil_interface_pending(void) {
    return hil_eth_pending();
}

bool hil_interface_poll(void) {
    struct pbuf *frame;
    bool worked = false;
    while ((frame = hil_eth_input()) != NULL) {
        worked = true;
        if (hil_interface.input(frame, &hil_interface) != ERR_OK) {
            (void)pbuf_free(frame);
        }
    }
    if (hil_eth_link() != (netif_is_link_up(&hil_interface) != 0)) {
        if (hil_eth_link()) {
            netif_set_link_up(&hil_interface);
        } else {
            netif_set_link_down(&hil_interface);
        }
    }
    return worked;
}

#ifndef HIL_NET_DHCP
/* The bench may give an emulated board a network of its own by its MAC address: 02:"HIL":a:b is 10.a.b.15,
 * gateway 10.a.b.2. Several boards then live side by side. */
static void take_address_from_mac(void) {
    static const uint8_t PREFIX[4] = {0x02, 'H', 'I', 'L'};
    const uint8_t *mac = hil_interface.hwaddr;
    if (memcmp(mac, PREFIX, sizeof PREFIX) != 0) {
        return;
    }
    ip4_addr_t address, netmask, gateway;
    IP4_ADDR(&address, 10, mac[4], mac[5], 15);
    IP4_ADDR(&gateway, 10, mac[4], mac[5], 2);
    IP4_ADDR(&netmask, 255, 255, 255, 0);
    netif_set_addr(&hil_interface, &address, &netmask, &gateway);
}
#endif

int hil_interface_start(void) {
#ifdef HIL_NET_DHCP
    if (netif_add(&hil_interface, NULL, NULL, NULL, NULL, interface_init, netif_input) == NULL) {
        return -1;
    }
#else
    ip4_addr_t address, netmask, gateway;
    ip_addr_t server;
    if (!ip4addr_aton(HIL_IP_ADDRESS, &address) || !ip4addr_aton(HIL_IP_NETMASK, &netmask) ||
        !ip4addr_aton(HIL_IP_GATEWAY, &gateway) || !ipaddr_aton(HIL_IP_DNS, &server) ||
        netif_add(&hil_interface, &address, &netmask, &gateway, NULL, interface_init, netif_input) == NULL) {
        return -1;
    }
    dns_setserver(0, &server);
    take_address_from_mac();
#endif
    netif_set_up(&hil_interface);
#ifdef HIL_NET_DHCP
    (void)hil_interface_poll();
    if (dhcp_start(&hil_interface) != ERR_OK) {
        return -1;
    }
#endif
    return 0;
}
