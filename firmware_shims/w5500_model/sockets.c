/* One socket: commands, states, counters, interrupts. */
#include "sockets.h"

#include <string.h>

enum { TCP = 1, UDP = 2, MACRAW = 4 };
enum {
    OPEN = 0x01,
    LISTEN = 0x02,
    CONNECT = 0x04,
    DISCON = 0x08,
    CLOSE = 0x10,
    SEND = 0x20,
    SEND_MAC = 0x21
};
enum { SEND_KEEP = 0x22, RECV = 0x40 };
enum { I_CON = 0x01, I_DISCON = 0x02, I_RECV = 0x04, I_TIMEOUT = 0x08, I_SENDOK = 0x10 };
enum {
    S_CLOSED = 0x00,
    S_INIT = 0x13,
    S_LISTEN = 0x14,
    S_SYNSENT = 0x15,
    S_ESTABLISHED = 0x17,
    S_FIN_WAIT = 0x18
};
enum { S_CLOSE_WAIT = 0x1C, S_LAST_ACK = 0x1D, S_UDP = 0x22, S_MACRAW = 0x42 };
#define DATAGRAM   2048u
#define UDP_HEADER 8u

static uint16_t get16(const struct w5500_socket *s, unsigned at) {
    return (uint16_t)(s->reg[at] << 8 | s->reg[at + 1]);
}

void w5500_socket_reset(struct w5500_socket *s) {
    memset(s, 0, sizeof *s);
    s->reg[0x16] = 0x80;
    s->reg[RXBUF] = s->reg[TXBUF] = 2;
    s->reg[IMR] = 0xFF;
    s->reg[0x2D] = 0x40;
    memset(s->reg + 0x06, 0xFF, 6);
}

uint32_t w5500_size(const struct w5500_model *m, unsigned n, bool rx) {
    uint8_t kb = m->sockets[n].reg[rx ? RXBUF : TXBUF];
    return kb == 1 || kb == 2 || kb == 4 || kb == 8 || kb == 16 ? kb * 1024u : 0;
}

static uint32_t waiting(const struct w5500_model *m, unsigned n) {
    uint16_t count = (uint16_t)(m->sockets[n].rx_wr - m->sockets[n].rx_rd);
    uint32_t size = w5500_size(m, n, true);
    return count < size ? count : size;
}

static uint32_t unsent(const struct w5500_model *m, unsigned n) {
    uint16_t count = (uint16_t)(m->sockets[n].tx_end - m->sockets[n].tx_rd);
    uint32_t size = w5500_size(m, n, false);
    return count < size ? count : size;
}

uint8_t w5500_reg_read(struct w5500_model *m, unsigned n, uint16_t at) {
    struct w5500_socket *s = &m->sockets[n];
    if (at >= sizeof s->reg) {
        m->misuse++;
        return 0;
    }
    uint32_t value;
    switch (at & ~1u) {
    case 0x00:
        if (at == MR)
            return s->reg[MR];
        if (s->busy == 0)
            return 0;
        s->busy--;
        return s->reg[CR];
    case TX_FSR:
        value = w5500_size(m, n, false) - unsent(m, n);
        break;
    case TX_RD:
        value = s->tx_rd;
        break;
    case RX_RSR:
        value = waiting(m, n);
        break;
    case RX_WR:
        value = s->rx_wr;
        break;
    default:
        return s->reg[at];
    }
    return (uint8_t)((at & 1u) != 0 ? value : value >> 8);
}

void w5500_release(struct w5500_model *m, unsigned n) {
    if (m->sockets[n].held)
        m->host.close(m->host.ctx, n);
    m->sockets[n].held = m->sockets[n].finishing = m->sockets[n].unsent = false;
}

static void closed(struct w5500_model *m, unsigned n, uint8_t interrupt) {
    w5500_release(m, n);
    m->sockets[n].reg[SR] = S_CLOSED;
    m->sockets[n].reg[IR] |= interrupt;
}

static void set_pointers(struct w5500_model *m, unsigned n) {
    struct w5500_socket *s = &m->sockets[n];
    s->tx_rd = s->tx_end = s->rx_rd = s->rx_wr = m->first_pointer;
    s->reg[TX_WR] = s->reg[RX_RD] = (uint8_t)(m->first_pointer >> 8);
    s->reg[TX_WR + 1] = s->reg[RX_RD + 1] = (uint8_t)m->first_pointer;
}

