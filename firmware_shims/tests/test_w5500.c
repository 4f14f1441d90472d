/* The driver over the model: what it writes into registers, and what it makes of every state a socket can get
 * into. */
#include "check.h"
#include "stub_board.h"
#include "stub_chip.h"
#include "w5500.h"

#include "hil/net.h"

#include <string.h>

static uint8_t pattern[6000];

static void fresh(void) {
    stub_chip_reset();
    CHECK_EQ(hil_net_up(100), HIL_NET_OK);
}

static void connected(void) {
    fresh();
    CHECK_EQ(hil_net_connect("broker", "192.168.7.20", 8883, 1000), HIL_NET_OK);
}

static void test_start(void) {
    static const uint8_t NETWORK[] = {192, 168, 7, 1, 255, 255, 255, 0, 2, 8, 0xDC, 1, 2, 3, 192, 168, 7, 10};
    fresh();
    CHECK(memcmp(chip.common + 1, NETWORK, sizeof NETWORK) == 0); /* GAR, SUBR, SHAR, SIPR lie in a row */
    CHECK(strcmp(hil_net_address(), "192.168.7.10") == 0);
    for (unsigned n = 0; n < 8; n++)
        CHECK(chip.sockets[n].reg[0x1E] == 2 && chip.sockets[n].reg[0x1F] == 2);
    CHECK_EQ(chip.misuse, 0);

    stub_chip_reset();
    stub_spi_broken = true;
    CHECK_EQ(hil_net_up(100), HIL_NET_ERROR);
    CHECK_EQ(hil_net_detail(), HIL_W5500_SPI);

    stub_chip_reset();
    chip.dead = true; /* MISO low: MR reads 0, and so does VERSIONR */
    CHECK_EQ(hil_net_up(100), HIL_NET_ERROR);
    CHECK_EQ(hil_net_detail(), HIL_W5500_CHIP);

    stub_chip_reset();
    chip.link = false;
    uint32_t start = stub_ms;
    CHECK_EQ(hil_net_up(300), HIL_NET_LINK);
    CHECK(stub_ms - start >= 300 && stub_ms - start < 350);
    CHECK(strcmp(hil_net_address(), "") == 0);
}

/* A command is over when the chip says so, or is given up; and OPEN is over when the socket is open. */
static void test_slow_chip(void) {
    fresh();
    chip.slow = 30;
    uint32_t start = stub_ms;
    CHECK_EQ(hil_w5500_command(0, HIL_W5500_CMD_CLOSE), HIL_W5500_OK);
    CHECK_EQ(chip.sockets[0].busy, 0);
    CHECK(stub_ms - start < HIL_W5500_COMMAND_MS);
    chip.slow = 200;
    start = stub_ms;
    CHECK_EQ(hil_w5500_command(0, HIL_W5500_CMD_CLOSE), HIL_W5500_COMMAND);
    CHECK(stub_ms - start >= HIL_W5500_COMMAND_MS && stub_ms - start < 2 * HIL_W5500_COMMAND_MS);
    fresh();
    stub_host.no_socket = true;
    CHECK_EQ(hil_w5500_open(0, HIL_W5500_MODE_TCP, 50000), HIL_W5500_STATE);
    CHECK_EQ(hil_net_connect("", "192.168.7.20", 1, 1000), HIL_NET_ERROR);
    CHECK_EQ(hil_net_detail(), HIL_W5500_STATE);
}

