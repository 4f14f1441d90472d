/* hil/net.h over lwIP's raw TCP API, without an operating system.
 *
 * lwIP's callbacks run only inside hil_net_poll(), which every wait here reaches through hil_board_idle().
 * Received pbufs are kept as they are and copied once, into the caller's buffer; the window opens again when
 * the caller has them. The link below is net/ethernet.c or net/ppp.c (net/interface.h).
 */
#include "hil/net.h"

#include <string.h>

#include "hil/board.h"
#include "hil/service.h"
#include "lwip/init.h"
#include "lwip/ip4_addr.h"
#include "lwip/netif.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"
#include "net/interface.h"
#include "net/lwip_wait.h"
#include "net/port.h"

#define CLOSE_BOUND_MS 1000u /* for our FIN to be acknowledged */
#define PORT_FIRST     49152u
#define PORT_COUNT     16384u
#define PORT_TRIES     8

static bool started;

static struct {
    struct tcp_pcb *pcb;   /* NULL once lwIP freed it */
    struct pbuf *received; /* chain of what the caller has not read */
    bool connected;
    bool fin;    /* the peer will send no more */
    bool failed; /* lwIP gave the connection up: `error` says why */
    err_t error;
} tcp;

static int detail;

/* ---- running it ---- */

bool hil_net_wants_poll(void) {
    return started && hil_interface_pending();
}

uint32_t hil_net_poll(void) {
    if (!started) {
        return UINT32_MAX;
    }
    bool worked = hil_interface_poll();
    sys_check_timeouts();
    return worked ? 0 : sys_timeouts_sleeptime();
}

static int fail(int code, int why) {
    detail = why;
    return code;
}

/* ---- the interface ---- */

static int start(void) {
    lwip_init();
    if (hil_interface_start() != 0) {
        return -1;
    }
    netif_set_default(&hil_interface);
    started = true;
    (void)hil_net_poll();
    return 0;
}

static bool ready(void) {
    return netif_is_link_up(&hil_interface) && !ip4_addr_isany_val(*netif_ip4_addr(&hil_interface));
}

int hil_net_up(uint32_t timeout_ms) {
    if (!started && start() != 0) {
        return fail(HIL_NET_LINK, ERR_IF);
    }
    struct hil_deadline deadline = hil_deadline_in(timeout_ms);
    (void)hil_net_poll();
    while (!ready()) {
        if (!hil_deadline_wait(&deadline)) {
            return fail(HIL_NET_LINK, ERR_IF);
        }
    }
    return HIL_NET_OK;
}

const char *hil_net_address(void) {
    static char text[IP4ADDR_STRLEN_MAX];
    if (!started || !ready()) {
        return "";
    }
    return ip4addr_ntoa_r(netif_ip4_addr(&hil_interface), text, sizeof text);
}

/* ---- TCP ---- */

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t error) {
    (void)arg;
    (void)pcb;
    (void)error; /* always ERR_OK, by lwIP's documentation */
    tcp.connected = true;
    return ERR_OK;
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    (void)arg;
    (void)pcb;
    (void)error;
    if (data == NULL) {
        tcp.fin = true;
    } else if (tcp.received == NULL) {
        tcp.received = data;
    } else {
        pbuf_cat(tcp.received, data);
    }
    return ERR_OK;
}

/* lwIP has freed the pcb already. */
static void on_error(void *arg, err_t error) {
    (void)arg;
    tcp.pcb = NULL;
    tcp.failed = true;
    tcp.error = error;
}

static void forget(void) {
    if (tcp.received != NULL) {
        (void)pbuf_free(tcp.received);
    }
    memset(&tcp, 0, sizeof tcp);
}

/* Takes the callbacks off, so that nothing of the old connection reaches the next one. */
static struct tcp_pcb *detach(void) {
    struct tcp_pcb *pcb = tcp.pcb;
    if (pcb != NULL) {
        tcp_arg(pcb, NULL);
        tcp_recv(pcb, NULL);
        tcp_err(pcb, NULL);
    }
    tcp.pcb = NULL;
    return pcb;
}

static int failure(void) {
    switch (tcp.error) {
    case ERR_RST:
        return fail(HIL_NET_RESET, ERR_RST);
    case ERR_ABRT: /* retransmitted until lwIP gave up */
        return fail(HIL_NET_TIMEOUT, ERR_ABRT);
    default:
        return fail(HIL_NET_ERROR, tcp.error);
    }
}

static err_t bind_ephemeral(struct tcp_pcb *pcb) {
    err_t error = ERR_USE;
    for (int i = 0; i < PORT_TRIES && error == ERR_USE; i++) {
        error = tcp_bind(pcb, IP_ADDR_ANY, (u16_t)(PORT_FIRST + hil_lwip_rand() % PORT_COUNT));
    }
    return error;
}

static int open_connection(const ip_addr_t *address, uint16_t port) {
    struct tcp_pcb *pcb = tcp_new();
    if (pcb == NULL) {
        return fail(HIL_NET_ERROR, ERR_MEM);
    }
    tcp.pcb = pcb;
    tcp_recv(pcb, on_received);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb);
    err_t error = bind_ephemeral(pcb);
    if (error == ERR_OK) {
        error = tcp_connect(pcb, address, port, on_connected);
    }
    if (error != ERR_OK) {
        tcp_abort(detach());
        return fail(HIL_NET_ERROR, error);
    }
    return HIL_NET_OK;
}

