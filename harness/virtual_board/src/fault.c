#include "fault.h"

#include <string.h>

#define MIDDLE    1000u /* programmings: a half-word each with OpenOCD's loader, so 2 KB */
#define F4_WRPERR (1u << 4)
#define F4_PGAERR (1u << 5)
#define F4_PGPERR (1u << 6)
#define F4_PGSERR (1u << 7)
#define H5_WRPERR (1u << 17)
#define H5_PGSERR (1u << 18)
#define H5_INCERR (1u << 20)

static void flash_error(struct hil_board *board, uint32_t f4, uint32_t h5) {
    board->effects.flash_error |= board->part->family == HIL_F4 ? f4 : h5;
}

static void wrperr(struct hil_board *board, uint32_t argument) {
    (void)argument;
    flash_error(board, F4_WRPERR, H5_WRPERR);
}

static void pgserr(struct hil_board *board, uint32_t argument) {
    (void)argument;
    flash_error(board, F4_PGSERR, H5_PGSERR);
}

static void pgperr(struct hil_board *board, uint32_t argument) {
    (void)argument;
    flash_error(board, F4_PGPERR, H5_INCERR);
}

static void pgaerr(struct hil_board *board, uint32_t argument) {
    (void)argument;
    flash_error(board, F4_PGAERR, H5_INCERR);
}

static void rdp1(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->f4.options = (board->f4.options & ~0xFF00u) | 0x5500u;
    board->h5.optsr = (board->h5.optsr & ~0xFF00u) | 0x7200u; /* PRODUCT_STATE: closed */
    hil_f4_reload_options(board);
    hil_h5_reload_options(board);
}

static void rdp2(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->f4.options = (board->f4.options & ~0xFF00u) | 0xCC00u;
    hil_f4_reload_options(board);
    board->effects.tdo = HIL_TDO_ONES; /* the debug port is gone */
}

static void nwrp(struct hil_board *board, uint32_t sectors) {
    board->f4.options &= ~((sectors & 0xFFF) << 16);
    board->f4.options1 &= ~((sectors >> 12 & 0xFFF) << 16);
    board->h5.wrp[0] &= ~sectors;
    hil_f4_reload_options(board);
    hil_h5_reload_options(board);
}

static void bsy_stuck(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.bsy = true;
}

static void verify_mismatch(struct hil_board *board, uint32_t offset) {
    board->effects.flips = true;
    board->effects.flip = offset;
}

static void loader_stuck(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.loader_stuck = true;
}

static void reset(struct hil_board *board, uint32_t argument) {
    (void)argument;
    hil_board_reset(board);
}

static void power_cycle(struct hil_board *board, uint32_t argument) {
    (void)argument;
    hil_board_power_cycle(board);
}

static void zeroes(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.tdo = HIL_TDO_ZEROES;
}

static void ones(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.tdo = HIL_TDO_ONES;
}

static void wait(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.ap_wait = true;
}

static void ap_fault(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.ap_fault = true;
}

static void no_halt(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.no_halt = true;
}

static void reset_ignored(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.reset_ignored = true;
}

static void lockup(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.lockup = true;
    if (board->powered && !board->core.halted && !board->core.in_reset) {
        hil_core_lockup(board, "asked for by a fault");
    }
}

static void wrong_device_id(struct hil_board *board, uint32_t id) {
    board->effects.device_id = id;
}

static void wrong_idcode(struct hil_board *board, uint32_t id) {
    board->effects.idcode = id;
}

static void probe_eof(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.probe = HIL_PROBE_EOF;
}

static void probe_killed(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.probe = HIL_PROBE_KILLED;
}

static void probe_silent(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.probe = HIL_PROBE_SILENT;
}

static void probe_unplugged(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.probe = HIL_PROBE_UNPLUGGED;
}

static void console_silent(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.console_silent = true;
}

static void console_noise(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.console_noise = true;
}

static void uplink_silent(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.uplink_silent = true;
}

static void boots_nothing(struct hil_board *board, uint32_t argument) {
    (void)argument;
    board->effects.boots_nothing = true;
}

