/* Packets of a server, good and bad, whole and cut at every byte: the answer never depends on the cutting. */
#include "check.h"
#include "mqtt.h"

static uint8_t buffer[64];
static struct hil_mqtt_packet packet;

static size_t unhex(const char *hex, uint8_t *out) {
    size_t n = 0;
    for (; *hex != '\0'; hex++) {
        if (*hex == ' ')
            continue;
        unsigned byte;
        CHECK(sscanf(hex, "%2x", &byte) == 1);
        out[n++] = (uint8_t)byte;
        hex++;
    }
    return n;
}

/* Result of the first packet in `data`, given `step` bytes at a time. */
static int decode(const uint8_t *data, size_t len, size_t step, unsigned level) {
    struct hil_mqtt_decoder d;
    hil_mqtt_decoder_init(&d, buffer, sizeof buffer, level);
    for (size_t at = 0; at < len;) {
        size_t n = len - at < step ? len - at : step, used = 0;
        uint8_t *copy = malloc(n); /* so that reading too far is seen */
        memcpy(copy, data + at, n);
        int rc = hil_mqtt_decode(&d, copy, n, &used, &packet);
        free(copy);
        CHECK(used <= n && (rc != 0 || used == n));
        at += used;
        if (rc != 0) {
            CHECK(rc < 0 || at == len);
            return rc;
        }
    }
    return 0;
}

static int decoded(const char *hex, unsigned level) {
    uint8_t data[256];
    size_t len = unhex(hex, data);
    int whole = decode(data, len, len, level);
    for (size_t step = 1; step < len; step++)
        CHECK_EQ(decode(data, len, step, level), whole);
    return whole;
}

static void good_ones(void) {
    CHECK_EQ(decoded("20 02 01 00", 4), 1);
    CHECK(packet.type == HIL_MQTT_CONNACK && packet.session_present && packet.code == 0 && packet.size == 4);
    CHECK_EQ(decoded("20 02 00 05", 4), 1);
    CHECK_EQ(packet.code, 5);
    CHECK_EQ(decoded("20 0b 00 00 08 21 0014 24 01 13 0005", 5), 1);
    CHECK(packet.properties.has_receive_maximum && packet.properties.receive_maximum == 20);
    CHECK(packet.properties.has_max_qos && packet.properties.max_qos == 1 &&
          packet.properties.keepalive == 5);
    CHECK_EQ(decoded("20 03 00 87 00", 5), 1);
    CHECK_EQ(packet.code, 0x87);
    CHECK_EQ(decoded("3b 07 0001 61 0102 78 79", 4), 1);
    CHECK(packet.qos == 1 && packet.dup && packet.retain && packet.id == 258);
    CHECK(packet.topic.len == 1 && packet.payload.len == 2 && memcmp(packet.payload.data, "xy", 2) == 0);
    CHECK_EQ(decoded("30 03 0001 61", 4), 1);
    CHECK_EQ(packet.payload.len, 0);
    CHECK_EQ(decoded("30 10 0001 61 0b 01 01 0b 05 0b 06 26 0000 0000 78", 5), 1);
    CHECK_EQ(packet.payload.len, 1);
    CHECK_EQ(decoded("30 06 0000 03 23 0001", 5), 1); /* by alias */
    CHECK(packet.properties.has_alias && packet.topic.len == 0);
    CHECK_EQ(decoded("40 02 0001", 5), 1);
    CHECK_EQ(decoded("40 03 0001 87", 5), 1);
    CHECK_EQ(packet.code, 0x87);
    CHECK_EQ(decoded("40 04 0001 10 00", 5), 1);
    CHECK_EQ(decoded("62 07 0001 92 03 1f 0000", 5), 1);
    CHECK_EQ(decoded("90 03 0001 80", 4), 1);
    CHECK(packet.codes.len == 1 && packet.codes.data[0] == 0x80);
    CHECK_EQ(decoded("90 05 0001 00 00 a2", 5), 1);
    CHECK_EQ(packet.codes.len, 2);
    CHECK_EQ(decoded("b0 02 0001", 4), 1);
    CHECK_EQ(decoded("b0 04 0001 00 11", 5), 1);
    CHECK_EQ(decoded("d0 00", 4), 1);
    CHECK_EQ(decoded("e0 00", 5), 1);
    CHECK_EQ(decoded("e0 01 8b", 5), 1);
    CHECK_EQ(packet.code, 0x8b);
    CHECK_EQ(decoded("f0 07 18 05 15 0002 4142", 5), 1);
    CHECK_EQ(packet.properties.auth_method.len, 2);
    CHECK_EQ(decoded("d0 80 00", 4), 1); /* 3.1.1 does not ask for the shortest form */
}

