/* Power, NRST, the flash array, the board's log. */
#include "board.h"
#include "fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "memory is kept in the board's byte order");

void hil_board_log(struct hil_board *board, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    /* With several files at once, clang-tidy 14 does not see va_start. */
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    (void)vsnprintf(board->log[board->logged % HIL_LOG_LINES], HIL_LOG_COLUMNS, format, arguments);
    va_end(arguments);
    board->logged++;
}

void hil_board_init(struct hil_board *board, const struct hil_part *part) {
    memset(board, 0, sizeof *board);
    board->part = part;
    memset(board->flash, 0xFF, sizeof board->flash);
    memset(board->ram, HIL_MEMORY_RESET, sizeof board->ram);
    memset(board->ccm, HIL_MEMORY_RESET, sizeof board->ccm);
    hil_f4_default_options(board);
    hil_h5_default_options(board);
    hil_jtag_reset(board);
}

void hil_board_power(struct hil_board *board, bool on) {
    if (on == board->powered) {
        return;
    }
    board->powered = on;
    hil_board_log(board, "power %s", on ? "on" : "off");
    if (!on && board->heal == HIL_HEAL_POWER) {
        hil_fault_forget(board);
    }
    hil_jtag_reset(board);
    hil_dap_power_on(board);
    memset(board->ram, HIL_MEMORY_RESET, sizeof board->ram);
    memset(board->ccm, HIL_MEMORY_RESET, sizeof board->ccm);
    hil_f4_reset(board);
    hil_h5_reset(board);
    hil_core_power_on(board); /* without power it stays in reset */
    if (on && !board->jtag.srst) {
        hil_core_reset(board, false);
    }
}

void hil_board_power_cycle(struct hil_board *board) {
    hil_board_power(board, false);
    hil_board_power(board, true);
    board->power_cycles++;
}

void hil_board_nrst(struct hil_board *board, bool asserted) {
    if (asserted) {
        if (board->heal == HIL_HEAL_RESET) {
            hil_fault_forget(board);
        }
        hil_f4_reset(board);
        hil_h5_reset(board);
    }
    if (board->powered) {
        hil_core_reset(board, asserted);
    }
}

void hil_board_reset(struct hil_board *board) {
    hil_board_log(board, "NRST pulse");
    hil_board_nrst(board, true);
    if (!board->jtag.srst) { /* else the probe holds it */
        hil_board_nrst(board, false);
    }
}

void hil_flash_store(struct hil_board *board, uint32_t offset, const uint8_t *bytes, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        uint8_t value = board->flash[offset + i] & bytes[i];
        if (board->effects.flips && board->effects.flip == offset + i) {
            value ^= 1;
        }
        board->flash[offset + i] = value;
    }
    board->programmed++;
    hil_fault_programmed(board);
}

void hil_flash_erase(struct hil_board *board, uint32_t offset, uint32_t n) {
    memset(board->flash + offset, 0xFF, n);
    board->erased++;
}
