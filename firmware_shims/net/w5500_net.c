/* hil/net.h over the W5500: one TCP socket of the chip. The chip does TCP; we look at Sn_SR, Sn_IR and the
 * counters once a millisecond.
 *
 * What Sn_SR does not say: a socket that is CLOSED without our doing was reset by the peer, unless Sn_IR has
 * TIMEOUT. CLOSE sends nothing, so hil_net_close(1) leaves the peer to find out.
 */
#include "hil/net.h"

#include "hil/board.h"
#include "hil/service.h"
#include "w5500.h"

#include <string.h>

#define POLL_MS    1u
#define CLOSE_MS   1000u /* how long a close waits for the peer's FIN */
#define FIRST_PORT 49152u
#define SOCKET     HIL_W5500_TCP_SOCKET
#define REG        HIL_W5500_REG(SOCKET)

static bool is_open;
static int detail;
static uint16_t next_port;
static char address_text[16];

/* The chip or its bus failed. */
static int failure(int rc) {
    detail = rc;
    return HIL_NET_ERROR;
}

static bool over(uint32_t start, uint32_t timeout_ms) {
    return hil_board_ms() - start >= timeout_ms;
}

static void pause_briefly(void) {
    hil_heartbeat();
    hil_board_idle(POLL_MS);
}

static void print_address(const uint8_t ip[4]) {
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        if (ip[i] >= 100)
            address_text[at++] = (char)('0' + ip[i] / 100);
        if (ip[i] >= 10)
            address_text[at++] = (char)('0' + ip[i] / 10 % 10);
        address_text[at++] = (char)('0' + ip[i] % 10);
        address_text[at++] = i < 3 ? '.' : '\0';
    }
}

int hil_net_up(uint32_t timeout_ms) {
    const struct hil_w5500_address *own = hil_w5500_address();
    uint32_t start = hil_board_ms();
    is_open = false;
    address_text[0] = '\0';
    int rc = hil_w5500_start(own);
    if (rc != 0)
        return failure(rc);
    while ((rc = hil_w5500_link()) == 0 && !over(start, timeout_ms))
        pause_briefly();
    if (rc < 0)
        return failure(rc);
    if (rc == 0)
        return HIL_NET_LINK;
    print_address(own->ip);
    return HIL_NET_OK;
}

const char *hil_net_address(void) {
    return address_text;
}

/* Four numbers with dots and nothing else. */
static bool parse_address(const char *text, uint8_t ip[4]) {
    for (int i = 0; i < 4; i++) {
        unsigned value = 0, digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 3; text++, digits++)
            value = value * 10 + (unsigned)(*text - '0');
        if (digits == 0 || value > 255 || *text != (i < 3 ? '.' : '\0'))
            return false;
        ip[i] = (uint8_t)value;
        text += i < 3;
    }
    return true;
}

/* Sn_SR and Sn_IR together. */
static int look(uint8_t *state, uint8_t *interrupts) {
    int rc = hil_w5500_get8(REG, HIL_W5500_SN_SR, state);
    return rc != 0 ? rc : hil_w5500_get8(REG, HIL_W5500_SN_IR, interrupts);
}

/* What a state in which nothing can be exchanged means. */
static int ended(uint8_t interrupts) {
    return (interrupts & HIL_W5500_IR_TIMEOUT) != 0 ? HIL_NET_TIMEOUT : HIL_NET_RESET;
}

static int give_up(int rc) {
    int close_rc = hil_w5500_command(SOCKET, HIL_W5500_CMD_CLOSE);
    if (close_rc != 0 && rc != HIL_NET_ERROR)
        detail = close_rc;
    is_open = false;
    return rc;
}

/* A port that the last connection did not have: its other end may still be waiting there. */
static uint16_t local_port(void) {
    if (next_port == 0)
        next_port = (uint16_t)(hil_board_ms() & 0x3FFFu);
    next_port = (uint16_t)((next_port + 1u) & 0x3FFFu);
    return (uint16_t)(FIRST_PORT + next_port);
}

