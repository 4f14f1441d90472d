/* net/interface.h over PPP on a board's UART (lwIP's pppos): the peer gives the address; a link that goes
 * down is dialled again. */
#include "board_config.h"
#include "hil/board.h"
#include "lwip/dns.h"
#include "lwip/sys.h"
#include "netif/ppp/pppos.h"
#include "net/interface.h"
#include "net/port.h"

#define REDIAL_S 1u

struct netif hil_interface;

static ppp_pcb *ppp;

/* lwIP's name for a clock that need not be in any unit. */
u32_t sys_jiffies(void) {
    return hil_board_ms();
}

static u32_t on_output(ppp_pcb *pcb, u8_t *data, u32_t len, void *context) {
    (void)pcb;
    (void)context;
    return hil_serial_write(data, len) == 0 ? len : 0;
}

/* lwIP has set address, routes and the interface's state. This is called from its timers and its input. */
static void on_state(ppp_pcb *pcb, int error, void *context) {
    (void)context;
    if (error != PPPERR_NONE) {
        (void)ppp_connect(pcb, REDIAL_S);
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
        pppos_input(ppp, part, (int)n);
    }
    return worked;
}

int hil_interface_start(void) {
    ip_addr_t server;
    ip4_addr_t peer;
    if (hil_serial_start() != 0 || !ipaddr_aton(HIL_IP_DNS, &server) ||
        !ip4addr_aton(HIL_IP_GATEWAY, &peer)) {
        return -1;
    }
    ppp = pppos_create(&hil_interface, on_output, on_state, NULL);
    if (ppp == NULL) {
        return -1;
    }
    dns_setserver(0, &server);
    ppp_set_ipcp_hisaddr(ppp, &peer); /* some peers end IPCP when they are not told their own address */
    return ppp_connect(ppp, 0) == ERR_OK ? 0 : -1;
}
