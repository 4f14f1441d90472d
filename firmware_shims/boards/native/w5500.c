/* The W5500 of the stand-in: the model where the board has pins. */
#include "w5500.h"

#include "model.h"

/* Its pointers soon run over 16 bits, as a real chip's do now and then. */
#define FIRST_POINTER 0xF800u

static struct w5500_model chip;
static bool powered;

static struct w5500_model *the_chip(void) {
    struct w5500_host host;
    if (!powered) {
        w5500_posix_host(&host);
        w5500_model_init(&chip, &host);
        chip.first_pointer = FIRST_POINTER;
        powered = true;
    }
    return &chip;
}

void hil_w5500_select(bool low) {
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