static void test_connect(void) {
    static const uint8_t BROKER[] = {192, 168, 7, 20};
    connected();
    CHECK(memcmp(stub_host.ip, BROKER, 4) == 0);
    CHECK_EQ(stub_host.port, 8883);
    uint16_t first = (uint16_t)(chip.sockets[0].reg[4] << 8 | chip.sockets[0].reg[5]);
    CHECK(first >= 49152);
    CHECK_EQ(hil_net_connect("192.168.7.20", "", 8883, 1000), HIL_NET_OK); /* a name that is an address */
    uint16_t second = (uint16_t)(chip.sockets[0].reg[4] << 8 | chip.sockets[0].reg[5]);
    CHECK(first != second);
    CHECK_EQ(chip.misuse, 0);

    fresh();
    stub_host.wire = W5500_REFUSED;
    CHECK_EQ(hil_net_connect("", "192.168.7.20", 1, 1000), HIL_NET_REFUSED);
    CHECK_EQ(hil_net_recv(pattern, 1, 10), HIL_NET_CLOSED);
    stub_host.wire = W5500_UNREACHABLE;
    CHECK_EQ(hil_net_connect("", "192.168.7.20", 1, 1000), HIL_NET_TIMEOUT);
    stub_host.wire = W5500_PENDING;
    uint32_t start = stub_ms;
    CHECK_EQ(hil_net_connect("", "192.168.7.20", 1, 500), HIL_NET_TIMEOUT);
    CHECK(stub_ms - start >= 500 && stub_ms - start < 550);
    start = stub_ms; /* RTR 200 ms, RCR 4: 200 + 400 + 800 + 1600 + 3200 ms */
    CHECK_EQ(hil_net_connect("", "192.168.7.20", 1, 20000), HIL_NET_TIMEOUT);
    CHECK(stub_ms - start >= 6200 && stub_ms - start < 6300);
    chip.link = false;
    CHECK_EQ(hil_net_connect("", "192.168.7.20", 1, 500), HIL_NET_LINK);

    static const char *const BAD[] = {"1.2.3", "1.2.3.4.5", "256.1.1.1", "1..2.3", "1.2.3.x", "0001.2.3.4"};
    fresh();
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        CHECK_EQ(hil_net_connect("", BAD[i], 1, 100), HIL_NET_NAME);
}

/* More than the memory, over the end of the 16 bit pointers, at every offset of the 2 KB that matters. */
static void test_send(void) {
    for (uint16_t first = 0xF7FE; first != 0x0002; first = first == 0xF802 ? 0xFFFE : (uint16_t)(first + 1)) {
        stub_chip_reset();
        chip.first_pointer = first;
        CHECK_EQ(hil_net_up(10), HIL_NET_OK);
        CHECK_EQ(hil_net_connect("", "192.168.7.20", 1, 100), HIL_NET_OK);
        CHECK_EQ(hil_net_send(pattern, sizeof pattern, 1000), (int)sizeof pattern);
        CHECK_EQ(stub_host.out_len, sizeof pattern);
        CHECK(memcmp(stub_host.out, pattern, sizeof pattern) == 0);
        CHECK_EQ(chip.misuse, 0);
    }
    connected();
    stub_host.out_room = 3000; /* then the peer's window is shut */
    uint32_t start = stub_ms;
    CHECK_EQ(hil_net_send(pattern, sizeof pattern, 400), HIL_NET_TIMEOUT);
    CHECK(stub_ms - start >= 400 && stub_ms - start < 450);
    CHECK_EQ(stub_host.out_len, 3000);
    stub_host.gone = true;
    CHECK_EQ(hil_net_send(pattern, 1, 400), HIL_NET_RESET);
    stub_spi_broken = true;
    CHECK_EQ(hil_net_send(pattern, 1, 400), HIL_NET_ERROR);
}

static size_t receive(uint8_t *into, size_t cap, size_t piece, int *last) {
    size_t have = 0;
    for (;;) {
        size_t room = cap - have < piece ? cap - have : piece;
        *last = hil_net_recv(into + have, room > 0 ? room : 1, 50);
        if (*last <= 0)
            return have;
        CHECK((size_t)*last <= room);
        have += (size_t)*last;
    }
}

