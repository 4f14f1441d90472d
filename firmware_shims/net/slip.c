/* net/interface.h over SLIP (RFC 1055) on a board's UART, with the board's static address. 18 KB smaller than
 * PPP, but with no check sequence and no link state: it is up as soon as it is started. */
#include "board_config.h"
#include "lwip/dns.h"
#include "lwip/ip.h"
#include "lwip/pbuf.h"
#include "net/interface.h"
#include "net/port.h"

enum { END = 0xC0, ESC = 0xDB, ESC_END = 0xDC, ESC_ESC = 0xDD };
#define PACKET_MAX 1500u

struct netif hil_interface;

static uint8_t packet[PACKET_MAX];
static uint16_t packet_len;
static bool escaped, broken;

static int send_escaped(const uint8_t *bytes, size_t len) {
    static const uint8_t END_ESCAPED[2] = {ESC, ESC_END}, ESC_ESCAPED[2] = {ESC, ESC_ESC};
    size_t plain = 0; /* first byte not sent yet */
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != END && bytes[i] != ESC) {
            continue;
        }
        if (hil_serial_write(bytes + plain, i - plain) != 0 ||
            hil_serial_write(bytes[i] == END ? END_ESCAPED : ESC_ESCAPED, 2) != 0) {
            return -1;
        }
        plain = i + 1;
    }
    return hil_serial_write(bytes + plain, len - plain);
}

static err_t on_output(struct netif *netif, struct pbuf *data, const ip4_addr_t *to) {
    static const uint8_t FLAG = END;
    (void)netif;
    (void)to;
    int rc = hil_serial_write(&FLAG, 1); /* ends noise, if there was any */
    for (const struct pbuf *part = data; part != NULL && rc == 0; part = part->next) {
        rc = send_escaped(part->payload, part->len);
    }
    if (rc == 0) {
        rc = hil_serial_write(&FLAG, 1);
    }
    return rc == 0 ? ERR_OK : ERR_IF;
}

static err_t interface_init(struct netif *netif) {
    netif->name[0] = 's';
    netif->name[1] = 'l';
    netif->mtu = PACKET_MAX;
    netif->output = on_output;
    return ERR_OK;
}

static void packet_ends(void) {
    if (packet_len > 0 && !broken) {
        struct pbuf *copy = pbuf_alloc(PBUF_RAW, packet_len, PBUF_POOL);
        if (copy != NULL && (pbuf_take(copy, packet, packet_len) != ERR_OK ||
                             hil_interface.input(copy, &hil_interface) != ERR_OK)) {
            (void)pbuf_free(copy);
        }
    }
    packet_len = 0;
    escaped = broken = false;
}

static void take(uint8_t byte) {
    if (byte == END) {
        packet_ends();
        return;
    }
    if (byte == ESC && !escaped) {
        escaped = true;
        return;
    }
    if (escaped) {
        broken = broken || (byte != ESC_END && byte != ESC_ESC);
        byte = byte == ESC_END ? END : ESC;
        escaped = false;
    }
    if (packet_len == PACKET_MAX) {
        broken = true;
    } else {
        packet[packet_len++] = byte;
    }
}

bool hil_interface_pending(void) {
    return hil_serial_pending();
}

bool hil_interface_poll(void) {
    uint8_t part[256];
    size_t n;
    bool worked = false;
    while ((n = hil_serial_read(part, sizeof part)) > 0) {
        worked = true;
        for (size_t i = 0; i < n; i++) {
            take(part[i]);
        }
    }
    return worked;
}

int hil_interface_start(void) {
    ip4_addr_t address, netmask, gateway;
    ip_addr_t server;
    if (hil_serial_start() != 0 || !ip4addr_aton(HIL_IP_ADDRESS, &address) ||
        !ip4addr_aton(HIL_IP_NETMASK, &netmask) || !ip4addr_aton(HIL_IP_GATEWAY, &gateway) ||
        !ipaddr_aton(HIL_IP_DNS, &server) ||
        netif_add(&hil_interface, &address, &netmask, &gateway, NULL, interface_init, ip_input) == NULL) {
        return -1;
    }
    dns_setserver(0, &server);
    netif_set_link_up(&hil_interface);
    netif_set_up(&hil_interface);
    return 0;
}
