/* Names over lwIP's resolver: one question at a time. */
#include "hil/net.h"

#include "lwip/dns.h"
#include "net/lwip_wait.h"

enum resolve { RESOLVE_IDLE, RESOLVE_WAIT, RESOLVE_DONE, RESOLVE_FAILED };

static struct {
    enum resolve state;
    uint32_t turn; /* an answer to an earlier question is not for us */
    ip_addr_t address;
} dns;

static void on_name(const char *name, const ip_addr_t *address, void *turn) {
    (void)name;
    if ((uint32_t)(uintptr_t)turn != dns.turn || dns.state != RESOLVE_WAIT) {
        return;
    }
    if (address == NULL) {
        dns.state = RESOLVE_FAILED;
        return;
    }
    dns.address = *address;
    dns.state = RESOLVE_DONE;
}

int hil_lwip_resolve(const char *host, ip_addr_t *address, const struct hil_deadline *deadline, err_t *why) {
    dns.turn++;
    dns.state = RESOLVE_WAIT;
    err_t error = dns_gethostbyname(host, address, on_name, (void *)(uintptr_t)dns.turn);
    if (error == ERR_OK) {
        dns.state = RESOLVE_IDLE;
        return HIL_NET_OK;
    }
    if (error != ERR_INPROGRESS) {
        dns.state = RESOLVE_IDLE;
        *why = error;
        return HIL_NET_NAME;
    }
    while (dns.state == RESOLVE_WAIT) {
        if (!hil_deadline_wait(deadline)) {
            dns.state = RESOLVE_IDLE;
            *why = ERR_TIMEOUT;
            return HIL_NET_TIMEOUT;
        }
    }
    bool found = dns.state == RESOLVE_DONE;
    dns.state = RESOLVE_IDLE;
    *address = dns.address;
    *why = found ? ERR_OK : ERR_VAL;
    return found ? HIL_NET_OK : HIL_NET_NAME;
}