static void test_recv(void) {
    static uint8_t got[sizeof pattern + 8];
    static const size_t STEPS[] = {1, 2047, 7, 2048, 100, 9000}; /* a counter that moves while it is read */
    for (size_t i = 0; i < sizeof STEPS / sizeof *STEPS; i++) {
        stub_chip_reset();
        chip.first_pointer = (uint16_t)(0xFFF0 + i);
        stub_host.in = pattern;
        stub_host.in_len = sizeof pattern;
        stub_host.step = STEPS[i];
        stub_host.rest = i % 2 == 0 ? 3 : 0;
        stub_host.fin = true;
        CHECK_EQ(hil_net_up(10), HIL_NET_OK);
        CHECK_EQ(hil_net_connect("", "192.168.7.20", 1, 100), HIL_NET_OK);
        int last = 0;
        CHECK_EQ(receive(got, sizeof got, 600 + i, &last), sizeof pattern);
        CHECK_EQ(last, HIL_NET_CLOSED);
        CHECK(memcmp(got, pattern, sizeof pattern) == 0);
        CHECK_EQ(chip.misuse, 0);
    }
    connected(); /* one that never comes to rest: a bus that reads noise */
    stub_host.in = pattern;
    stub_host.in_len = sizeof pattern;
    stub_host.step = 1;
    CHECK_EQ(hil_net_recv(got, sizeof got, 50), HIL_NET_ERROR);
    CHECK_EQ(hil_net_detail(), HIL_W5500_UNSTEADY);

    connected();
    CHECK_EQ(hil_net_readable(), 0);
    uint32_t start = stub_ms;
    CHECK_EQ(hil_net_recv(got, sizeof got, 200), HIL_NET_TIMEOUT);
    CHECK(stub_ms - start >= 200 && stub_ms - start < 250);
    start = stub_ms;
    CHECK_EQ(hil_net_recv(got, sizeof got, 0), HIL_NET_TIMEOUT); /* one look */
    CHECK(stub_ms - start < 10);
    stub_host.in = pattern;
    stub_host.in_len = 10;
    CHECK_EQ(hil_net_readable(), 1);
    stub_host.gone = true; /* a reset behind ten bytes: they come first */
    CHECK_EQ(hil_net_recv(got, 4, 200), 4);
    CHECK_EQ(hil_net_recv(got, sizeof got, 200), 6);
    CHECK_EQ(hil_net_recv(got, sizeof got, 200), HIL_NET_RESET);
}

static void test_close(void) {
    connected();
    stub_host.fin = true;
    hil_net_close(0);
    CHECK(stub_host.finished);
    CHECK_EQ(chip.sockets[0].reg[3], 0);
    CHECK_EQ(hil_net_send("x", 1, 10), HIL_NET_CLOSED);
    CHECK_EQ(hil_net_readable(), 0);

    connected(); /* the peer sends and sends, and its FIN is behind all that */
    stub_host.in = pattern;
    stub_host.in_len = sizeof pattern;
    stub_host.fin = true;
    hil_net_close(0);
    CHECK_EQ(stub_host.in_at, sizeof pattern);

    connected(); /* it never closes */
    uint32_t start = stub_ms;
    hil_net_close(0);
    CHECK(stub_ms - start >= 1000 && stub_ms - start < 1100);

    connected();
    hil_net_close(1);
    CHECK(!stub_host.finished);
    CHECK_EQ(stub_host.closed, 1);
    CHECK_EQ(chip.misuse, 0);

    connected(); /* the peer first: CLOSE_WAIT, LAST_ACK */
    stub_host.fin = true;
    CHECK_EQ(hil_net_recv(pattern, 1, 10), HIL_NET_CLOSED);
    CHECK_EQ(hil_net_send("bye", 3, 100), 3); /* our half is open */
    CHECK(stub_host.out_len == 3 && memcmp(stub_host.out, "bye", 3) == 0);
    hil_net_close(0);
    CHECK(stub_host.finished);
    CHECK_EQ(chip.misuse, 0);
}

/* --- names --- */

static const uint8_t SERVER[] = {192, 168, 7, 53}, BROKER[] = {10, 1, 2, 3};

/* An answer with a CNAME before the address; returns its length. */
static size_t answer(uint8_t *out, size_t cap) {
    static const uint8_t RECORDS[] = {
        0xC0, 12,  0,    5,  0, 1, 0, 0, 0, 9, 0, 4, 1, 'x', 0xC0, 12, /* CNAME x.… */
        1,    'x', 0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4,   10,   1,  2, 3};
    size_t len = hil_w5500_dns_query(out, cap, 0x1234, "broker.hil.test");
    CHECK_EQ(len, 12 + 17 + 4);
    out[2] |= 0x80;
    out[7] = 2;
    memcpy(out + len, RECORDS, sizeof RECORDS);
    return len + sizeof RECORDS;
}