int hil_net_connect(const char *host, const char *address, uint16_t port, uint32_t timeout_ms) {
    struct hil_deadline deadline = hil_deadline_in(timeout_ms);
    hil_net_close(1); /* at most one connection */
    if (!started) {
        return fail(HIL_NET_LINK, ERR_IF);
    }
    (void)hil_net_poll();
    if (!ready()) {
        return fail(HIL_NET_LINK, ERR_IF);
    }
    ip_addr_t peer;
    if (address != NULL && address[0] != '\0') {
        if (!ipaddr_aton(address, &peer)) {
            return fail(HIL_NET_NAME, ERR_VAL);
        }
    } else {
        err_t why = ERR_ARG;
        int rc = host == NULL ? HIL_NET_NAME : hil_lwip_resolve(host, &peer, &deadline, &why);
        if (rc != HIL_NET_OK) {
            return fail(rc, why);
        }
    }
    int rc = open_connection(&peer, port);
    if (rc != HIL_NET_OK) {
        return rc;
    }
    while (!tcp.connected && !tcp.failed) {
        if (!hil_deadline_wait(&deadline)) {
            hil_net_close(1);
            return fail(HIL_NET_TIMEOUT, ERR_TIMEOUT);
        }
    }
    if (tcp.failed) {
        rc = failure();
        forget();
        return rc == HIL_NET_RESET ? HIL_NET_REFUSED : rc;
    }
    return HIL_NET_OK;
}

int hil_net_send(const void *data, size_t len, uint32_t timeout_ms) {
    struct hil_deadline deadline = hil_deadline_in(timeout_ms);
    const uint8_t *next = data;
    size_t left = len;
    while (left > 0) {
        if (tcp.pcb == NULL) {
            return tcp.failed ? failure() : fail(HIL_NET_ERROR, ERR_CONN);
        }
        size_t room = tcp_sndbuf(tcp.pcb);
        size_t part = left < room ? left : room;
        err_t error = part > 0 ? tcp_write(tcp.pcb, next, (u16_t)part, TCP_WRITE_FLAG_COPY) : ERR_MEM;
        if (error == ERR_OK) {
            next += part;
            left -= part;
            (void)tcp_output(tcp.pcb);
            continue;
        }
        if (error != ERR_MEM) {
            return fail(HIL_NET_ERROR, error);
        }
        (void)tcp_output(tcp.pcb);
        if (!hil_deadline_wait(&deadline)) {
            return fail(HIL_NET_TIMEOUT, ERR_TIMEOUT);
        }
    }
    return (int)len;
}

/* Copies what fits and gives back the pbufs that are used up. */
static int take(void *out, size_t cap) {
    uint16_t part = tcp.received->tot_len;
    if (part > cap) {
        part = (uint16_t)cap;
    }
    (void)pbuf_copy_partial(tcp.received, out, part, 0);
    tcp.received = pbuf_free_header(tcp.received, part);
    if (tcp.pcb != NULL) {
        tcp_recved(tcp.pcb, part);
    }
    return part;
}

int hil_net_recv(void *data, size_t cap, uint32_t timeout_ms) {
    struct hil_deadline deadline = hil_deadline_in(timeout_ms);
    if (cap == 0) {
        return fail(HIL_NET_ERROR, ERR_ARG);
    }
    (void)hil_net_poll();
    /* What came before a FIN or RST is still read: it may be the alert that explains it. */
    while (tcp.received == NULL) {
        if (tcp.failed) {
            return failure();
        }
        if (tcp.fin) {
            return fail(HIL_NET_CLOSED, ERR_CLSD);
        }
        if (tcp.pcb == NULL) {
            return fail(HIL_NET_ERROR, ERR_CONN);
        }
        if (!hil_deadline_wait(&deadline)) {
            return fail(HIL_NET_TIMEOUT, ERR_TIMEOUT);
        }
    }
    return take(data, cap);
}

int hil_net_readable(void) {
    if (tcp.received == NULL) {
        (void)hil_net_poll();
    }
    return tcp.received != NULL;
}

static void discard(void) {
    if (tcp.received == NULL) {
        return;
    }
    uint16_t len = tcp.received->tot_len;
    (void)pbuf_free(tcp.received);
    tcp.received = NULL;
    if (tcp.pcb != NULL) {
        tcp_recved(tcp.pcb, len);
    }
}

/* Our FIN first, then what still comes is thrown away until the peer's FIN. Closing both directions at once
 * would answer the peer's last bytes (its close_notify, say) with RST, and a good end would look like a bad
 * one on the wire. */
static void close_gently(void) {
    struct hil_deadline deadline = hil_deadline_in(CLOSE_BOUND_MS);
    discard();
    if (tcp_shutdown(tcp.pcb, 0, 1) != ERR_OK) {
        return;
    }
    while (tcp.pcb != NULL && tcp.pcb->state != TIME_WAIT && hil_deadline_wait(&deadline)) {
        discard();
    }
}

void hil_net_close(int abort) {
    if (abort == 0 && tcp.pcb != NULL) {
        close_gently();
    }
    discard();
    struct tcp_pcb *pcb = detach();
    forget();
    if (pcb == NULL || pcb->state == TIME_WAIT) {
        return;
    }
    /* A peer that acknowledged our FIN and sends none is left to lwIP's own timer. */
    if (abort != 0 || pcb->state != FIN_WAIT_2 || tcp_close(pcb) != ERR_OK) {
        tcp_abort(pcb);
    }
}

int hil_net_detail(void) {
    return detail;
}
