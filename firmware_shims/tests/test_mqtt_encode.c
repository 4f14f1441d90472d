/* Expected packets first, byte for byte, as the standards' figures have them. */
#include "check.h"
#include "mqtt.h"

static uint8_t out[70000];

static void expect(int len, const char *hex) {
    uint8_t want[512];
    size_t n = 0;
    for (; *hex != '\0'; hex++) {
        if (*hex == ' ')
            continue;
        unsigned byte;
        CHECK(sscanf(hex, "%2x", &byte) == 1);
        want[n++] = (uint8_t)byte;
        hex++;
    }
    CHECK_EQ(len, n);
    CHECK(memcmp(out, want, n) == 0);
}

static void connects(void) {
    struct hil_mqtt_connect c = {
        .level = 4, .clean = true, .keepalive = 10, .client_id = hil_slice_of("dev")};
    expect(hil_mqtt_connect(out, sizeof out, &c), "10 0f 0004 4d515454 04 02 000a 0003 646576");
    struct hil_mqtt_will will = {
        .topic = hil_slice_of("w"), .payload = hil_slice_of("bye"), .qos = 1, .retain = true};
    c.will = &will;
    c.username = hil_slice_of("u");
    c.password = hil_slice_of("p");
    expect(hil_mqtt_connect(out, sizeof out, &c),
           "10 1d 0004 4d515454 04 ee 000a 0003 646576 0001 77 0003 627965 0001 75 0001 70");
    c.level = 5;
    c.clean = false;
    c.session_expiry = 3600;
    c.max_packet = 4096;
    will.delay = 5;
    expect(hil_mqtt_connect(out, sizeof out, &c),
           "10 2e 0004 4d515454 05 ec 000a 0a 11 00000e10 27 00001000 0003 646576 "
           "05 18 00000005 0001 77 0003 627965 0001 75 0001 70");
    c.password = (struct hil_slice){(const uint8_t *)"\0\xff", 2}; /* binary is allowed there */
    CHECK(hil_mqtt_connect(out, sizeof out, &c) > 0);
}

static void refused_connects(void) {
    struct hil_mqtt_connect good = {.level = 4, .clean = true, .client_id = hil_slice_of("d")}, c = good;
    c.level = 3;
    CHECK_EQ(hil_mqtt_connect(out, sizeof out, &c), HIL_MQTT_E_ARGUMENT);
    c = good;
    c.password = hil_slice_of("p");
    CHECK_EQ(hil_mqtt_connect(out, sizeof out, &c), HIL_MQTT_E_ARGUMENT);
    c.level = 5;
    CHECK(hil_mqtt_connect(out, sizeof out, &c) > 0);
    c = good;
    c.client_id = hil_slice_of("");
    CHECK(hil_mqtt_connect(out, sizeof out, &c) > 0);
    c.clean = false;
    CHECK_EQ(hil_mqtt_connect(out, sizeof out, &c), HIL_MQTT_E_ARGUMENT);
    c = good;
    c.client_id = (struct hil_slice){(const uint8_t *)"\0", 1};
    CHECK_EQ(hil_mqtt_connect(out, sizeof out, &c), HIL_MQTT_E_UTF8);
    c = good;
    c.username = (struct hil_slice){(const uint8_t *)"\xed\xa0\x80", 3};
    CHECK_EQ(hil_mqtt_connect(out, sizeof out, &c), HIL_MQTT_E_UTF8);
    c = good;
    struct hil_mqtt_will will = {.topic = hil_slice_of("a/#")};
    c.will = &will;
    CHECK_EQ(hil_mqtt_connect(out, sizeof out, &c), HIL_MQTT_E_TOPIC);
    will.topic = hil_slice_of("a");
    will.qos = 3;
    CHECK_EQ(hil_mqtt_connect(out, sizeof out, &c), HIL_MQTT_E_ARGUMENT);
    for (size_t cap = 0; cap < 15; cap++) {
        uint8_t small[15];
        CHECK_EQ(hil_mqtt_connect(small, cap, &good), cap < 15 ? HIL_MQTT_E_SPACE : 15);
    }
}