static void do_open(struct w5500_model *m, unsigned n) {
    struct w5500_socket *s = &m->sockets[n];
    uint8_t protocol = s->reg[MR] & 0x0Fu;
    w5500_release(m, n);
    s->reg[SR] = S_CLOSED;
    set_pointers(m, n);
    if (protocol == TCP || protocol == UDP) {
        if (!m->host.open(m->host.ctx, n, protocol == UDP, get16(s, PORT)))
            return;
        s->held = true;
        s->reg[SR] = protocol == UDP ? S_UDP : S_INIT;
    } else if (protocol == MACRAW && n == 0) {
        s->reg[SR] = S_MACRAW;
    } else {
        m->misuse++;
    }
}

static void do_connect(struct w5500_model *m, unsigned n) {
    struct w5500_socket *s = &m->sockets[n];
    static const uint8_t NONE[4];
    if (s->reg[SR] != S_INIT || memcmp(s->reg + DIPR, NONE, 4) == 0 || get16(s, DPORT) == 0) {
        m->misuse++;
        return;
    }
    s->reg[SR] = S_SYNSENT;
    s->since = m->host.ms(m->host.ctx);
    if (!m->host.connect(m->host.ctx, n, s->reg + DIPR, get16(s, DPORT)))
        closed(m, n, I_TIMEOUT);
}

static void do_send(struct w5500_model *m, unsigned n) {
    struct w5500_socket *s = &m->sockets[n];
    if (s->reg[SR] != S_ESTABLISHED && s->reg[SR] != S_CLOSE_WAIT && s->reg[SR] != S_UDP) {
        m->misuse++;
        return;
    }
    uint16_t size = (uint16_t)w5500_size(m, n, false);
    if (s->unsent || (uint16_t)(get16(s, TX_WR) - s->tx_rd) > size)
        m->misuse++; /* before the last SENDOK, or more than there is room for */
    s->tx_end = (uint16_t)(get16(s, TX_WR) - s->tx_rd) > size ? (uint16_t)(s->tx_rd + size) : get16(s, TX_WR);
    s->unsent = true;
}

static void do_recv(struct w5500_model *m, unsigned n) {
    struct w5500_socket *s = &m->sockets[n];
    uint16_t taken = (uint16_t)(get16(s, RX_RD) - s->rx_rd);
    if (taken > waiting(m, n)) {
        m->misuse++;
        s->rx_rd = s->rx_wr;
    } else {
        s->rx_rd = get16(s, RX_RD);
    }
}

static void do_discon(struct w5500_model *m, unsigned n) {
    struct w5500_socket *s = &m->sockets[n];
    switch (s->reg[SR]) {
    case S_ESTABLISHED:
        s->reg[SR] = S_FIN_WAIT;
        s->finishing = true;
        break;
    case S_CLOSE_WAIT:
        s->reg[SR] = S_LAST_ACK;
        s->finishing = true;
        break;
    case S_INIT:
    case S_LISTEN:
    case S_SYNSENT:
        closed(m, n, 0);
        break;
    default:
        m->misuse++;
        break;
    }
}

static void command(struct w5500_model *m, unsigned n, uint8_t value) {
    struct w5500_socket *s = &m->sockets[n];
    s->reg[CR] = value;
    s->busy = (uint8_t)(1 + m->slow);
    switch (value) {
    case OPEN:
        do_open(m, n);
        break;
    case LISTEN:
        if (s->reg[SR] == S_INIT)
            s->reg[SR] = S_LISTEN;
        else
            m->misuse++;
        break;
    case CONNECT:
        do_connect(m, n);
        break;
    case DISCON:
        do_discon(m, n);
        break;
    case CLOSE:
        closed(m, n, 0);
        break;
    case SEND:
    case SEND_MAC:
        do_send(m, n);
        break;
    case SEND_KEEP:
        break;
    case RECV:
        do_recv(m, n);
        break;
    default:
        m->misuse++;
        break;
    }
    w5500_run(m, n);
}

void w5500_reg_write(struct w5500_model *m, unsigned n, uint16_t at, uint8_t value) {
    struct w5500_socket *s = &m->sockets[n];
    bool read_only = at == SR || (at >= TX_FSR && at < TX_WR) || at == RX_RSR || at == RX_RSR + 1 ||
                     at == RX_WR || at == RX_WR + 1;
    if (at >= sizeof s->reg || read_only)
        m->misuse++;
    else if (at == CR)
        command(m, n, value);
    else if (at == IR)
        s->reg[IR] &= (uint8_t)~value;
    else
        s->reg[at] = value;
}

/* RTR doubles with each repetition, up to 65535 (datasheet 4.1, RCR). Its unit is 100 us. */
static uint32_t patience_ms(const struct w5500_model *m) {
    uint64_t rtr = (uint64_t)(m->common[0x19] << 8 | m->common[0x1A]), sum = 0;
    for (unsigned i = 0; i <= m->common[0x1B]; i++) {
        sum += rtr;
        rtr = rtr * 2 > 0xFFFF ? 0xFFFF : rtr * 2;
    }
    return (uint32_t)(sum / 10);
}