static const struct hil_fault faults[] = {
    {"wrperr", HIL_AT_ONCE, 0, wrperr, "programming sets WRPERR"},
    {"pgserr", HIL_AT_ONCE, 0, pgserr, "programming sets PGSERR"},
    {"pgperr", HIL_AT_ONCE, 0, pgperr, "programming sets PGPERR (H5: INCERR)"},
    {"pgaerr", HIL_AT_ONCE, 0, pgaerr, "programming sets PGAERR (H5: INCERR)"},
    {"rdp1", HIL_AT_ONCE, 0, rdp1, "read protection level 1 (H5: product state closed)"},
    {"rdp2", HIL_AT_ONCE, 0, rdp2, "read protection level 2: no debug port any more"},
    {"nwrp", HIL_AT_ONCE, 0xFFF, nwrp, "write protection of the sectors whose bits the argument has"},
    {"bsy_stuck", HIL_AT_ONCE, 0, bsy_stuck, "the flash controller stays busy"},
    {"verify_mismatch", HIL_AT_ONCE, 0x100, verify_mismatch, "programming stores a wrong bit at this offset"},
    {"loader_stuck", HIL_AT_ONCE, 0, loader_stuck, "the core does not execute code in RAM"},
    {"reset_mid_write", HIL_MID_WRITE, MIDDLE, reset, "NRST is pulled once"},
    {"power_cycle_mid_write", HIL_MID_WRITE, MIDDLE, power_cycle, "the power fails once and comes back"},
    {"no_power", HIL_AT_ONCE, 0, zeroes, "the probe is there, the target is not: TDO stays 0"},
    {"all_ones", HIL_AT_ONCE, 0, ones, "TDO stays 1, as with a cable that is off"},
    {"lost_mid_write", HIL_MID_WRITE, MIDDLE, ones, "TDO stays 1 from then on"},
    {"wait_forever", HIL_MID_WRITE, MIDDLE, wait, "no AP access ends: WAIT"},
    {"wait_at_connect", HIL_AT_ONCE, 0, wait, "as wait_forever, from the beginning"},
    {"ap_fault", HIL_MID_WRITE, MIDDLE, ap_fault, "each AP access fails: STICKYERR"},
    {"ap_fault_at_connect", HIL_AT_ONCE, 0, ap_fault, "as ap_fault, from the beginning"},
    {"no_halt", HIL_AT_ONCE, 0, no_halt, "the core never halts"},
    {"reset_ignored", HIL_AT_ONCE, 0, reset_ignored, "SYSRESETREQ does nothing"},
    {"lockup", HIL_AT_ONCE, 0, lockup, "the core locks up as soon as it runs"},
    {"wrong_device_id", HIL_AT_ONCE, 0x10006410, wrong_device_id, "DBGMCU_IDCODE reads as the argument"},
    {"wrong_idcode", HIL_AT_ONCE, 0x3BA00477, wrong_idcode, "the JTAG IDCODE is the argument"},
    {"probe_eof", HIL_MID_WRITE, MIDDLE, probe_eof, "the probe closes while it owes an answer"},
    {"probe_killed", HIL_MID_WRITE, MIDDLE, probe_killed, "the probe closes while it owes nothing"},
    {"probe_silent", HIL_AT_ONCE, 0, probe_silent, "the probe takes all and answers nothing"},
    {"probe_unplugged", HIL_AT_ONCE, 0, probe_unplugged, "jtag.sock is gone"},
    {"console_silent", HIL_AT_ONCE, 0, console_silent, "nothing arrives from the console UART"},
    {"console_noise", HIL_AT_ONCE, 0, console_noise, "the console arrives as with a wrong baud rate"},
    {"uplink_silent", HIL_AT_ONCE, 0, uplink_silent, "nothing passes the second UART, either way"},
    {"boots_nothing", HIL_AT_ONCE, 0, boots_nothing, "the core runs, the image does nothing"},
};

const struct hil_fault *hil_fault_at(size_t n) {
    return n < sizeof faults / sizeof faults[0] ? &faults[n] : NULL;
}

const struct hil_fault *hil_fault_named(const char *name) {
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        const char *a = faults[i].name, *b = name;
        while (*a != '\0' && (*a == *b || (*a == '_' && *b == '-'))) {
            a++;
            b++;
        }
        if (*a == '\0' && *b == '\0') {
            return &faults[i];
        }
    }
    return NULL;
}

bool hil_fault_arm(struct hil_board *board, const struct hil_fault *fault, uint32_t argument) {
    if (fault->moment == HIL_AT_ONCE) {
        hil_board_log(board, "fault %s", fault->name);
        fault->strike(board, argument);
        return true;
    }
    for (size_t i = 0; i < HIL_PENDING_MAX; i++) {
        if (board->pending[i].fault == NULL) {
            board->pending[i] = (struct hil_pending){fault, argument, board->programmed + argument};
            return true;
        }
    }
    return false;
}

void hil_fault_forget(struct hil_board *board) {
    board->effects = (struct hil_effects){.tdo = HIL_TDO_DRIVEN};
    memset(board->pending, 0, sizeof board->pending);
    hil_f4_default_options(board);
    hil_h5_default_options(board);
    hil_f4_reload_options(board);
    hil_h5_reload_options(board);
    board->dap.stuck = false;
    board->heal = HIL_HEAL_NEVER;
    hil_board_log(board, "faults cleared");
}

void hil_fault_clear(struct hil_board *board) {
    bool lockup = board->effects.lockup;
    hil_fault_forget(board);
    if (lockup && board->powered) {
        hil_board_reset(board);
    }
}

void hil_fault_programmed(struct hil_board *board) {
    for (size_t i = 0; i < HIL_PENDING_MAX; i++) {
        struct hil_pending due = board->pending[i];
        if (due.fault != NULL && board->programmed >= due.at) {
            board->pending[i].fault = NULL;
            hil_board_log(board, "fault %s after %u programmings", due.fault->name, due.argument);
            due.fault->strike(board, due.argument);
        }
    }
}
