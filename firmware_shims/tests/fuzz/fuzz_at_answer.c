/* Whatever a module may answer: the driver ends in bounded time, writes nowhere else, and shows nothing that
 * a terminal would obey. Behind it: what it reads of a certificate. */
#include "check.h"
#include "hil/at.h"
#include "stub_at.h"
#include "stub_board.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    uint8_t *to = malloc(data[0] + 1u), id[32];
    CHECK(to != NULL);
    struct hil_at_command command = {
        .line = "AT+S.SOCKR=0,99", .in = to, .in_cap = data[0], .timeout_ms = 500};
    stub_clear();
    stub_at_clear();
    hil_at_state = (struct hil_at_state){.up = true};
    stub_at_input(data + 2, size - 2, 1 + data[1]);
    for (int i = 0; i < 4 && hil_at_state.up; i++) {
        uint32_t before = stub_ms;
        (void)hil_at_run(&command);
        CHECK(stub_ms - before <= 1000 && hil_at_reply.read <= command.in_cap);
    }
    for (size_t i = 0; i < stub_out_len; i++)
        CHECK(stub_out[i] == '\r' || stub_out[i] == '\n' || (stub_out[i] >= ' ' && stub_out[i] < 127));
    /* The line that is left over must not reach the next input. */
    stub_at_input("\r\n\r\n", 4, 4);
    (void)hil_at_wait(0);
    free(to);

    struct hil_blob blob = {data, size}, one;
    size_t at = 0, before = 0;
    CHECK(hil_at_key_identifier(blob, id, sizeof id) <= sizeof id);
    CHECK(hil_at_common_name(blob, id, sizeof id) <= sizeof id);
    while (hil_at_next_certificate(blob, &at, &one)) {
        CHECK(one.data >= data && one.len <= (size_t)(data + size - one.data) && at > before);
        before = at;
    }
    return 0;
}
