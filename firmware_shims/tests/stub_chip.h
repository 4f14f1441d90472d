/* A W5500 on a stub board: the model, and behind it a host that a test scripts. Time is stub_ms. */
#ifndef HIL_STUB_CHIP_H
#define HIL_STUB_CHIP_H

#include "model.h"

extern struct w5500_model chip;

extern struct stub_host {
    enum w5500_wire wire;       /* what becomes of a connect */
    uint32_t connects_at;       /* ms from which `wire` holds; before it is pending */
    const uint8_t *in;          /* what the peer sends on TCP */
    size_t in_len, in_at, step; /* at most `step` bytes a look */
    unsigned rest, looks;       /* only each `rest`-th look brings something */
    bool fin, gone;             /* behind `in` */
    uint8_t out[16384];         /* what came from the chip */
    size_t out_len, out_room;
    bool finished;
    unsigned opened, closed;
    bool no_socket; /* OPEN leads nowhere */
    uint8_t ip[4];
    uint16_t port;
    uint8_t datagram[600]; /* the answer to the next UDP datagram; its number is put in place */
    size_t datagram_len;
    uint8_t from[4];
    bool datagram_ready;
} stub_host;

extern bool stub_spi_broken;

/* A fresh chip and host: connects, takes everything, sends nothing. */
void stub_chip_reset(void);

#endif
