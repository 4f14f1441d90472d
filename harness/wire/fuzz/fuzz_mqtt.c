/* MQTT of both directions: pieces with two bytes of length whose top bit is the side; the first byte of the
 * input says whether the beginning was captured. Also properties and passwords by themselves. */
#include "fixture.h"
#include "jwt.h"
#include "mqtt.h"
#include "mqtt_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static struct hil_decoder d;
    static struct hil_mqtt_packet packet;
    struct hil_jwt jwt;
    if (n < 1) {
        return 0;
    }
    if (n > 2) {
        hil_mqtt_parse(p[1], (struct hil_span){p + 2, n - 2}, (uint32_t)(n - 2), p[0] % 6, p[0] < 128,
                       &packet);
    }
    hil_jwt_parse((struct hil_span){p, n}, &jwt);
    fixture_init(&d);
    struct hil_segment s = fixture_segment(0, 0, p[0] % 2 == 0 ? HIL_SYN : HIL_ACK, p, 0, 1883);
    hil_conn_segment(&d, &s);
    struct hil_conn *c = hil_conn_find(&d, &s.src, s.sport, &s.dst, s.dport);
    if (c != NULL && hil_mqtt_new(&d, c) != NULL) {
        p++;
        n--;
        while (n >= 2) {
            int side = p[0] >> 7;
            uint32_t len = hil_be16(p) & 0x3fffU;
            bool gap = (p[0] & 0x40U) != 0;
            p += 2;
            n -= 2;
            uint32_t k = n < len ? (uint32_t)n : len;
            d.frame++;
            d.t += 1000000000;
            if (gap) {
                hil_mqtt_gap(&d, c, side, len);
                continue;
            }
            hil_mqtt_data(&d, c, side, p, k, side == 1);
            p += k;
            n -= k;
        }
    }
    hil_conn_finish(&d);
    fixture_free(&d);
    return 0;
}