int hil_net_connect(const char *host, const char *address, uint16_t port, uint32_t timeout_ms) {
    uint32_t start = hil_board_ms();
    uint8_t ip[4], state = 0, interrupts = 0;
    hil_net_close(1);
    detail = 0;
    if (address != NULL && *address != '\0') {
        if (!parse_address(address, ip))
            return HIL_NET_NAME;
    } else if (!parse_address(host, ip)) {
        int named = hil_w5500_resolve(host, ip, timeout_ms);
        if (named != HIL_NET_OK)
            return named;
    }
    int up = hil_w5500_link();
    if (up < 0)
        return failure(up);
    if (up == 0)
        return HIL_NET_LINK;
    int rc = hil_w5500_open(SOCKET, HIL_W5500_MODE_TCP, local_port());
    if (rc == 0)
        rc = hil_w5500_write(REG, HIL_W5500_SN_DIPR, ip, sizeof ip);
    if (rc == 0)
        rc = hil_w5500_set16(REG, HIL_W5500_SN_DPORT, port);
    if (rc == 0)
        rc = hil_w5500_command(SOCKET, HIL_W5500_CMD_CONNECT);
    while (rc == 0 && (rc = look(&state, &interrupts)) == 0) {
        if (state == HIL_W5500_ESTABLISHED || state == HIL_W5500_CLOSE_WAIT) {
            is_open = true;
            return HIL_NET_OK;
        }
        if (state == HIL_W5500_CLOSED)
            return give_up((interrupts & HIL_W5500_IR_TIMEOUT) != 0 ? HIL_NET_TIMEOUT : HIL_NET_REFUSED);
        if (over(start, timeout_ms))
            return give_up(HIL_NET_TIMEOUT);
        pause_briefly();
    }
    return give_up(failure(rc));
}

/* Until the chip has the peer's acknowledgement of a SEND: one more SEND before that would be lost. */
static int wait_sent(uint32_t start, uint32_t timeout_ms) {
    for (;;) {
        uint8_t state = 0, interrupts = 0;
        bool late = over(start, timeout_ms);
        int rc = look(&state, &interrupts);
        if (rc != 0)
            return failure(rc);
        if ((interrupts & HIL_W5500_IR_SENDOK) != 0) {
            rc = hil_w5500_set8(REG, HIL_W5500_SN_IR, HIL_W5500_IR_SENDOK);
            return rc != 0 ? failure(rc) : HIL_NET_OK;
        }
        if (state != HIL_W5500_ESTABLISHED && state != HIL_W5500_CLOSE_WAIT)
            return ended(interrupts);
        if (late)
            return HIL_NET_TIMEOUT;
        pause_briefly();
    }
}

int hil_net_send(const void *data, size_t len, uint32_t timeout_ms) {
    const uint8_t *at = data;
    size_t left = len;
    uint32_t start = hil_board_ms();
    if (!is_open)
        return HIL_NET_CLOSED;
    while (left > 0) {
        uint8_t state = 0, interrupts = 0;
        int rc = look(&state, &interrupts);
        if (rc != 0)
            return failure(rc);
        if (state != HIL_W5500_ESTABLISHED && state != HIL_W5500_CLOSE_WAIT)
            return ended(interrupts);
        /* A SENDOK that came too late for the last call is not this one's. */
        if ((rc = hil_w5500_set8(REG, HIL_W5500_SN_IR, HIL_W5500_IR_SENDOK)) != 0)
            return failure(rc);
        int n = hil_w5500_put(SOCKET, at, left);
        if (n < 0)
            return failure(n);
        at += n;
        left -= (size_t)n;
        if (n > 0 && (rc = wait_sent(start, timeout_ms)) != HIL_NET_OK)
            return rc;
        if (n == 0 && over(start, timeout_ms))
            return HIL_NET_TIMEOUT;
        if (n == 0)
            pause_briefly();
    }
    return (int)len;
}

int hil_net_recv(void *data, size_t cap, uint32_t timeout_ms) {
    uint32_t start = hil_board_ms();
    if (!is_open)
        return HIL_NET_CLOSED;
    for (;;) {
        uint8_t state = 0, interrupts = 0;
        bool late = over(start, timeout_ms);
        /* The state before the bytes: a FIN seen here came behind all that is counted below. */
        int rc = look(&state, &interrupts);
        if (rc != 0)
            return failure(rc);
        int n = hil_w5500_take(SOCKET, data, cap);
        if (n != 0)
            return n > 0 ? n : failure(n);
        if (state == HIL_W5500_CLOSE_WAIT)
            return HIL_NET_CLOSED;
        if (state != HIL_W5500_ESTABLISHED)
            return ended(interrupts);
        if (late)
            return HIL_NET_TIMEOUT;
        pause_briefly();
    }
}

int hil_net_readable(void) {
    uint16_t waiting = 0;
    return is_open && hil_w5500_counter(SOCKET, HIL_W5500_SN_RX_RSR, &waiting) == 0 && waiting > 0;
}

void hil_net_close(int abort) {
    uint8_t sink[64], state = 0, interrupts = 0;
    uint32_t start = hil_board_ms();
    if (!is_open)
        return;
    int rc = abort != 0 ? 1 : hil_w5500_command(SOCKET, HIL_W5500_CMD_DISCON);
    while (rc == 0 && !over(start, CLOSE_MS)) {
        rc = look(&state, &interrupts);
        if (rc == 0 && state == HIL_W5500_CLOSED)
            break;
        if (rc == 0 &&
            hil_w5500_take(SOCKET, sink, sizeof sink) <= 0) /* a full memory would hold the FIN back */
            pause_briefly();
    }
    (void)give_up(HIL_NET_CLOSED);
}

int hil_net_detail(void) {
    return detail;
}
