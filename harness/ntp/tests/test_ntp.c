/* Unit tests of the answers, field by field against RFC 5905 7.3, and of the behaviours' text. */
#include "hil_ntp.h"

#include <stdio.h>
#include <string.h>

#define NOW 1700000000500000 /* 2023-11-14T22:13:20.5Z */

static int failures;

static void check(const char *what, bool ok) {
    if (!ok) {
        fprintf(stderr, "FAILED %s\n", what);
        failures++;
    }
}

static void request(uint8_t data[HIL_NTP_SIZE], unsigned version, unsigned mode, uint8_t mark) {
    memset(data, 0, HIL_NTP_SIZE);
    data[0] = (uint8_t)(version << 3 | mode);
    data[2] = 6;
    for (unsigned i = 0; i < 8; i++)
        data[40 + i] = (uint8_t)(mark + i);
}

static uint32_t get32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static struct hil_ntp_behaviour behave(const char *text) {
    struct hil_ntp_behaviour behaviour = {0};
    const char *wrong = hil_ntp_behave(text, strlen(text), NOW, &behaviour);
    check(text, wrong == NULL);
    return behaviour;
}

static size_t ask(const char *text, struct hil_ntp_state *state, uint8_t mark, uint8_t out[HIL_NTP_SIZE]) {
    uint8_t data[HIL_NTP_SIZE];
    struct hil_ntp_query query = {0};
    struct hil_ntp_behaviour behaviour = behave(text);
    request(data, 4, 3, mark);
    check("a client's datagram is a query", hil_ntp_parse(data, sizeof data, &query) == HIL_NTP_QUERY);
    return hil_ntp_answer(&behaviour, state, &query, NOW, NOW + 250000, out);
}

static void parse(void) {
    uint8_t data[100] = {0};
    struct hil_ntp_query query = {0};
    request(data, 4, 3, 1);
    for (size_t n = 0; n < HIL_NTP_SIZE; n++)
        check("short", hil_ntp_parse(data, n, &query) == HIL_NTP_SHORT);
    for (size_t n = HIL_NTP_SIZE; n <= sizeof data; n++)
        check("extensions and a MAC may follow", hil_ntp_parse(data, n, &query) == HIL_NTP_QUERY);
    check("fields", query.version == 4 && query.poll == 6 && query.transmit == 0x0102030405060708u);
    for (unsigned version = 0; version < 8; version++) {
        for (unsigned mode = 0; mode < 8; mode++) {
            enum hil_ntp_kind wanted = version < 1 || version > 4 ? HIL_NTP_BAD_VERSION
                                       : mode != 3                ? HIL_NTP_BAD_MODE
                                                                  : HIL_NTP_QUERY;
            request(data, version, mode, 1);
            check("version and mode", hil_ntp_parse(data, HIL_NTP_SIZE, &query) == wanted);
        }
    }
}

static void times(void) {
    check("1970", hil_ntp_timestamp(0) == (uint64_t)2208988800u << 32);
    check("half a second", hil_ntp_timestamp(500000) == ((uint64_t)2208988800u << 32 | 0x80000000u));
    check("before 1970", hil_ntp_timestamp(-500000) == ((uint64_t)2208988799u << 32 | 0x80000000u));
    check("the last second of era 0", hil_ntp_timestamp(2085978495000000) >> 32 == 0xFFFFFFFFu);
    check("era 1 begins on 2036-02-07", hil_ntp_timestamp(2085978496000000) == 0);
}

static void honest(void) {
    struct hil_ntp_state state = {0};
    uint8_t out[HIL_NTP_SIZE];
    check("size", ask("honest", &state, 7, out) == HIL_NTP_SIZE);
    check("leap 0, version 4, mode 4", out[0] == (4 << 3 | 4));
    check("stratum, poll, precision", out[1] == 1 && out[2] == 6 && out[3] == 0xEC);
    check("reference id", memcmp(out + 12, "LOCL", 4) == 0);
    check("origin is the client's", out[24] == 7 && out[31] == 14);
    check("receive", get32(out + 32) == 1700000000u + 2208988800u && get32(out + 36) == 0x80000000u);
    check("transmit", get32(out + 40) == 1700000000u + 2208988800u && get32(out + 44) == 0xC0000000u);
    check("reference is earlier", get32(out + 16) == get32(out + 32) - 1);
}

static void lies(void) {
    struct hil_ntp_state state = {0};
    uint8_t out[HIL_NTP_SIZE], second[HIL_NTP_SIZE];
    uint32_t real = 1700000000u + 2208988800u;
    ask("offset -3600.5", &state, 1, out);
    check("offset", get32(out + 32) == real - 3600 && get32(out + 36) == 0);
    ask("offset 400000000", &state, 1, out);
    check("offset into era 1", get32(out + 40) == real + 400000000u && get32(out + 40) < real);
    ask("stopped", &state, 1, out);
    check("stopped now", memcmp(out + 32, out + 40, 8) == 0 && get32(out + 32) == real);
    ask("stopped 0", &state, 1, out);
    check("stopped in 1970", get32(out + 40) == 2208988800u);
    ask("stratum 16", &state, 1, out);
    check("stratum", out[1] == 16 && out[0] >> 6 == 0);
    ask("unsynchronised", &state, 1, out);
    check("unsynchronised", out[0] >> 6 == 3 && out[1] == 16 && get32(out + 16) == 0);
    ask("kiss RATE", &state, 9, out);
    check("kiss", out[0] >> 6 == 3 && out[1] == 0 && memcmp(out + 12, "RATE", 4) == 0 && out[24] == 9);
    ask("offset 5, stratum 3", &state, 3, out);
    check("two at once", out[1] == 3 && get32(out + 32) == real + 5 && out[12] == 127);
    check("replay",
          ask("replay", &state, 50, second) == HIL_NTP_SIZE && memcmp(out, second, sizeof out) == 0);
    struct hil_ntp_state fresh = {0};
    ask("replay", &fresh, 60, out);
    ask("replay", &fresh, 70, second);
    check("the first answer is replayed", out[24] == 60 && memcmp(out, second, sizeof out) == 0);
    check("silent", ask("silent", &state, 1, out) == 0);
}

static void refused(void) {
    static const char *const wrong[] = {"",           "honset",
                                        "offset",     "offset x",

                                        "offset 1e3", "offset 99999999999",
                                        "stopped -1", "stratum 256",
                                        "stratum -1", "stratum 1.5",
                                        "kiss",       "kiss TOOLONG",
                                        "silent 3",   "offset 1 2",
                                        "honest,,",   "offset .5",
                                        "offset 1.",  "offset 1.0000001"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct hil_ntp_behaviour behaviour = {.stratum = 77};
        bool accepted = hil_ntp_behave(wrong[i], strlen(wrong[i]), NOW, &behaviour) == NULL;
        check(wrong[i], !accepted && behaviour.stratum == 77);
    }
}

int main(void) {
    parse();
    times();
    honest();
    lies();
    refused();
    printf("%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
