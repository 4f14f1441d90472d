/* Inside the model: one socket's registers and what they do. */
#ifndef HIL_W5500_SOCKETS_H
#define HIL_W5500_SOCKETS_H

#include "model.h"

/* Socket registers that more than one function names. */
enum { MR = 0x00, CR = 0x01, IR = 0x02, SR = 0x03, PORT = 0x04, DIPR = 0x0C, DPORT = 0x10, RXBUF = 0x1E };
enum {
    TXBUF = 0x1F,
    TX_FSR = 0x20,
    TX_RD = 0x22,
    TX_WR = 0x24,
    RX_RSR = 0x26,
    RX_RD = 0x28,
    RX_WR = 0x2A,
    IMR = 0x2C
};

void w5500_socket_reset(struct w5500_socket *s);

/* Bytes of TX or RX memory of a socket. */
uint32_t w5500_size(const struct w5500_model *m, unsigned n, bool rx);
uint8_t *w5500_rx_at(struct w5500_model *m, unsigned n, uint16_t at);
uint8_t *w5500_tx_at(struct w5500_model *m, unsigned n, uint16_t at);

uint8_t w5500_reg_read(struct w5500_model *m, unsigned n, uint16_t at);
void w5500_reg_write(struct w5500_model *m, unsigned n, uint16_t at, uint8_t value);

/* What has happened on the wire since the last look. */
void w5500_run(struct w5500_model *m, unsigned n);

/* Gives the host's socket back. */
void w5500_release(struct w5500_model *m, unsigned n);

#endif
