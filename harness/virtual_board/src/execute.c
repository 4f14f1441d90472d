/* The interpreter's loop. What is not implemented ends in a lockup that the board's log names: a loader that
 * needs it fails loudly. */
#include "thumb.h"

#include <string.h>

#define FP_ENABLE 1u
#define C_DEBUGEN 1u
#define DFSR_BKPT (1u << 1)

static bool at_breakpoint(const struct hil_core *core) {
    if ((core->fp_ctrl & FP_ENABLE) == 0 || (core->dhcsr & C_DEBUGEN) == 0) {
        return false;
    }
    for (unsigned i = 0; i < 6; i++) {
        uint32_t c = core->fp_comp[i], where = c >> 30;
        bool upper = (core->r[15] & 2) != 0;
        if ((c & 1) != 0 && ((c ^ core->r[15]) & 0x1FFFFFFCu) == 0 && (where & (upper ? 2u : 1u)) != 0) {
            return true;
        }
    }
    return false;
}

static void step(struct hil_board *board) {
    struct hil_core *core = &board->core;
    uint32_t op = 0, low = 0, at = core->r[15];
    bool wide, done = true;
    if (!hil_bus_read(board, HIL_CORE, at, 2, &op)) {
        hil_core_lockup(board, "fetch outside of memory");
        return;
    }
    wide = op >> 11 >= 0x1D;
    if (wide && !hil_bus_read(board, HIL_CORE, at + 2, 2, &low)) {
        hil_core_lockup(board, "fetch outside of memory");
        return;
    }
    core->r[15] = at + (wide ? 4 : 2);
    uint8_t it = core->it;
    if (it == 0 || hil_thumb_condition(core->xpsr, it >> 4)) {
        done = wide ? hil_thumb32(board, op, low) : hil_thumb16(board, op);
    }
    if (it != 0) {
        core->it = (uint8_t)((it & 7) == 0 ? 0 : (it & 0xE0) | (it << 1 & 0x1F));
    }
    if ((core->r[15] & 1) != 0) { /* written by an instruction that must not (UNPREDICTABLE) */
        core->r[15] &= ~1u;
        done = false;
    }
    if (!done) {
        hil_board_log(board, "code at %08x: %04x %04x not executed", at, op, low);
        hil_core_lockup(board, "a loader could not go on");
    }
}

unsigned hil_core_execute(struct hil_board *board, unsigned budget) {
    struct hil_core *core = &board->core;
    uint32_t seen[16] = {0};
    uint32_t seen_xpsr = 0;
    unsigned n = 0;
    while (n < budget && core->running == HIL_CODE && !core->halted && !board->effects.loader_stuck) {
        uint32_t before = core->r[15];
        if (at_breakpoint(core)) {
            hil_core_halt(board, DFSR_BKPT);
            break;
        }
        step(board);
        n++;
        if (core->r[15] > before) {
            continue;
        }
        /* Back at the head of a loop: one that has changed nothing since the last time waits for the
         * debugger. */
        if (!core->activity && seen_xpsr == core->xpsr && memcmp(seen, core->r, sizeof seen) == 0) {
            break;
        }
        core->activity = false;
        memcpy(seen, core->r, sizeof seen);
        seen_xpsr = core->xpsr;
    }
    board->instructions += n;
    return n;
}
