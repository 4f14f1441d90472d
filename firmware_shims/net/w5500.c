/* The chip: frames, registers, commands, socket memory. See w5500.h. */
#include "w5500.h"

#include "hil/board.h"

#include <string.h>

#define READ         0x00u
#define WRITE        0x04u
#define MR_RESET     0x80u
#define VERSION      4u
#define PHY_LINK     0x01u
#define AT_ONCE      8u /* looks before the first pause: the chip takes a command within microseconds */
#define STEADY_TRIES 16
#define RETRANSMIT   2000u /* RTR: units of 100 us before the first repetition; it doubles each time */
#define RETRIES      4u    /* RCR: given up after about 6 s */

static int frame(unsigned block, uint16_t at, uint8_t direction, const void *out, void *in, size_t len) {
    const uint8_t header[3] = {(uint8_t)(at >> 8), (uint8_t)at, (uint8_t)((block << 3) | direction)};
    hil_w5500_select(true);
    int rc = hil_w5500_exchange(header, NULL, sizeof header);
    if (rc == 0 && len > 0)
        rc = hil_w5500_exchange(out, in, len);
    hil_w5500_select(false);
    return rc == 0 ? HIL_W5500_OK : HIL_W5500_SPI;
}

int hil_w5500_read(unsigned block, uint16_t at, void *data, size_t len) {
    return frame(block, at, READ, NULL, data, len);
}

int hil_w5500_write(unsigned block, uint16_t at, const void *data, size_t len) {
    return frame(block, at, WRITE, data, NULL, len);
}

int hil_w5500_get8(unsigned block, uint16_t at, uint8_t *value) {
    return hil_w5500_read(block, at, value, 1);
}

int hil_w5500_set8(unsigned block, uint16_t at, uint8_t value) {
    return hil_w5500_write(block, at, &value, 1);
}

int hil_w5500_get16(unsigned block, uint16_t at, uint16_t *value) {
    uint8_t bytes[2] = {0, 0};
    int rc = hil_w5500_read(block, at, bytes, sizeof bytes);
    *value = (uint16_t)((bytes[0] << 8) | bytes[1]);
    return rc;
}

int hil_w5500_set16(unsigned block, uint16_t at, uint16_t value) {
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    return hil_w5500_write(block, at, bytes, sizeof bytes);
}

int hil_w5500_counter(unsigned socket, uint16_t at, uint16_t *value) {
    uint16_t before = 0;
    int rc = hil_w5500_get16(HIL_W5500_REG(socket), at, &before);
    for (int i = 0; rc == 0 && i < STEADY_TRIES; i++) {
        rc = hil_w5500_get16(HIL_W5500_REG(socket), at, value);
        if (rc == 0 && *value == before)
            return HIL_W5500_OK;
        before = *value;
    }
    return rc != 0 ? rc : HIL_W5500_UNSTEADY;
}

/* Until the register is `value`, within HIL_W5500_COMMAND_MS. The chip is looked at once more at the end: we
 * may have been away. */
static int wait_for(unsigned block, uint16_t at, uint8_t mask, uint8_t value, int otherwise) {
    uint32_t start = hil_board_ms();
    for (unsigned looks = 0;; looks++) {
        uint8_t now = 0;
        bool late = hil_board_ms() - start >= HIL_W5500_COMMAND_MS;
        int rc = hil_w5500_get8(block, at, &now);
        if (rc != 0 || (now & mask) == value)
            return rc;
        if (late)
            return otherwise;
        if (looks >= AT_ONCE)
            hil_board_idle(1);
    }
}

static int set_memory(void) {
    int rc = HIL_W5500_OK;
    for (unsigned n = 0; n < HIL_W5500_SOCKETS && rc == 0; n++) {
        rc = hil_w5500_set8(HIL_W5500_REG(n), HIL_W5500_SN_RXBUF, HIL_W5500_BUFFER_KB);
        if (rc == 0)
            rc = hil_w5500_set8(HIL_W5500_REG(n), HIL_W5500_SN_TXBUF, HIL_W5500_BUFFER_KB);
    }
    return rc;
}

