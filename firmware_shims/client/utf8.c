/* UTF-8 and topics as MQTT wants them: 3.1.1 and 5.0 sections 1.5.3/1.5.4, 4.7. */
#include "mqtt.h"

#include <string.h>

struct hil_slice hil_slice_of(const char *string) {
    struct hil_slice slice = {(const uint8_t *)string, string != NULL ? strlen(string) : 0};
    return slice;
}

bool hil_utf8_valid(const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len;) {
        uint8_t c = data[i];
        size_t more;
        uint32_t point, least;
        if (c == 0)
            return false; /* [MQTT-1.5.3-2] */
        if (c < 0x80) {
            i++;
            continue;
        } else if (c >= 0xC2 && c <= 0xDF) {
            more = 1, point = c & 0x1Fu, least = 0x80;
        } else if (c >= 0xE0 && c <= 0xEF) {
            more = 2, point = c & 0x0Fu, least = 0x800;
        } else if (c >= 0xF0 && c <= 0xF4) {
            more = 3, point = c & 0x07u, least = 0x10000;
        } else {
            return false;
        }
        if (len - i <= more)
            return false;
        for (size_t k = 1; k <= more; k++) {
            if ((data[i + k] & 0xC0) != 0x80)
                return false;
            point = (point << 6) | (data[i + k] & 0x3Fu);
        }
        if (point < least || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF))
            return false; /* [MQTT-1.5.3-1] */
        i += more + 1;
    }
    return true;
}

static int check_string(struct hil_slice string) {
    if (string.len > 65535)
        return HIL_MQTT_E_LENGTH;
    if (string.len == 0)
        return HIL_MQTT_E_TOPIC; /* [MQTT-4.7.3-1] */
    return hil_utf8_valid(string.data, string.len) ? 0 : HIL_MQTT_E_UTF8;
}

int hil_mqtt_check_topic(struct hil_slice topic) {
    int rc = check_string(topic);
    if (rc == 0 && (memchr(topic.data, '+', topic.len) != NULL || memchr(topic.data, '#', topic.len) != NULL))
        return HIL_MQTT_E_TOPIC; /* [MQTT-3.3.2-2] */
    return rc;
}

int hil_mqtt_check_filter(struct hil_slice filter) {
    int rc = check_string(filter);
    for (size_t i = 0; rc == 0 && i < filter.len; i++) {
        bool alone_left = i == 0 || filter.data[i - 1] == '/';
        bool last = i + 1 == filter.len;
        if (filter.data[i] == '#' && !(alone_left && last))
            return HIL_MQTT_E_TOPIC; /* [MQTT-4.7.1-2] */
        if (filter.data[i] == '+' && !(alone_left && (last || filter.data[i + 1] == '/')))
            return HIL_MQTT_E_TOPIC; /* [MQTT-4.7.1-3] */
    }
    return rc;
}
