/* The model by raw frames, with the datasheet's numbers: what it shows, what it refuses, and that noise does
 * no harm. */
#include "check.h"
#include "stub_board.h"
#include "stub_chip.h"

#include <string.h>

static void frame(uint16_t at, uint8_t control, const uint8_t *out, uint8_t *in, size_t len) {
    const uint8_t header[3] = {(uint8_t)(at >> 8), (uint8_t)at, control};
    w5500_model_select(&chip, true);
    w5500_model_exchange(&chip, header, NULL, 3);
    w5500_model_exchange(&chip, out, in, len);
    w5500_model_select(&chip, false);
}

static uint8_t get(uint16_t at, unsigned block) {
    uint8_t value = 0;
    frame(at, (uint8_t)(block << 3), NULL, &value, 1);
    return value;
}

static unsigned get16(uint16_t at, unsigned block) {
    uint8_t bytes[2];
    frame(at, (uint8_t)(block << 3), NULL, bytes, 2);
    return (unsigned)(bytes[0] << 8 | bytes[1]);
}

static void set(uint16_t at, unsigned block, uint8_t value) {
    frame(at, (uint8_t)(block << 3 | 4), &value, NULL, 1);
}

static void set16(uint16_t at, unsigned block, unsigned value) {
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    frame(at, (uint8_t)(block << 3 | 4), bytes, NULL, 2);
}

static void establish(void) {
    static const uint8_t PEER[4] = {10, 0, 0, 1};
    stub_chip_reset();
    set(0x00, 1, 1);
    set16(0x04, 1, 50000);
    set(0x01, 1, 0x01);
    CHECK_EQ(get(0x03, 1), 0x13);
    frame(0x0C, 1 << 3 | 4, PEER, NULL, 4);
    set16(0x10, 1, 8883);
    set(0x01, 1, 0x04);
    CHECK_EQ(get(0x03, 1), 0x17);
    CHECK_EQ(get(0x02, 1) & 1, 1); /* CON */
    CHECK_EQ(chip.misuse, 0);
}

static void test_reset_values(void) {
    stub_chip_reset();
    CHECK_EQ(get(0x39, 0), 4);
    CHECK_EQ(get16(0x19, 0), 0x07D0);
    CHECK_EQ(get(0x1B, 0), 8);
    CHECK_EQ(get(0x2E, 0) & 0xBF, 0xBF);
    for (unsigned n = 0; n < 8; n++) {
        CHECK_EQ(get(0x1E, 4 * n + 1), 2);
        CHECK_EQ(get16(0x20, 4 * n + 1), 2048);
        CHECK_EQ(get(0x2C, 4 * n + 1), 0xFF);
        CHECK_EQ(get16(0x2D, 4 * n + 1), 0x4000);
        CHECK_EQ(get(0x16, 4 * n + 1), 0x80);
    }
    CHECK_EQ(get(0x2E, 0) & 1, 1);
    chip.link = false;
    CHECK_EQ(get(0x2E, 0) & 1, 0);
    CHECK_EQ(chip.misuse, 0);
    set(0x0F, 0, 10);
    set(0x00, 0, 0x80);
    CHECK_EQ(get(0x00, 0) & 0x80, 0x80); /* at first */
    CHECK_EQ(get(0x00, 0), 0);
    CHECK_EQ(get(0x0F, 0), 0);
}

static void test_frames(void) {
    stub_chip_reset();
    static const uint8_t TWO[] = {0, 0x0F, 4 | 2, 1, 2,
                                  0, 0x11, 4 | 2, 3, 4}; /* fixed length, frame after frame */
    w5500_model_select(&chip, true);
    w5500_model_exchange(&chip, TWO, NULL, sizeof TWO);
    w5500_model_select(&chip, false);
    CHECK_EQ(get16(0x0F, 0), 0x0102);
    CHECK_EQ(get16(0x11, 0), 0x0304);
    w5500_model_exchange(&chip, TWO, NULL, sizeof TWO); /* not selected */
    CHECK_EQ(chip.misuse, 1);
    frame(0x0F, 4, NULL, NULL, 0); /* a header and nothing else */
    CHECK_EQ(get16(0x0F, 0), 0x0102);

    uint8_t block[4096], back[4096];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)(i * 31 + i / 256);
    frame(0xFF00, 2 << 3 | 4, block, NULL, 2048); /* the address wraps at the memory's size */
    frame(0x0700, 2 << 3, NULL, back, 2048);
    CHECK(memcmp(block, back, 2048) == 0);
    frame(0x0000, 6 << 3, NULL, back, 2048); /* and is not another socket's */
    for (size_t i = 0; i < 2048; i++)
        CHECK_EQ(back[i], 0);
}

static void test_forbidden(void) {
    static const struct {
        uint16_t at;
        uint8_t block, value;
    } WRITES[] = {{0x39, 0, 1}, {0x3A, 0, 1},    {0x17, 0, 1}, {0x03, 1, 0x17}, {0x20, 1, 1},
                  {0x22, 1, 1}, {0x26, 1, 1},    {0x2B, 1, 1}, {0x30, 1, 1},    {0x01, 1, 0x99},
                  {0, 4, 1},    {0x01, 1, 0x20}, {0x01, 1, 4}, {0x01, 1, 0x02}};
    stub_chip_reset();
    for (size_t i = 0; i < sizeof WRITES / sizeof *WRITES; i++) {
        unsigned before = chip.misuse;
        set(WRITES[i].at, WRITES[i].block, WRITES[i].value);
        CHECK_EQ(chip.misuse, before + 1);
    }
    CHECK_EQ(get(0x39, 0), 4);
    CHECK_EQ(get(0x03, 1), 0);
    set(0x1E, 1, 3); /* no size: no memory */
    CHECK_EQ(get16(0x26, 1), 0);
    unsigned before = chip.misuse;
    (void)get(0, 3);
    CHECK_EQ(chip.misuse, before + 1);
}

