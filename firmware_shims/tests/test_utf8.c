/* Well-formed UTF-8 against a table made from the code points themselves; topics and filters. */
#include "check.h"
#include "mqtt.h"

static size_t encode(uint32_t point, uint8_t *out) {
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    size_t n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t LEAD[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n; i-- > 1; point >>= 6)
        out[i] = (uint8_t)(0x80 | (point & 0x3F));
    out[0] = (uint8_t)(LEAD[n] | point);
    return n;
}

static void every_code_point(void) {
    for (uint32_t point = 0; point <= 0x10FFFF; point++) {
        uint8_t text[4];
        size_t n = encode(point, text);
        bool surrogate = point >= 0xD800 && point <= 0xDFFF;
        CHECK_EQ(hil_utf8_valid(text, n), point != 0 && !surrogate);
        for (size_t cut = 1; cut < n; cut++)
            CHECK(!hil_utf8_valid(text, cut));
    }
}

/* Every string of two bytes, and of three that begin with a lead byte, is valid only if some code point makes
 * it. */
static void every_short_string(void) {
    static uint8_t good[256][256][256 / 8];
    for (uint32_t point = 0x800; point <= 0xFFFF; point++) {
        uint8_t text[4];
        encode(point, text);
        if (point < 0xD800 || point > 0xDFFF)
            good[text[0]][text[1]][text[2] / 8] |= (uint8_t)(1 << text[2] % 8);
    }
    for (unsigned a = 0xE0; a < 0x100; a++)
        for (unsigned b = 0; b < 0x100; b++)
            for (unsigned c = 0; c < 0x100; c++) {
                uint8_t text[3] = {(uint8_t)a, (uint8_t)b, (uint8_t)c};
                CHECK_EQ(hil_utf8_valid(text, 3), (good[a][b][c / 8] >> c % 8) & 1);
            }
    for (unsigned a = 0x80; a < 0x100; a++)
        for (unsigned b = 0; b < 0x100; b++) {
            uint8_t text[2] = {(uint8_t)a, (uint8_t)b};
            CHECK_EQ(hil_utf8_valid(text, 2), a >= 0xC2 && a <= 0xDF && b >= 0x80 && b <= 0xBF);
        }
}

static void topics(void) {
    CHECK_EQ(hil_mqtt_check_topic(hil_slice_of("a/b")), 0);
    CHECK_EQ(hil_mqtt_check_topic(hil_slice_of("/")), 0);
    CHECK_EQ(hil_mqtt_check_topic(hil_slice_of("")), HIL_MQTT_E_TOPIC);
    CHECK_EQ(hil_mqtt_check_topic(hil_slice_of("a/+")), HIL_MQTT_E_TOPIC);
    CHECK_EQ(hil_mqtt_check_topic(hil_slice_of("#")), HIL_MQTT_E_TOPIC);
    CHECK_EQ(hil_mqtt_check_topic((struct hil_slice){(const uint8_t *)"a\0b", 3}), HIL_MQTT_E_UTF8);
    CHECK_EQ(hil_mqtt_check_topic((struct hil_slice){(const uint8_t *)"a", 65536}), HIL_MQTT_E_LENGTH);
    static const char *const GOOD[] = {"#", "+", "a/#", "+/+", "/+", "+/#", "a/+/b", "/", "$share/g/a"};
    static const char *const BAD[] = {"",   "##", "#/a",  "a#",     "a/b#", "a/#/b",
                                      "+a", "a+", "a/+b", "a/b+/c", "++"};
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++)
        CHECK_EQ(hil_mqtt_check_filter(hil_slice_of(GOOD[i])), 0);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        CHECK_EQ(hil_mqtt_check_filter(hil_slice_of(BAD[i])), HIL_MQTT_E_TOPIC);
}

int main(void) {
    every_code_point();
    every_short_string();
    topics();
    return 0;
}