static void test_dns_message(void) {
    static const uint8_t QUERY[] = {0x12, 0x34, 1,   0, 0,   1,   0, 0, 0, 0, 0,
                                    0,    1,    'a', 2, 'b', 'c', 0, 0, 1, 0, 1};
    char label[80];
    uint8_t out[512], ip[4];
    CHECK_EQ(hil_w5500_dns_query(out, sizeof out, 0x1234, "a.bc"), sizeof QUERY);
    CHECK(memcmp(out, QUERY, sizeof QUERY) == 0);
    CHECK_EQ(hil_w5500_dns_query(out, sizeof out, 0x1234, "a.bc."), sizeof QUERY);
    CHECK_EQ(hil_w5500_dns_query(out, sizeof QUERY - 1, 0x1234, "a.bc"), 0);
    CHECK_EQ(hil_w5500_dns_query(out, sizeof out, 1, ""), 0);
    CHECK_EQ(hil_w5500_dns_query(out, sizeof out, 1, "a..b"), 0);
    CHECK_EQ(hil_w5500_dns_query(out, sizeof out, 1, ".a"), 0);
    memset(label, 'a', sizeof label);
    label[64] = '\0';
    CHECK_EQ(hil_w5500_dns_query(out, sizeof out, 1, label), 0);
    label[63] = '\0';
    CHECK_EQ(hil_w5500_dns_query(out, sizeof out, 1, label), 12 + 65 + 4);

    size_t len = answer(out, sizeof out);
    CHECK_EQ(hil_w5500_dns_answer(out, len, 0x1234, "Broker.HIL.test", ip), 1);
    CHECK(memcmp(ip, BROKER, 4) == 0);
    CHECK_EQ(hil_w5500_dns_answer(out, len, 0x1235, "broker.hil.test", ip), 0);
    CHECK_EQ(hil_w5500_dns_answer(out, len, 0x1234, "other.hil.test", ip), 0);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut + 1); /* one byte that is nobody's would be found */
        memcpy(exact, out, cut);
        CHECK(hil_w5500_dns_answer(exact, cut, 0x1234, "broker.hil.test", ip) != 1);
        free(exact);
    }
    out[3] = 3; /* NXDOMAIN */
    CHECK_EQ(hil_w5500_dns_answer(out, len, 0x1234, "broker.hil.test", ip), -1);
    out[3] = 0;
    out[2] &= 0x7F; /* a query is no answer */
    CHECK_EQ(hil_w5500_dns_answer(out, len, 0x1234, "broker.hil.test", ip), 0);
}

static void test_resolve(void) {
    uint8_t ip[4];
    fresh();
    stub_host.datagram_len = answer(stub_host.datagram, sizeof stub_host.datagram);
    memcpy(stub_host.from, SERVER, 4);
    CHECK_EQ(hil_net_connect("broker.hil.test", "", 8883, 3000), HIL_NET_OK);
    CHECK(memcmp(stub_host.ip, BROKER, 4) == 0);
    CHECK_EQ(chip.misuse, 0);
    CHECK_EQ(chip.sockets[1].reg[3], 0);

    stub_host.from[3] = 54; /* somebody else's answer */
    uint32_t start = stub_ms;
    CHECK_EQ(hil_w5500_resolve("broker.hil.test", ip, 2500), HIL_NET_NAME);
    CHECK(stub_ms - start >= 2500 && stub_ms - start < 2600);
    memcpy(stub_host.from, SERVER, 4);
    stub_host.datagram_len = sizeof stub_host.datagram; /* longer than 512: dropped whole */
    CHECK_EQ(hil_w5500_resolve("broker.hil.test", ip, 2500), HIL_NET_NAME);
    CHECK_EQ(hil_w5500_resolve("broker..test", ip, 2500), HIL_NET_NAME);
    CHECK_EQ(chip.misuse, 0);
    stub_spi_broken = true;
    CHECK_EQ(hil_w5500_resolve("broker.hil.test", ip, 100), HIL_NET_ERROR);
}

int main(void) {
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 7 + i / 251);
    test_start();
    test_slow_chip();
    test_connect();
    test_send();
    test_recv();
    test_dns_message();
    test_resolve();
    test_close();
    return 0;
}
