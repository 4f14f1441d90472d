/* W5500 model: the chip as its SPI pins show it. Frames in, frames out; registers, 2 x 16 KB of socket
 * memory, eight sockets with their states, counters, interrupts and retransmission time-outs (datasheet
 * v1.1.0).
 *
 * TCP and UDP themselves are the host's: struct hil_w5500_host, made of POSIX sockets in host.c, of whatever
 * a test wants elsewhere. Frames are hostile input: any sequence of select and exchange is taken, what the
 * datasheet forbids is counted in `misuse` and does no harm. Numbers are written down here a second time, on
 * purpose: the driver's (net/w5500.h) shall not vouch for themselves.
 *
 * Not modelled: LISTEN's other half, MACRAW's frames, PPPoE, wake on LAN, IPRAW, Sn_FRAG, keep-alives, ARP
 * (and so the gateway), UIPR. The chip's CLOSE sends nothing; a host's socket that is closed sends a reset.
 * What RX memory holds when a reset comes is kept readable.
 */
#ifndef HIL_W5500_MODEL_H
#define HIL_W5500_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define W5500_SOCKETS 8u
#define W5500_MEMORY  16384u

enum w5500_wire { W5500_PENDING, W5500_CONNECTED, W5500_REFUSED, W5500_UNREACHABLE };
enum { W5500_FIN = 0, W5500_AGAIN = -1, W5500_GONE = -2 };

/* What is behind a socket. `n` is its number, addresses are four bytes. Nothing may block. */
struct w5500_host {
    void *ctx;
    uint32_t (*ms)(void *ctx);
    bool (*open)(void *ctx, unsigned n, bool udp, uint16_t port);
    bool (*connect)(void *ctx, unsigned n, const uint8_t ip[4], uint16_t port);
    enum w5500_wire (*connected)(void *ctx, unsigned n);
    /* Bytes taken, W5500_AGAIN or W5500_GONE. ip and port for UDP. */
    long (*send)(void *ctx, unsigned n, const uint8_t *data, size_t len, const uint8_t ip[4], uint16_t port);
    /* Bytes given (never 0 for TCP unless W5500_FIN), W5500_AGAIN or W5500_GONE. For UDP one datagram, cut at
     * cap. */
    long (*recv)(void *ctx, unsigned n, uint8_t *data, size_t cap, uint8_t ip[4], uint16_t *port);
    void (*finish)(void *ctx, unsigned n); /* FIN */
    void (*close)(void *ctx, unsigned n);
};

struct w5500_socket {
    uint8_t reg[0x30];
    uint8_t busy;                 /* reads of Sn_CR that still show the command */
    uint16_t tx_rd, tx_end;       /* what SEND has been given for */
    uint16_t rx_wr, rx_rd;        /* rx_rd: as of the last RECV */
    uint32_t since;               /* ms at CONNECT */
    bool held, finishing, unsent; /* a host socket is behind it; FIN once all is sent; SENDOK is owed */
};

struct w5500_model {
    struct w5500_host host;
    uint8_t common[0x3A];
    struct w5500_socket sockets[W5500_SOCKETS];
    uint8_t tx[W5500_MEMORY], rx[W5500_MEMORY];
    /* the frame under way */
    bool selected;
    uint8_t header[3];
    unsigned header_len, fixed_left;
    uint16_t at;
    uint8_t resetting;
    /* for tests */
    bool link;              /* the cable */
    bool dead;              /* nothing answers: MISO stays low */
    uint8_t slow;           /* how often Sn_CR is read until a command is taken, beyond once */
    uint16_t first_pointer; /* where TX and RX pointers start */
    unsigned misuse;
};

void w5500_model_init(struct w5500_model *model, const struct w5500_host *host);
void w5500_model_select(struct w5500_model *model, bool low);

/* out NULL: zeros; in NULL: dropped. */
void w5500_model_exchange(struct w5500_model *model, const uint8_t *out, uint8_t *in, size_t len);

/* INTn: true when it is low (some unmasked interrupt of a socket with its bit in SIMR). */
bool w5500_model_interrupt(struct w5500_model *model);

/* --- host.c --- */
void w5500_posix_host(struct w5500_host *host);

#endif
