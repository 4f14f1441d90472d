#include "stub_chip.h"

#include "stub_board.h"
#include "w5500.h"

#include "hil/service.h"

#include <string.h>

struct w5500_model chip;
struct stub_host stub_host;
bool stub_spi_broken;

static uint32_t on_ms(void *ctx) {
    (void)ctx;
    return stub_ms;
}

static bool on_open(void *ctx, unsigned n, bool udp, uint16_t port) {
    (void)ctx;
    (void)n;
    (void)udp;
    stub_host.opened++;
    return port != 0 && !stub_host.no_socket;
}

static bool on_connect(void *ctx, unsigned n, const uint8_t ip[4], uint16_t port) {
    (void)ctx;
    (void)n;
    memcpy(stub_host.ip, ip, 4);
    stub_host.port = port;
    return true;
}

static enum w5500_wire on_connected(void *ctx, unsigned n) {
    (void)ctx;
    (void)n;
    return stub_ms >= stub_host.connects_at ? stub_host.wire : W5500_PENDING;
}

static long on_send(void *ctx, unsigned n, const uint8_t *data, size_t len, const uint8_t ip[4],
                    uint16_t port) {
    (void)ctx;
    if (stub_host.gone && stub_host.in_at == stub_host.in_len)
        return W5500_GONE;
    if (n == 1) {
        memcpy(stub_host.ip, ip, 4);
        stub_host.port = port;
        if (stub_host.datagram_len >= 2) {
            memcpy(stub_host.datagram, data, 2);
            stub_host.datagram_ready = true;
        }
        return (long)len;
    }
    size_t room = stub_host.out_room - stub_host.out_len;
    size_t take = len < room ? len : room;
    if (take == 0)
        return W5500_AGAIN;
    memcpy(stub_host.out + stub_host.out_len, data, take);
    stub_host.out_len += take;
    return (long)take;
}

static long on_recv(void *ctx, unsigned n, uint8_t *data, size_t cap, uint8_t ip[4], uint16_t *port) {
    (void)ctx;
    if (n == 1) {
        size_t len = stub_host.datagram_len < cap ? stub_host.datagram_len : cap;
        if (!stub_host.datagram_ready)
            return W5500_AGAIN;
        stub_host.datagram_ready = false;
        memcpy(ip, stub_host.from, 4);
        *port = 53;
        memcpy(data, stub_host.datagram, len);
        return (long)len;
    }
    size_t left = stub_host.in_len - stub_host.in_at;
    size_t take = left < stub_host.step ? left : stub_host.step;
    if (stub_host.rest > 0 && stub_host.looks++ % stub_host.rest != 0)
        take = 0;
    if (take == 0 && left > 0)
        return W5500_AGAIN;
    take = take < cap ? take : cap;
    if (take == 0)
        return stub_host.gone ? W5500_GONE : stub_host.fin ? W5500_FIN : W5500_AGAIN;
    memcpy(data, stub_host.in + stub_host.in_at, take);
    stub_host.in_at += take;
    return (long)take;
}

static void on_finish(void *ctx, unsigned n) {
    (void)ctx;
    (void)n;
    stub_host.finished = true;
}

static void on_close(void *ctx, unsigned n) {
    (void)ctx;
    (void)n;
    stub_host.closed++;
}

void stub_chip_reset(void) {
    const struct w5500_host host = {.ms = on_ms,
                                    .open = on_open,
                                    .connect = on_connect,
                                    .connected = on_connected,
                                    .send = on_send,
                                    .recv = on_recv,
                                    .finish = on_finish,
                                    .close = on_close};
    memset(&stub_host, 0, sizeof stub_host);
    stub_host.wire = W5500_CONNECTED;
    stub_host.step = sizeof stub_host.out;
    stub_host.out_room = sizeof stub_host.out;
    stub_spi_broken = false;
    w5500_model_init(&chip, &host);
}

void hil_w5500_select(bool low) {
    w5500_model_select(&chip, low);
}

int hil_w5500_exchange(const uint8_t *out, uint8_t *in, size_t len) {
    if (stub_spi_broken)
        return -1;
    w5500_model_exchange(&chip, out, in, len);
    return 0;
}

const struct hil_w5500_address *hil_w5500_address(void) {
    static const struct hil_w5500_address ADDRESS = {.mac = {2, 8, 0xDC, 1, 2, 3},
                                                     .ip = {192, 168, 7, 10},
                                                     .mask = {255, 255, 255, 0},
                                                     .gateway = {192, 168, 7, 1},
                                                     .dns = {192, 168, 7, 53}};
    return &ADDRESS;
}

void hil_heartbeat(void) {
}