static const struct { // NOLINT(clang-analyzer-optin.performance.Padding): rows read as level, packet, answer
    unsigned level;
    const char *hex;
    int rc;
} BAD[] = {
    {4, "20 00", HIL_MQTT_E_MALFORMED},
    {4, "20 01 00", HIL_MQTT_E_MALFORMED},
    {4, "20 03 00 00 00", HIL_MQTT_E_MALFORMED},
    {4, "20 02 02 00", HIL_MQTT_E_MALFORMED},
    {4, "20 02 00 06", HIL_MQTT_E_MALFORMED},
    {4, "20 02 01 05", HIL_MQTT_E_PROTOCOL},
    {4, "21", HIL_MQTT_E_MALFORMED},
    {4, "36", HIL_MQTT_E_MALFORMED},
    {4, "38", HIL_MQTT_E_MALFORMED},
    {4, "41", HIL_MQTT_E_MALFORMED},
    {4, "60", HIL_MQTT_E_MALFORMED},
    {4, "d1", HIL_MQTT_E_MALFORMED},
    {4, "00", HIL_MQTT_E_MALFORMED},
    {4, "10", HIL_MQTT_E_PROTOCOL},
    {4, "82", HIL_MQTT_E_PROTOCOL},
    {4, "a2", HIL_MQTT_E_PROTOCOL},
    {4, "c0", HIL_MQTT_E_PROTOCOL},
    {4, "e0", HIL_MQTT_E_PROTOCOL},
    {4, "f0", HIL_MQTT_E_PROTOCOL},
    {4, "d0 01 00", HIL_MQTT_E_MALFORMED},
    {4, "30 ff ff ff ff", HIL_MQTT_E_MALFORMED},
    {4, "30 ff ff ff 7f", HIL_MQTT_E_TOO_LARGE},
    {4, "30 3f", HIL_MQTT_E_TOO_LARGE},
    {4, "30 00", HIL_MQTT_E_MALFORMED},
    {4, "30 02 0001", HIL_MQTT_E_MALFORMED},
    {4, "30 02 0000", HIL_MQTT_E_PROTOCOL},
    {4, "30 05 0003 61 2f 2b", HIL_MQTT_E_MALFORMED},
    {4, "30 04 0002 c080", HIL_MQTT_E_MALFORMED},
    {4, "30 03 0001 00", HIL_MQTT_E_MALFORMED},
    {4, "32 05 0001 61 0000", HIL_MQTT_E_MALFORMED},
    {4, "32 04 0001 61 00", HIL_MQTT_E_MALFORMED},
    {4, "40 01 00", HIL_MQTT_E_MALFORMED},
    {4, "40 02 0000", HIL_MQTT_E_MALFORMED},
    {4, "40 03 0001 00", HIL_MQTT_E_MALFORMED},
    {4, "90 02 0001", HIL_MQTT_E_MALFORMED},
    {4, "90 03 0001 03", HIL_MQTT_E_MALFORMED},
    {4, "90 03 0001 87", HIL_MQTT_E_MALFORMED},
    {4, "b0 03 0001 00", HIL_MQTT_E_MALFORMED},
    {5, "d0 80 00", HIL_MQTT_E_MALFORMED},
    {5, "20 02 00 00", HIL_MQTT_E_MALFORMED},
    {5, "20 03 00 01 00", HIL_MQTT_E_MALFORMED},
    {5, "20 06 00 00 03 21 0000", HIL_MQTT_E_PROTOCOL},
    {5, "20 05 00 00 02 24 02", HIL_MQTT_E_PROTOCOL},
    {5, "20 05 00 00 02 7f 00", HIL_MQTT_E_MALFORMED},
    {5, "20 07 00 00 04 25 00 25 00", HIL_MQTT_E_PROTOCOL},
    {5, "20 06 00 00 03 23 0001", HIL_MQTT_E_PROTOCOL},
    {5, "20 04 00 00 05 00", HIL_MQTT_E_MALFORMED},
    {5, "20 05 00 00 02 21 00", HIL_MQTT_E_MALFORMED},
    {5, "30 06 0000 03 23 0000", HIL_MQTT_E_PROTOCOL},
    {5, "30 03 0000 00", HIL_MQTT_E_PROTOCOL},
    {5, "30 08 0001 61 04 08 0001 23", HIL_MQTT_E_PROTOCOL},
    {5, "30 06 0001 61 02 0b 00", HIL_MQTT_E_PROTOCOL},
    {5, "30 07 0001 61 03 0b 80 00", HIL_MQTT_E_MALFORMED},
    {5, "30 06 0001 61 02 01 02", HIL_MQTT_E_PROTOCOL},
    {5, "30 07 0001 61 80 80 80 80", HIL_MQTT_E_MALFORMED},
    {5, "40 03 0001 01", HIL_MQTT_E_MALFORMED},
    {5, "b0 03 0001 00", HIL_MQTT_E_MALFORMED},
    {5, "e1", HIL_MQTT_E_MALFORMED},
    {5, "f1", HIL_MQTT_E_MALFORMED},
    {5, "e0 07 00 05 11 00000001", HIL_MQTT_E_PROTOCOL},
};

static void bad_ones(void) {
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        int rc = decoded(BAD[i].hex, BAD[i].level);
        if (rc != BAD[i].rc)
            fprintf(stderr, "level %u: %s\n", BAD[i].level, BAD[i].hex);
        CHECK_EQ(rc, BAD[i].rc);
    }
}

/* Several packets in one read are given out one after the other. */
static void stream(void) {
    uint8_t data[64];
    size_t len = unhex("20 02 00 00 90 03 0001 00 d0 00 30 03 0001 61", data), at = 0;
    static const enum hil_mqtt_type WANT[] = {HIL_MQTT_CONNACK, HIL_MQTT_SUBACK, HIL_MQTT_PINGRESP,
                                              HIL_MQTT_PUBLISH};
    struct hil_mqtt_decoder d;
    hil_mqtt_decoder_init(&d, buffer, sizeof buffer, 4);
    for (size_t i = 0; i < 4; i++) {
        size_t used;
        CHECK_EQ(hil_mqtt_decode(&d, data + at, len - at, &used, &packet), 1);
        CHECK_EQ(packet.type, WANT[i]);
        at += used;
    }
    CHECK_EQ(at, len);
}

int main(void) {
    good_ones();
    bad_ones();
    stream();
    return 0;
}
