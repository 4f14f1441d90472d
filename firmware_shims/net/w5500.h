/* W5500: the chip's registers and sockets over SPI, from its datasheet (WIZnet W5500 v1.1.0), and hil/net.h
 * on top of them (net/w5500_net.c, net/w5500_dns.c). No heap; every wait ends at a deadline or
 * HIL_W5500_COMMAND_MS.
 *
 * A board gives three things: hil_w5500_select, hil_w5500_exchange and hil_w5500_address. SPI mode 0 or 3, at
 * most 33 MHz where the wiring allows. Nothing here is reentrant: one task owns the chip.
 */
#ifndef HIL_W5500_H
#define HIL_W5500_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- given by the board --- */

/* Chip select low (true) or high. */
void hil_w5500_select(bool low);

/* `len` bytes out of `out` (NULL: zeros) and into `in` (NULL: dropped). 0, or a negative number of the
 * board's: the transfer did not come about. */
int hil_w5500_exchange(const uint8_t *out, uint8_t *in, size_t len);

struct hil_w5500_address {
    uint8_t mac[6], ip[4], mask[4], gateway[4], dns[4]; /* dns 0.0.0.0: no names */
};
const struct hil_w5500_address *hil_w5500_address(void);

/* --- the chip --- */

enum {
    HIL_W5500_OK = 0,
    HIL_W5500_SPI = -1,     /* the board's exchange failed */
    HIL_W5500_CHIP = -2,    /* VERSIONR is not 4: no chip, no power, wrong wiring */
    HIL_W5500_COMMAND = -3, /* Sn_CR was not taken in time */
    HIL_W5500_STATE = -4,   /* the socket is not in the state the command leads to */
    HIL_W5500_UNSTEADY = -5 /* a 16 bit counter would not read the same twice */
};

#define HIL_W5500_COMMAND_MS 50u /* bound of one command, and of the reset */
#define HIL_W5500_BUFFER_KB  2u  /* per socket and direction: what the chip has after reset */
#define HIL_W5500_SOCKETS    8u

/* Blocks of the address space (BSB): the common registers; registers, TX and RX memory of socket n. */
#define HIL_W5500_COMMON 0u
#define HIL_W5500_REG(n) (4u * (n) + 1u)
#define HIL_W5500_TX(n)  (4u * (n) + 2u)
#define HIL_W5500_RX(n)  (4u * (n) + 3u)

/* Common registers */
enum {
    HIL_W5500_MR = 0x00,
    HIL_W5500_GAR = 0x01,
    HIL_W5500_SUBR = 0x05,
    HIL_W5500_SHAR = 0x09,
    HIL_W5500_SIPR = 0x0F,
    HIL_W5500_RTR = 0x19,
    HIL_W5500_RCR = 0x1B,
    HIL_W5500_PHYCFGR = 0x2E,
    HIL_W5500_VERSIONR = 0x39
};

/* Socket registers */
enum {
    HIL_W5500_SN_MR = 0x00,
    HIL_W5500_SN_CR = 0x01,
    HIL_W5500_SN_IR = 0x02,
    HIL_W5500_SN_SR = 0x03,
    HIL_W5500_SN_PORT = 0x04,
    HIL_W5500_SN_DIPR = 0x0C,
    HIL_W5500_SN_DPORT = 0x10,
    HIL_W5500_SN_RXBUF = 0x1E,
    HIL_W5500_SN_TXBUF = 0x1F,
    HIL_W5500_SN_TX_FSR = 0x20,
    HIL_W5500_SN_TX_WR = 0x24,
    HIL_W5500_SN_RX_RSR = 0x26,
    HIL_W5500_SN_RX_RD = 0x28
};

enum { HIL_W5500_MODE_TCP = 1, HIL_W5500_MODE_UDP = 2 };
enum {
    HIL_W5500_CMD_OPEN = 0x01,
    HIL_W5500_CMD_CONNECT = 0x04,
    HIL_W5500_CMD_DISCON = 0x08,
    HIL_W5500_CMD_CLOSE = 0x10,
    HIL_W5500_CMD_SEND = 0x20,
    HIL_W5500_CMD_RECV = 0x40
};
enum {
    HIL_W5500_IR_CON = 0x01,
    HIL_W5500_IR_DISCON = 0x02,
    HIL_W5500_IR_RECV = 0x04,
    HIL_W5500_IR_TIMEOUT = 0x08,
    HIL_W5500_IR_SENDOK = 0x10
};
enum {
    HIL_W5500_CLOSED = 0x00,
    HIL_W5500_INIT = 0x13,
    HIL_W5500_SYNSENT = 0x15,
    HIL_W5500_ESTABLISHED = 0x17,
    HIL_W5500_CLOSE_WAIT = 0x1C,
    HIL_W5500_UDP = 0x22
};

/* One frame in variable length mode: `block` as above, `at` the 16 bit address within it (the chip wraps it
 * at the size of a socket's memory). HIL_W5500_OK or HIL_W5500_SPI. */
int hil_w5500_read(unsigned block, uint16_t at, void *data, size_t len);
int hil_w5500_write(unsigned block, uint16_t at, const void *data, size_t len);

int hil_w5500_get8(unsigned block, uint16_t at, uint8_t *value);
int hil_w5500_set8(unsigned block, uint16_t at, uint8_t value);
int hil_w5500_get16(unsigned block, uint16_t at, uint16_t *value);
int hil_w5500_set16(unsigned block, uint16_t at, uint16_t value);

/* A counter the chip changes while it is read (Sn_TX_FSR, Sn_RX_RSR): read until it comes out the same twice.
 */
int hil_w5500_counter(unsigned socket, uint16_t at, uint16_t *value);

/* Software reset, version, addresses, memory, retransmission. */
int hil_w5500_start(const struct hil_w5500_address *address);

/* PHYCFGR.LNK: 1 up, 0 down, negative. */
int hil_w5500_link(void);

/* Gives a command and waits until Sn_CR is 0 again. */
int hil_w5500_command(unsigned socket, uint8_t command);

/* Socket `socket` as TCP or UDP from local `port`, closed first. */
int hil_w5500_open(unsigned socket, uint8_t mode, uint16_t port);

/* Takes what is there, at most `cap` bytes: their number, 0: nothing has come, negative: HIL_W5500_*. */
int hil_w5500_take(unsigned socket, void *data, size_t cap);

/* Puts at most `len` bytes into TX memory and gives SEND: their number, 0: no room. */
int hil_w5500_put(unsigned socket, const void *data, size_t len);

/* --- hil/net.h's neighbours --- */

#define HIL_W5500_TCP_SOCKET 0u
#define HIL_W5500_DNS_SOCKET 1u

/* The address of `host` by one A query to address->dns (RFC 1035), asked again each second. HIL_NET_* code.
 */
int hil_w5500_resolve(const char *host, uint8_t ip[4], uint32_t timeout_ms);

/* What DNS wants of a message, without I/O. Query: its length in `out`, or 0 when the name is none. Answer: 1
 * with *ip, 0: not the answer to this query, -1: the name has no address. */
size_t hil_w5500_dns_query(uint8_t *out, size_t cap, uint16_t id, const char *host);
int hil_w5500_dns_answer(const uint8_t *message, size_t len, uint16_t id, const char *host, uint8_t ip[4]);

#endif
