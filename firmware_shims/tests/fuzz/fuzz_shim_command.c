/* Anything on the command line: no crash, and every event line that comes back is whole. */
#include "check.h"
#include "hil/shim.h"
#include "settings.h"
#include "stub_board.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* hil_command_poll; RESET ends it with 0, as it ends a run on a board. */
static int poll_to_reset(uint32_t timeout_ms) {
    jmp_buf reset;
    int answer = 0;
    stub_reset_to = &reset;
    if (setjmp(reset) == 0)
        answer = hil_command_poll(&hil_settings_commands, timeout_ms);
    stub_reset_to = NULL;
    return answer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    hil_settings_init();
    stub_clear();
    stub_input(data + 1, size - 1, 1 + data[0] % 64);
    for (int i = 0; i < 64 && poll_to_reset(10) == 1; i++) {
    }
    stub_input("\n", 1, 1);
    (void)poll_to_reset(3000); /* ends a PUT, so that inputs do not depend on each other */
    stub_input("\n", 1, 1);
    (void)poll_to_reset(10);
    for (const char *at = stub_out; *at != '\0';) {
        const char *end = strchr(at, '\n');
        CHECK(end != NULL && end - at < HIL_LINE_MAX && memcmp(at, "@H1 ", 4) == 0);
        CHECK_EQ(strtoul(end - 4, NULL, 16), hil_crc16(0xFFFF, at, (size_t)(end - at) - 5));
        at = end + 1;
    }
    return 0;
}
