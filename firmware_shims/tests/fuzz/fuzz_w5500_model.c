/* Frames as a hostile or broken driver may send them, and a peer that does what the input says: each byte
 * pair of the input is a length and what else happens, then come the bytes of the frame. */
#include "check.h"
#include "stub_board.h"
#include "stub_chip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t in[64];
    stub_chip_reset();
    while (size >= 2) {
        size_t len = data[0] & 63u;
        uint8_t what = data[1];
        data += 2;
        size -= 2;
        if (len > size)
            len = size;
        stub_host.in = data;
        stub_host.in_len = (what & 1u) != 0 ? len : 0;
        stub_host.in_at = stub_host.out_len = 0;
        stub_host.fin = (what & 2u) != 0;
        stub_host.gone = (what & 4u) != 0;
        stub_host.wire = (enum w5500_wire)(what >> 6);
        stub_host.out_room = (what & 8u) != 0 ? 0 : sizeof stub_host.out;
        stub_host.datagram_len = len;
        stub_host.datagram_ready = (what & 16u) != 0;
        stub_ms += (what & 32u) != 0 ? 1000 : 1;
        w5500_model_select(&chip, true);
        w5500_model_exchange(&chip, data, in, len);
        (void)w5500_model_interrupt(&chip);
        data += len;
        size -= len;
    }
    return 0;
}
