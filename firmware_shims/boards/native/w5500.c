/* The W5500 of the stand-in: the model where the board has pins. */
#include "w5500.h"

#include "model.h"

/* Its pointers soon run over 16 bits, as a real chip's do now and then. */
#define FIRST_POINTER 0xF800u

/* The way to a broker and back takes a few milliseconds; on loopback the answer would be there before a
 * driver has looked once, and who reads an empty chip wrongly would never do so. Frames are counted as well:
 * a process that the host has kept waiting shall find the chip empty all the same. */
#define ROUND_TRIP_MS     5u
#define ROUND_TRIP_FRAMES 24u /* what waiting for SENDOK takes, and a first look at RSR */

static struct w5500_model chip;
static struct w5500_host sockets;
static uint32_t sent_ms[W5500_SOCKETS], sent_frame[W5500_SOCKETS], frames;
static bool powered;

static long sending(void *ctx, unsigned n, const uint8_t *data, size_t len, const uint8_t ip[4],
                    uint16_t port) {
    sent_ms[n] = sockets.ms(ctx);
    sent_frame[n] = frames;
    return sockets.send(ctx, n, data, len, ip, port);
}

static long receiving(void *ctx, unsigned n, uint8_t *data, size_t cap, uint8_t ip[4], uint16_t *port) {
    if (sockets.ms(ctx) - sent_ms[n] < ROUND_TRIP_MS || frames - sent_frame[n] < ROUND_TRIP_FRAMES)
        return W5500_AGAIN;
    return sockets.recv(ctx, n, data, cap, ip, port);
}

static struct w5500_model *the_chip(void) {
    if (!powered) {
        w5500_posix_host(&sockets);
        struct w5500_host host = sockets;
        host.send = sending;
        host.recv = receiving;
        w5500_model_init(&chip, &host);
        chip.first_pointer = FIRST_POINTER;
        powered = true;
    }
    return &chip;
}

void hil_w5500_select(bool low) {
    frames += low;
    w5500_model_select(the_chip(), low);
}

int hil_w5500_exchange(const uint8_t *out, uint8_t *in, size_t len) {
    w5500_model_exchange(the_chip(), out, in, len);
    return 0;
}

const struct hil_w5500_address *hil_w5500_address(void) {
    static const struct hil_w5500_address LOOPBACK = {
        .mac = {0x02, 0x08, 0xDC, 0x00, 0x00, 0x01}, .ip = {127, 0, 0, 1}, .mask = {255, 0, 0, 0}};
    return &LOOPBACK;
}