static void connecting(struct w5500_model *m, unsigned n) {
    struct w5500_socket *s = &m->sockets[n];
    switch (m->host.connected(m->host.ctx, n)) {
    case W5500_CONNECTED:
        set_pointers(m, n);
        s->reg[SR] = S_ESTABLISHED;
        s->reg[IR] |= I_CON;
        break;
    case W5500_REFUSED:
        closed(m, n, I_DISCON);
        break;
    case W5500_UNREACHABLE:
        closed(m, n, I_TIMEOUT);
        break;
    default:
        if (m->host.ms(m->host.ctx) - s->since >= patience_ms(m))
            closed(m, n, I_TIMEOUT);
        break;
    }
}

static void send_some(struct w5500_model *m, unsigned n) {
    struct w5500_socket *s = &m->sockets[n];
    bool udp = s->reg[SR] == S_UDP;
    uint8_t bytes[DATAGRAM];
    uint32_t left;
    while ((left = unsent(m, n)) > 0) {
        size_t len = left < sizeof bytes ? left : sizeof bytes;
        for (size_t i = 0; i < len; i++)
            bytes[i] = *w5500_tx_at(m, n, (uint16_t)(s->tx_rd + i));
        long sent = m->host.send(m->host.ctx, n, bytes, len, s->reg + DIPR, get16(s, DPORT));
        if (sent == W5500_GONE) {
            closed(m, n, udp ? I_TIMEOUT : I_DISCON);
            return;
        }
        if (sent <= 0)
            return;
        s->tx_rd = (uint16_t)(s->tx_rd + (udp || (size_t)sent > len ? len : (size_t)sent));
    }
    s->unsent = false;
    s->reg[IR] |= I_SENDOK;
}

static void store(struct w5500_model *m, unsigned n, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++)
        *w5500_rx_at(m, n, (uint16_t)(m->sockets[n].rx_wr + i)) = data[i];
    m->sockets[n].rx_wr = (uint16_t)(m->sockets[n].rx_wr + len);
    if (len > 0)
        m->sockets[n].reg[IR] |= I_RECV;
}

static void fin_came(struct w5500_model *m, unsigned n) {
    struct w5500_socket *s = &m->sockets[n];
    if (s->reg[SR] == S_ESTABLISHED) {
        s->reg[SR] = S_CLOSE_WAIT;
        s->reg[IR] |= I_DISCON;
    } else if (s->reg[SR] != S_CLOSE_WAIT) {
        closed(m, n, I_DISCON); /* FIN_WAIT: TIME_WAIT is not waited for */
    }
}

static void receive_some(struct w5500_model *m, unsigned n) {
    struct w5500_socket *s = &m->sockets[n];
    bool udp = s->reg[SR] == S_UDP;
    uint8_t bytes[DATAGRAM + UDP_HEADER];
    uint32_t room = w5500_size(m, n, true) - waiting(m, n);
    size_t before = udp ? UDP_HEADER : 0;
    if (room <= before)
        return;
    uint8_t ip[4] = {0, 0, 0, 0};
    uint16_t port = 0;
    size_t cap = room - before < DATAGRAM ? room - before : DATAGRAM;
    long got = m->host.recv(m->host.ctx, n, bytes + before, cap, ip, &port);
    if (got == W5500_GONE) {
        closed(m, n, I_DISCON);
    } else if (got == W5500_FIN && !udp) {
        fin_came(m, n);
    } else if (got >= 0 && (size_t)got <= cap) {
        if (udp) {
            memcpy(bytes, ip, 4);
            bytes[4] = (uint8_t)(port >> 8);
            bytes[5] = (uint8_t)port;
            bytes[6] = (uint8_t)(got >> 8);
            bytes[7] = (uint8_t)got;
        }
        store(m, n, bytes, before + (size_t)got);
    }
}

void w5500_run(struct w5500_model *m, unsigned n) {
    struct w5500_socket *s = &m->sockets[n];
    if (!s->held)
        return;
    if (s->reg[SR] == S_SYNSENT)
        connecting(m, n);
    if (s->unsent && s->held)
        send_some(m, n);
    if (s->held && s->finishing && !s->unsent) {
        s->finishing = false;
        m->host.finish(m->host.ctx, n);
        if (s->reg[SR] == S_LAST_ACK)
            closed(m, n, I_DISCON);
    }
    uint8_t state = s->reg[SR];
    if (s->held && (state == S_ESTABLISHED || state == S_CLOSE_WAIT || state == S_FIN_WAIT || state == S_UDP))
        receive_some(m, n);
}
