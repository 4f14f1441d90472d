/* libFuzzer target: a loader that may be anything. The first 64 bytes are registers, the rest is code in RAM
 * (the first byte chooses the part): it ends in bounded time, and never outside of the board's memory. */
#include "board.h"

#include <stdlib.h>
#include <string.h>

#define RAM    0x20000000u
#define BUDGET 2000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct hil_board board; /* 3 MB */
    if (size < 65) {
        return 0;
    }
    hil_board_init(&board, hil_part_at(data[0] % 4));
    hil_board_power(&board, true);
    hil_ppb_write(&board, 0xE000EDF0u, 0xA05F0003u); /* DHCSR: debug, halt */
    if (!board.core.halted && board.core.running != HIL_LOCKUP) {
        abort();
    }
    memcpy(board.core.r, data + 1, 60);
    size_t code = size - 64 < 4096 ? size - 64 : 4096;
    memcpy(board.ram, data + 64, code);
    board.core.r[15] = RAM;
    board.core.running = HIL_CODE;
    board.core.halted = false;
    for (int i = 0; i < 4 && board.core.running == HIL_CODE && !board.core.halted; i++) {
        if (hil_core_execute(&board, BUDGET) > BUDGET) {
            abort();
        }
    }
    (void)hil_core_state(&board);
    return 0;
}