static void test_counters(void) {
    static uint8_t bytes[3000];
    establish();
    stub_host.in = bytes;
    stub_host.in_len = sizeof bytes;
    CHECK_EQ(get16(0x26, 1), 2048); /* no more than there is room for */
    CHECK_EQ(get16(0x26, 1), 2048);
    CHECK_EQ(get(0x02, 1) & 4, 4);
    set16(0x28, 1, get16(0x28, 1) + 1000);
    CHECK_EQ(get16(0x26, 1), 2048); /* until RECV */
    set(0x01, 1, 0x40);
    CHECK_EQ(get16(0x26, 1), 2000);
    CHECK_EQ(get16(0x2A, 1), 3000);
    set16(0x28, 1, get16(0x28, 1) + 2001);
    CHECK_EQ(chip.misuse, 0);
    set(0x01, 1, 0x40); /* more than there was */
    CHECK_EQ(chip.misuse, 1);
    CHECK_EQ(get16(0x26, 1), 0);

    establish();
    stub_host.out_room = 100;
    set16(0x24, 1, get16(0x24, 1) + 300);
    CHECK_EQ(get16(0x20, 1), 2048);
    set(0x01, 1, 0x20);
    CHECK_EQ(get16(0x20, 1), 2048 - 200);
    CHECK_EQ(get(0x02, 1) & 0x10, 0);
    set16(0x24, 1, get16(0x24, 1) + 1);
    set(0x01, 1, 0x20); /* before SENDOK */
    CHECK_EQ(chip.misuse, 1);
    stub_host.out_room = 1000;
    CHECK_EQ(get16(0x20, 1), 2048);
    CHECK_EQ(get(0x02, 1) & 0x10, 0x10);
    CHECK_EQ(stub_host.out_len, 301);
    set16(0x24, 1, get16(0x24, 1) + 2049); /* more than there is room for */
    set(0x01, 1, 0x20);
    CHECK_EQ(chip.misuse, 2);
}

static void test_interrupts(void) {
    establish();
    CHECK(!w5500_model_interrupt(&chip)); /* SIMR */
    CHECK_EQ(get(0x17, 0), 1);
    set(0x18, 0, 1);
    CHECK(w5500_model_interrupt(&chip));
    set(0x02, 1, 0x01); /* one clears */
    CHECK(!w5500_model_interrupt(&chip));
    CHECK_EQ(get(0x17, 0), 0);
    stub_host.fin = true;
    CHECK(w5500_model_interrupt(&chip));
    CHECK_EQ(get(0x02, 1), 2);
    CHECK_EQ(get(0x03, 1), 0x1C);
    set(0x2C, 1, 0xFD);
    CHECK(!w5500_model_interrupt(&chip));
    stub_host.gone = true; /* a reset behind the FIN */
    CHECK_EQ(get(0x03, 1), 0);
}

static void test_udp(void) {
    static const uint8_t PAYLOAD[] = {1, 2, 3, 4, 5};
    uint8_t got[13];
    stub_chip_reset();
    set(0x00, 5, 2);
    set16(0x04, 5, 50000);
    set(0x01, 5, 0x01);
    CHECK_EQ(get(0x03, 5), 0x22);
    memcpy(stub_host.datagram, PAYLOAD, sizeof PAYLOAD);
    memcpy(stub_host.from, "\x0A\x00\x00\x02", 4);
    stub_host.datagram_len = sizeof PAYLOAD;
    stub_host.datagram_ready = true;
    CHECK_EQ(get16(0x26, 5), 13);
    frame(0, 7 << 3, NULL, got, sizeof got);
    static const uint8_t WANT[] = {10, 0, 0, 2, 0, 53, 0, 5, 1, 2, 3, 4, 5};
    CHECK(memcmp(got, WANT, sizeof WANT) == 0);
    CHECK_EQ(chip.misuse, 0);
}

/* Frames of noise, and noise in which commands and registers are likely. */
static void test_noise(void) {
    uint32_t seed = 2463534242u;
    uint8_t bytes[64], in[64];
    stub_chip_reset();
    for (int i = 0; i < 200000; i++) {
        for (size_t k = 0; k < sizeof bytes; k++) {
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            bytes[k] = (uint8_t)(seed >> 11);
        }
        if (i % 3 != 0) {
            bytes[0] = 0;
            bytes[1] &= 0x2F;
            bytes[2] = (uint8_t)((bytes[2] & 0x1Cu) << 3 | 1u << 3 | (bytes[2] & 4u));
        }
        if (i % 3 == 1) { /* mode and command */
            bytes[1] = 0;
            bytes[3] &= 3u;
            bytes[4] = (uint8_t)(1u << (bytes[4] & 7u));
        }
        stub_host.in = bytes;
        stub_host.in_len = i % 7 == 0 ? 40 : 0;
        stub_host.in_at = 0;
        stub_host.out_len = 0;
        stub_host.fin = i % 41 == 0;
        stub_host.gone = i % 43 == 0;
        stub_ms += 3;
        w5500_model_select(&chip, i % 17 != 0);
        w5500_model_exchange(&chip, bytes, in, 3u + bytes[5] % 40u);
    }
    CHECK(chip.misuse > 1000);
    CHECK(stub_host.opened > 100);
}

int main(void) {
    test_reset_values();
    test_frames();
    test_forbidden();
    test_counters();
    test_interrupts();
    test_udp();
    test_noise();
    return 0;
}
