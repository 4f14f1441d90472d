/* The Paho-style read path: every cut of a stream, and what the client of 2022 made of CONNACK. */
#include "check.h"
#include "paho.h"
#include "stub_board.h"

#include "hil/board.h"

static const uint8_t *stream;
static size_t stream_len, stream_at, available, calls;

/* Gives what is `available`; time passes when there is nothing. */
static int mqttread(void *ctx, uint8_t *data, size_t len, uint32_t timeout_ms) {
    (void)ctx;
    calls++;
    size_t n = available - stream_at < len ? available - stream_at : len;
    if (n == 0) {
        stub_ms += timeout_ms;
        return available == stream_len ? -1 : 0;
    }
    memcpy(data, stream + stream_at, n);
    stream_at += n;
    return (int)n;
}

static uint8_t buf[300];
static struct hil_paho client = {.mqttread = mqttread, .ms = hil_board_ms};

static void give(const uint8_t *bytes, size_t len, size_t first) {
    stream = bytes;
    stream_len = len + 1; /* the end of the connection is behind the last byte */
    stream_at = calls = 0;
    available = first;
    hil_paho_init(&client, buf, sizeof buf);
}

static void test_any_cut(void) {
    uint8_t bytes[2 + 2 + 3 + 200] = {0x20, 2, 0, 0, 0x30, 0xC8, 0x01};
    for (size_t i = 7; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        give(bytes, sizeof bytes, cut);
        unsigned packets = 0;
        for (int tries = 0; tries < 6 && packets < 2; tries++) {
            uint32_t start = stub_ms;
            int rc = hil_paho_read_packet(&client, 50);
            CHECK(rc >= 0 && stub_ms - start <= 50);
            if (rc == 0)
                available = sizeof bytes;
            packets += rc == 1;
            if (rc == 1)
                CHECK(memcmp(buf, packets == 1 ? bytes : bytes + 4, client.need) == 0);
        }
        CHECK_EQ(packets, 2);
        CHECK_EQ(client.need, 203);
    }
    give(bytes, sizeof bytes, sizeof bytes);
    CHECK_EQ(hil_paho_read_packet(&client, 50), 1);
    CHECK_EQ(calls, 3); /* type, length, rest: as such clients read, and why a gate hurts */
}

static void test_refused(void) {
    static const uint8_t LONG[] = {0x30, 0x80, 0x80, 0x80, 0x80, 1}, LARGE[] = {0x30, 0xFF, 0xFF, 0xFF, 0x7F};
    static const uint8_t FITS[] = {0x30, 0xA9, 2}, OVER[] = {0x30, 0xAA, 2};
    give(LONG, sizeof LONG, sizeof LONG);
    CHECK_EQ(hil_paho_read_packet(&client, 50), HIL_PAHO_LENGTH);
    give(LARGE, sizeof LARGE, sizeof LARGE);
    CHECK_EQ(hil_paho_read_packet(&client, 50), HIL_PAHO_TOO_LARGE);
    give(FITS, sizeof FITS, sizeof FITS); /* 3 + 297 bytes */
    CHECK_EQ(hil_paho_read_packet(&client, 50), 0);
    give(OVER, sizeof OVER, sizeof OVER);
    CHECK_EQ(hil_paho_read_packet(&client, 50), HIL_PAHO_TOO_LARGE);
    give(LONG, 0, 1);
    CHECK_EQ(hil_paho_read_packet(&client, 50), HIL_PAHO_LOST);
    hil_paho_init(&client, buf, 4);
    CHECK_EQ(hil_paho_read_packet(&client, 50), HIL_PAHO_TOO_LARGE);
}

static void test_connack(void) {
    static const uint8_t GOOD[] = {0x20, 2, 1, 0}, CUT[] = {0x20, 0}, REFUSED[] = {0x20, 2, 0, 5},
                         PUBLISH[] = {0x30, 2, 0, 0};
    bool present = false;
    uint8_t code = HIL_PAHO_CONNACK_UNSET;
    CHECK(hil_paho_connack(GOOD, sizeof GOOD, false, &present, &code));
    CHECK(present && code == 0);
    CHECK(hil_paho_connack(REFUSED, sizeof REFUSED, false, &present, &code));
    CHECK(!present && code == 5);
    CHECK(!hil_paho_connack(PUBLISH, sizeof PUBLISH, false, &present, &code));
    CHECK(!hil_paho_connack(GOOD, 3, false, &present, &code));
    CHECK(!hil_paho_connack(GOOD, 1, true, &present, &code));
    code = HIL_PAHO_CONNACK_UNSET;
    CHECK(!hil_paho_connack(CUT, sizeof CUT, false, &present, &code));
    CHECK(hil_paho_connack(CUT, sizeof CUT, true, &present, &code)); /* story 002: 1, and 255 */
    CHECK_EQ(code, 255);
}

/* `20 00` out of a CONNACK whose second byte did not come in time. */
static void test_careless(void) {
    static const uint8_t CONNACK[] = {0x20, 2, 0, 0};
    give(CONNACK, sizeof CONNACK, 1);
    client.careless = true;
    CHECK_EQ(hil_paho_read_packet(&client, 50), 1);
    CHECK_EQ(client.need, 2);
    CHECK(buf[0] == 0x20 && buf[1] == 0);
    client.careless = false;
    give(CONNACK, sizeof CONNACK, 1);
    CHECK_EQ(hil_paho_read_packet(&client, 50), 0);
    available = sizeof CONNACK;
    CHECK_EQ(hil_paho_read_packet(&client, 50), 1);
    CHECK_EQ(client.need, 4);
}

int main(void) {
    test_any_cut();
    test_refused();
    test_connack();
    test_careless();
    return 0;
}
