/* Net over NetX Duo: one TCP client socket. */
#include "hil/net.h"

#include "hil/board.h"
#include "hil/netx.h"
#include "hil/service.h"

#define WINDOW   8192u
#define CLOSE_MS 1000u

static NX_TCP_SOCKET tcp;
static bool made, bound;
static UINT detail;
static NX_PACKET *rest;
static ULONG rest_at;
static TX_TIMER heartbeat;
volatile bool hil_netx_printing;

static VOID on_heartbeat(ULONG input) {
    (void)input;
    if (!hil_netx_printing)
        hil_heartbeat();
}

void hil_netx_wait_begin(void) {
    (void)tx_timer_create(&heartbeat, (CHAR *)(uintptr_t) "hil", on_heartbeat, 0, NX_IP_PERIODIC_RATE / 4,
                          NX_IP_PERIODIC_RATE / 4, TX_AUTO_ACTIVATE);
}

void hil_netx_wait_end(void) {
    (void)tx_timer_delete(&heartbeat);
}

NX_TCP_SOCKET *hil_netx_socket(void) {
    return &tcp;
}

int hil_net_detail(void) {
    return (int)detail;
}

int hil_net_up(uint32_t timeout_ms) {
    ULONG actual = 0;
    detail = nx_ip_status_check(hil_netx_ip(), NX_IP_ADDRESS_RESOLVED, &actual, hil_netx_ticks(timeout_ms));
    return detail == NX_SUCCESS ? HIL_NET_OK : HIL_NET_LINK;
}

const char *hil_net_address(void) {
    static char text[16];
    ULONG address = 0, mask = 0;
    size_t at = 0;
    if (nx_ip_address_get(hil_netx_ip(), &address, &mask) != NX_SUCCESS || address == 0)
        return "";
    for (unsigned i = 4; i-- > 0;) {
        unsigned byte = (unsigned)(address >> (8 * i)) & 0xFFu;
        if (byte >= 100)
            text[at++] = (char)('0' + byte / 100);
        if (byte >= 10)
            text[at++] = (char)('0' + byte / 10 % 10);
        text[at++] = (char)('0' + byte % 10);
        text[at++] = i > 0 ? '.' : '\0';
    }
    return text;
}

/* Dotted IPv4 in host byte order; false when it is none. */
static bool parse_address(const char *text, ULONG *out) {
    ULONG address = 0;
    for (int part = 0; part < 4; part++) {
        unsigned value = 0, digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 3; text++, digits++)
            value = value * 10 + (unsigned)(*text - '0');
        if (digits == 0 || value > 255 || *text != (part < 3 ? '.' : '\0'))
            return false;
        address = address << 8 | value;
        text++;
    }
    *out = address;
    return true;
}

int hil_net_connect(const char *host, const char *address, uint16_t port, uint32_t timeout_ms) {
    ULONG to = 0, wait = hil_netx_ticks(timeout_ms);
    bool given = address != NULL && *address != '\0';
    hil_net_close(1);
    detail = NX_SUCCESS;
    if (given ? !parse_address(address, &to)
              : !parse_address(host, &to) && (detail = hil_netx_resolve(host, &to, wait)) != NX_SUCCESS)
        return HIL_NET_NAME;
    detail = nx_tcp_socket_create(hil_netx_ip(), &tcp, (CHAR *)(uintptr_t) "hil", NX_IP_NORMAL,
                                  NX_FRAGMENT_OKAY, NX_IP_TIME_TO_LIVE, WINDOW, NX_NULL, NX_NULL);
    if (detail != NX_SUCCESS)
        return HIL_NET_ERROR;
    made = true;
    detail = nx_tcp_client_socket_bind(&tcp, NX_ANY_PORT, wait);
    if (detail != NX_SUCCESS)
        return HIL_NET_ERROR;
    bound = true;
    uint32_t start = hil_board_ms();
    hil_netx_wait_begin();
    detail = nx_tcp_client_socket_connect(&tcp, to, port, wait);
    hil_netx_wait_end();
    if (detail == NX_SUCCESS)
        return HIL_NET_OK;
    UINT why = detail;
    bool late = hil_board_ms() - start >= timeout_ms - timeout_ms / 8;
    hil_net_close(1);
    detail = why;
    if (why != NX_NOT_CONNECTED)
        return HIL_NET_ERROR;
    return late ? HIL_NET_TIMEOUT : HIL_NET_REFUSED; /* NetX has one code for both */
}

int hil_net_send(const void *data, size_t len, uint32_t timeout_ms) {
    union {
        const void *in;
        void *out;
    } bytes = {.in = data}; /* only read */
    ULONG wait = hil_netx_ticks(timeout_ms);
    NX_PACKET *packet = NX_NULL;
    if (!bound)
        return HIL_NET_CLOSED;
    detail = nx_packet_allocate(hil_netx_pool(), &packet, NX_TCP_PACKET, wait);
    if (detail != NX_SUCCESS)
        return detail == NX_NO_PACKET ? HIL_NET_TIMEOUT : HIL_NET_ERROR;
    detail = nx_packet_data_append(packet, bytes.out, (ULONG)len, hil_netx_pool(), wait);
    if (detail == NX_SUCCESS)
        detail = nx_tcp_socket_send(&tcp, packet, wait);
    if (detail == NX_SUCCESS)
        return (int)len;
    (void)nx_packet_release(packet);
    return detail == NX_NOT_CONNECTED ? HIL_NET_RESET : HIL_NET_ERROR;
}

int hil_net_recv(void *data, size_t cap, uint32_t timeout_ms) {
    ULONG length = 0, copied = 0;
    if (!bound)
        return HIL_NET_CLOSED;
    if (rest == NX_NULL) {
        rest_at = 0;
        detail = nx_tcp_socket_receive(&tcp, &rest, hil_netx_ticks(timeout_ms));
        if (detail != NX_SUCCESS) {
            rest = NX_NULL;
            return detail == NX_NO_PACKET ? HIL_NET_TIMEOUT : HIL_NET_CLOSED;
        }
    }
    (void)nx_packet_length_get(rest, &length);
    (void)nx_packet_data_extract_offset(rest, rest_at, data, (ULONG)cap, &copied);
    rest_at += copied;
    if (rest_at >= length || copied == 0) {
        (void)nx_packet_release(rest);
        rest = NX_NULL;
    }
    return copied > 0 ? (int)copied : HIL_NET_ERROR;
}

int hil_net_readable(void) {
    ULONG bytes = 0;
    return bound &&
           (rest != NX_NULL || (nx_tcp_socket_bytes_available(&tcp, &bytes) == NX_SUCCESS && bytes > 0));
}

void hil_net_close(int abort) {
    if (rest != NX_NULL)
        (void)nx_packet_release(rest);
    rest = NX_NULL;
    if (bound) {
        /* No wait: RST. */
        detail = nx_tcp_socket_disconnect(&tcp, abort != 0 ? NX_NO_WAIT : hil_netx_ticks(CLOSE_MS));
        (void)nx_tcp_client_socket_unbind(&tcp);
    }
    if (made)
        (void)nx_tcp_socket_delete(&tcp);
    made = bound = false;
}