int hil_w5500_start(const struct hil_w5500_address *address) {
    uint8_t version = 0;
    int rc = hil_w5500_set8(HIL_W5500_COMMON, HIL_W5500_MR, MR_RESET);
    if (rc == 0)
        rc = wait_for(HIL_W5500_COMMON, HIL_W5500_MR, MR_RESET, 0, HIL_W5500_CHIP);
    if (rc == 0)
        rc = hil_w5500_get8(HIL_W5500_COMMON, HIL_W5500_VERSIONR, &version);
    if (rc == 0 && version != VERSION)
        rc = HIL_W5500_CHIP;
    if (rc == 0)
        rc = hil_w5500_write(HIL_W5500_COMMON, HIL_W5500_SHAR, address->mac, sizeof address->mac);
    if (rc == 0)
        rc = hil_w5500_write(HIL_W5500_COMMON, HIL_W5500_GAR, address->gateway, sizeof address->gateway);
    if (rc == 0)
        rc = hil_w5500_write(HIL_W5500_COMMON, HIL_W5500_SUBR, address->mask, sizeof address->mask);
    if (rc == 0)
        rc = hil_w5500_write(HIL_W5500_COMMON, HIL_W5500_SIPR, address->ip, sizeof address->ip);
    if (rc == 0)
        rc = hil_w5500_set16(HIL_W5500_COMMON, HIL_W5500_RTR, RETRANSMIT);
    if (rc == 0)
        rc = hil_w5500_set8(HIL_W5500_COMMON, HIL_W5500_RCR, RETRIES);
    return rc == 0 ? set_memory() : rc;
}

int hil_w5500_link(void) {
    uint8_t phy = 0;
    int rc = hil_w5500_get8(HIL_W5500_COMMON, HIL_W5500_PHYCFGR, &phy);
    return rc != 0 ? rc : (phy & PHY_LINK) != 0;
}

int hil_w5500_command(unsigned socket, uint8_t command) {
    int rc = hil_w5500_set8(HIL_W5500_REG(socket), HIL_W5500_SN_CR, command);
    return rc != 0 ? rc : wait_for(HIL_W5500_REG(socket), HIL_W5500_SN_CR, 0xFF, 0, HIL_W5500_COMMAND);
}

int hil_w5500_open(unsigned socket, uint8_t mode, uint16_t port) {
    unsigned reg = HIL_W5500_REG(socket);
    int rc = hil_w5500_command(socket, HIL_W5500_CMD_CLOSE);
    if (rc == 0)
        rc = hil_w5500_set8(reg, HIL_W5500_SN_IR, 0xFF); /* writing 1 clears */
    if (rc == 0)
        rc = hil_w5500_set8(reg, HIL_W5500_SN_MR, mode);
    if (rc == 0)
        rc = hil_w5500_set16(reg, HIL_W5500_SN_PORT, port);
    if (rc == 0)
        rc = hil_w5500_command(socket, HIL_W5500_CMD_OPEN);
    if (rc != 0)
        return rc;
    uint8_t state = mode == HIL_W5500_MODE_TCP ? HIL_W5500_INIT : HIL_W5500_UDP;
    return wait_for(reg, HIL_W5500_SN_SR, 0xFF, state, HIL_W5500_STATE);
}

int hil_w5500_take(unsigned socket, void *data, size_t cap) {
    uint16_t waiting = 0, at = 0;
    int rc = hil_w5500_counter(socket, HIL_W5500_SN_RX_RSR, &waiting);
    if (rc != 0)
        return rc;
    uint16_t n = cap < waiting ? (uint16_t)cap : waiting;
    if (n == 0)
        return 0;
    rc = hil_w5500_get16(HIL_W5500_REG(socket), HIL_W5500_SN_RX_RD, &at);
    if (rc == 0)
        rc = hil_w5500_read(HIL_W5500_RX(socket), at, data, n);
    if (rc == 0) /* the pointer runs over 16 bits, whatever the size of the memory */
        rc = hil_w5500_set16(HIL_W5500_REG(socket), HIL_W5500_SN_RX_RD, (uint16_t)(at + n));
    if (rc == 0)
        rc = hil_w5500_command(socket, HIL_W5500_CMD_RECV);
    return rc != 0 ? rc : n;
}

int hil_w5500_put(unsigned socket, const void *data, size_t len) {
    uint16_t room = 0, at = 0;
    int rc = hil_w5500_counter(socket, HIL_W5500_SN_TX_FSR, &room);
    if (rc != 0)
        return rc;
    uint16_t n = len < room ? (uint16_t)len : room;
    if (n == 0)
        return 0;
    rc = hil_w5500_get16(HIL_W5500_REG(socket), HIL_W5500_SN_TX_WR, &at);
    if (rc == 0)
        rc = hil_w5500_write(HIL_W5500_TX(socket), at, data, n);
    if (rc == 0)
        rc = hil_w5500_set16(HIL_W5500_REG(socket), HIL_W5500_SN_TX_WR, (uint16_t)(at + n));
    if (rc == 0)
        rc = hil_w5500_command(socket, HIL_W5500_CMD_SEND);
    return rc != 0 ? rc : n;
}
