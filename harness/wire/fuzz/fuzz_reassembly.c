/* TCP: the input is a list of segments. Each has 8 bytes of head: flags and side, a sequence number near what
 * is expected (or far), an acknowledgement, a length, and a port. Offsets count from the connection's start.
 */
#include "fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static struct hil_decoder d;
    uint8_t payload[512];
    fixture_init(&d);
    while (n >= 8) {
        int side = p[0] >> 7;
        uint8_t flags = p[0] & (HIL_FIN | HIL_SYN | HIL_RST | HIL_ACK);
        uint32_t seq = hil_be16(p + 1);
        seq = (p[0] & 0x40U) != 0 ? seq << 16 : seq - 1000; /* wraps around zero */
        uint16_t len = hil_be16(p + 5) & 0x1ffU;
        uint8_t how = p[7];
        uint32_t ack = hil_be16(p + 3) - 1000U;
        p += 8;
        n -= 8;
        size_t have = n < len ? n : len;
        memset(payload, how, sizeof payload);
        if (have > 0) {
            memcpy(payload, p, have);
        }
        p += have;
        n -= have;
        uint16_t port = (uint16_t)(how % 4 == 0 ? 1883 : 8883);
        struct hil_segment s = fixture_segment(side, seq, flags, payload, len, port);
        s.ack = ack;
        s.wirelen += how % 16 == 1 ? 7U : 0U; /* cut by the snap length */
        s.src.b[0] = s.dst.b[0] = (uint8_t)(how >> 6);
        d.frame++;
        d.t += (int64_t)how * 20000000;
        hil_conn_segment(&d, &s);
    }
    hil_conn_finish(&d);
    fixture_free(&d);
    return 0;
}