static void publishes(void) {
    struct hil_mqtt_publish p = {.topic = hil_slice_of("a/b"), .payload = hil_slice_of("x")};
    expect(hil_mqtt_publish(out, sizeof out, 4, &p), "30 06 0003 612f62 78");
    expect(hil_mqtt_publish(out, sizeof out, 5, &p), "30 07 0003 612f62 00 78");
    p.qos = 1;
    p.id = 258;
    p.dup = p.retain = true;
    expect(hil_mqtt_publish(out, sizeof out, 4, &p), "3b 08 0003 612f62 0102 78");
    p.qos = 2;
    expect(hil_mqtt_publish(out, sizeof out, 5, &p), "3d 09 0003 612f62 0102 00 78");
    p.id = 0;
    CHECK_EQ(hil_mqtt_publish(out, sizeof out, 4, &p), HIL_MQTT_E_ARGUMENT);
    p.qos = 0;
    CHECK_EQ(hil_mqtt_publish(out, sizeof out, 4, &p), HIL_MQTT_E_ARGUMENT); /* DUP at QoS 0 */
    p.qos = 3;
    CHECK_EQ(hil_mqtt_publish(out, sizeof out, 4, &p), HIL_MQTT_E_ARGUMENT);
}

/* Remaining lengths at each edge of their encoding. */
static void lengths(void) {
    static uint8_t payload[66000];
    static const size_t REMAINING[] = {127, 128, 16383, 16384, 65535, 65536};
    static const char *const HEAD[] = {"7f", "8001", "ff7f", "808001", "ffff03", "808004"};
    for (size_t i = 0; i < 6; i++) {
        struct hil_mqtt_publish p = {.topic = hil_slice_of("t"), .payload = {payload, REMAINING[i] - 3}};
        int len = hil_mqtt_publish(out, sizeof out, 4, &p);
        size_t digits = strlen(HEAD[i]) / 2;
        CHECK_EQ(len, 1 + digits + REMAINING[i]);
        for (size_t k = 0; k < digits; k++) {
            unsigned byte;
            CHECK(sscanf(HEAD[i] + 2 * k, "%2x", &byte) == 1);
            CHECK_EQ(out[1 + k], byte);
        }
        CHECK_EQ(hil_mqtt_publish(out, (size_t)len - 1, 4, &p), HIL_MQTT_E_SPACE);
    }
}

static void others(void) {
    expect(hil_mqtt_subscribe(out, sizeof out, 4, 10, hil_slice_of("a/+"), 1), "82 08 000a 0003 612f2b 01");
    expect(hil_mqtt_subscribe(out, sizeof out, 5, 10, hil_slice_of("a/+"), 2),
           "82 09 000a 00 0003 612f2b 02");
    expect(hil_mqtt_unsubscribe(out, sizeof out, 4, 10, hil_slice_of("a")), "a2 05 000a 0001 61");
    expect(hil_mqtt_unsubscribe(out, sizeof out, 5, 10, hil_slice_of("a")), "a2 06 000a 00 0001 61");
    CHECK_EQ(hil_mqtt_subscribe(out, sizeof out, 4, 0, hil_slice_of("a"), 1), HIL_MQTT_E_ARGUMENT);
    CHECK_EQ(hil_mqtt_subscribe(out, sizeof out, 4, 1, hil_slice_of("a"), 3), HIL_MQTT_E_ARGUMENT);
    CHECK_EQ(hil_mqtt_subscribe(out, sizeof out, 4, 1, hil_slice_of("a#"), 0), HIL_MQTT_E_TOPIC);
    CHECK_EQ(hil_mqtt_unsubscribe(out, sizeof out, 4, 0, hil_slice_of("a")), HIL_MQTT_E_ARGUMENT);
    expect(hil_mqtt_ack(out, sizeof out, 4, HIL_MQTT_PUBACK, 7, 0), "40 02 0007");
    expect(hil_mqtt_ack(out, sizeof out, 4, HIL_MQTT_PUBREL, 7, 0x92), "62 02 0007");
    expect(hil_mqtt_ack(out, sizeof out, 5, HIL_MQTT_PUBCOMP, 7, 0x92), "70 03 0007 92");
    expect(hil_mqtt_ack(out, sizeof out, 5, HIL_MQTT_PUBREC, 7, 0), "50 02 0007");
    CHECK_EQ(hil_mqtt_ack(out, sizeof out, 4, HIL_MQTT_PUBACK, 0, 0), HIL_MQTT_E_ARGUMENT);
    CHECK_EQ(hil_mqtt_ack(out, sizeof out, 4, HIL_MQTT_SUBACK, 1, 0), HIL_MQTT_E_ARGUMENT);
    expect(hil_mqtt_pingreq(out, sizeof out), "c0 00");
    expect(hil_mqtt_disconnect(out, sizeof out, 4, 0x82), "e0 00");
    expect(hil_mqtt_disconnect(out, sizeof out, 5, 0), "e0 00");
    expect(hil_mqtt_disconnect(out, sizeof out, 5, 0x82), "e0 01 82");
}

int main(void) {
    connects();
    refused_connects();
    publishes();
    lengths();
    others();
    return 0;
}
