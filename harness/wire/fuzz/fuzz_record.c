/* TLS records of both directions with a key log at hand: first byte: bit 7 side of the first piece, others
 * how the bytes are cut into segments; every piece begins with two bytes of length whose top bit is the side.
 */
#include "fixture.h"

/* Random of the ClientHello in the corpus, so that its keys are found. */
static const char keys[] =
#include "record_keys.inc"
    ;

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static struct hil_decoder d;
    uint32_t seq[2] = {1, 1};
    fixture_init(&d);
    hil_keylog_feed(&d.keys, (const uint8_t *)keys, sizeof keys - 1);
    struct hil_segment s = fixture_segment(0, 0, HIL_SYN, p, 0, 8883);
    hil_conn_segment(&d, &s);
    while (n >= 2) {
        int side = p[0] >> 7;
        bool lost = (p[0] & 0x40U) != 0;
        uint32_t len = hil_be16(p) & 0x3fffU;
        p += 2;
        n -= 2;
        uint32_t k = n < len ? (uint32_t)n : len;
        d.frame++;
        s = fixture_segment(side, seq[side], HIL_ACK, p, k, 8883);
        s.ack = seq[side ^ 1];
        seq[side] += k;
        if (!lost) {
            hil_conn_segment(&d, &s);
        }
        p += k;
        n -= k;
    }
    hil_conn_finish(&d);
    fixture_free(&d);
    return 0;
}
