/* The core as a debugger sees it: ARMv7-M C1 (DHCSR, DCRSR, DCRDR, DEMCR), B3.2 (SCB), FPB, DWT, ROM table.
 * What differs from silicon: a halt ends the emulation of the image, whose state is not ours; the core then
 * stands at its reset handler, and a resume starts the image anew. */
#include "board.h"

#include <string.h>

#define DHCSR_KEY    0xA05F0000u
#define C_DEBUGEN    (1u << 0)
#define C_HALT       (1u << 1)
#define C_STEP       (1u << 2)
#define C_MASKINTS   (1u << 3)
#define S_REGRDY     (1u << 16)
#define S_HALT       (1u << 17)
#define S_LOCKUP     (1u << 19)
#define S_RETIRE_ST  (1u << 24)
#define S_RESET_ST   (1u << 25)
#define VC_CORERESET (1u << 0)
#define DFSR_HALTED  (1u << 0)
#define DFSR_VCATCH  (1u << 3)
#define XPSR_T       (1u << 24)
#define AIRCR_KEY    0x05FA0000u
#define AIRCR_READ   0xFA050000u
#define SYSRESETREQ  (1u << 2)
#define VECTRESET    (1u << 0)

#define DWT_CTRL  0xE0001000u
#define DWT_COMP  0xE0001020u
#define DWT_END   0xE0001060u
#define FP_CTRL   0xE0002000u
#define FP_COMP   0xE0002008u
#define FP_END    (FP_COMP + 4u * HIL_COMPARATORS)
#define CPUID     0xE000ED00u
#define VTOR      0xE000ED08u
#define AIRCR     0xE000ED0Cu
#define CCR       0xE000ED14u
#define SHCSR     0xE000ED24u
#define CFSR      0xE000ED28u
#define HFSR      0xE000ED2Cu
#define DFSR      0xE000ED30u
#define CTR       0xE000ED7Cu
#define DHCSR     0xE000EDF0u
#define DCRSR     0xE000EDF4u
#define DCRDR     0xE000EDF8u
#define DEMCR     0xE000EDFCu
#define MVFR0     0xE000EF40u
#define MVFR1     0xE000EF44u
#define ROM_TABLE 0xE00FF000u

/* Six code and two literal comparators (FPB), four watchpoints (DWT). */
#define FP_CTRL_READ  0x260u
#define DWT_CTRL_READ 0x40000000u

/* Entries: SCS, DWT, FPB, ITM, TPIU, ETM. */
static const uint32_t rom_table[] = {0xFFF0F003, 0xFFF02003, 0xFFF03003, 0xFFF01003,
                                     0xFFF41003, 0xFFF42003, 0};

static const char *const states[] = {"idle", "code", "firmware", "lockup"};

const char *hil_core_state(const struct hil_board *board) {
    const struct hil_core *core = &board->core;
    return !board->powered  ? "off"
           : core->in_reset ? "reset"
           : core->halted   ? "halted"
                            : states[core->running];
}

static void stop_running(struct hil_board *board) {
    if (board->core.running == HIL_FIRMWARE && board->outside.stop_firmware != NULL) {
        board->outside.stop_firmware(board->outside.self);
    }
    board->core.running = HIL_IDLE;
    board->emulated = false;
}

void hil_core_lockup(struct hil_board *board, const char *why) {
    if (board->core.running != HIL_LOCKUP) {
        hil_board_log(board, "lockup: %s", why);
    }
    stop_running(board);
    board->core.running = HIL_LOCKUP;
}

static void fetch_vectors(struct hil_board *board) {
    struct hil_core *core = &board->core;
    uint32_t pc = hil_flash_word(board, 4);
    core->r[13] = hil_flash_word(board, 0) & ~3u;
    core->msp = core->r[13];
    core->r[14] = UINT32_MAX;
    core->r[15] = pc & ~1u;
    core->xpsr = (pc & 1) != 0 ? XPSR_T : 0;
    core->it = 0;
}

/* Leaves halt or reset: a loader in RAM is interpreted, the flashed image starts outside. */
static void go(struct hil_board *board) {
    struct hil_core *core = &board->core;
    uint32_t offset = 0;
    core->halted = false;
    core->retired = true;
    core->activity = true;
    if (board->effects.lockup) {
        hil_core_lockup(board, "asked for by a fault");
    } else if (hil_ram_at(board, core->r[15], 2) != NULL) {
        core->running = HIL_CODE;
    } else if (!hil_flash_offset(board, core->r[15], &offset) || (core->xpsr & XPSR_T) == 0) {
        hil_core_lockup(board, "no image: the reset vector does not point into memory");
    } else {
        core->running = HIL_FIRMWARE;
        if (!board->effects.boots_nothing && board->outside.start_firmware != NULL) {
            board->emulated = board->outside.start_firmware(board->outside.self, board);
        }
    }
}

void hil_core_halt(struct hil_board *board, uint32_t why) {
    struct hil_core *core = &board->core;
    if (board->effects.no_halt || core->halted || core->in_reset) {
        return;
    }
    if (core->running == HIL_FIRMWARE) {
        hil_board_log(board, "halt: the emulation of the image ends");
        fetch_vectors(board);
    }
    stop_running(board);
    core->halted = true;
    core->dhcsr |= C_HALT;
    core->dfsr |= why;
    core->retired = true;
    board->halts++;
}

void hil_core_power_on(struct hil_board *board) {
    stop_running(board);
    board->core = (struct hil_core){.in_reset = true, .reset_seen = true, .regrdy = true};
    board->core.fp_ctrl = FP_CTRL_READ;
    board->core.dwt_ctrl = DWT_CTRL_READ;
}

void hil_core_reset(struct hil_board *board, bool asserted) {
    struct hil_core *core = &board->core;
    core->reset_seen = true;
    if (asserted) {
        stop_running(board);
        core->halted = false;
        core->in_reset = true;
        core->dhcsr &= C_DEBUGEN; /* the others are cleared by a warm reset */
        return;
    }
    core->in_reset = false;
    core->cfsr = core->hfsr = core->vtor = core->shcsr = core->ccr = core->special = 0;
    board->resets++;
    fetch_vectors(board);
    bool debug = (core->dhcsr & C_DEBUGEN) != 0;
    bool catch = (core->demcr & VC_CORERESET) != 0;
    if (debug && (catch || (core->dhcsr & C_HALT) != 0) && !board->effects.no_halt) {
        hil_core_halt(board, catch ? DFSR_VCATCH : DFSR_HALTED);
    } else {
        core->dhcsr &= ~C_HALT;
        go(board);
    }
}

static void write_dhcsr(struct hil_board *board, uint32_t value) {
    struct hil_core *core = &board->core;
    if ((value & 0xFFFF0000u) != DHCSR_KEY) {
        return;
    }
    core->dhcsr = value & (C_DEBUGEN | C_HALT | C_STEP | C_MASKINTS);
    if ((value & C_DEBUGEN) == 0) {
        core->dhcsr &= C_DEBUGEN;
        if (core->halted && !core->in_reset) {
            go(board);
        }
    } else if ((value & C_HALT) != 0) {
        hil_core_halt(board, DFSR_HALTED);
    } else if (core->halted && (value & C_STEP) != 0) {
        core->halted = false;
        core->running = HIL_CODE;
        (void)hil_core_execute(board, 1);
        hil_core_halt(board, DFSR_HALTED);
    } else if (core->halted) {
        go(board);
    }
}

static uint32_t read_dhcsr(struct hil_core *core) {
    uint32_t value = core->dhcsr | (core->regrdy ? S_REGRDY : 0);
    bool runs = core->running == HIL_CODE || core->running == HIL_FIRMWARE;
    value |= core->halted ? S_HALT : 0;
    value |= core->running == HIL_LOCKUP ? S_LOCKUP : 0;
    value |= core->retired || runs ? S_RETIRE_ST : 0;
    value |= core->reset_seen ? S_RESET_ST : 0;
    core->retired = false;
    core->reset_seen = core->in_reset;
    return value;
}

/* DCRSR's REGSEL → where the value lives; NULL: reads 0. */
static uint32_t *debug_register(struct hil_core *core, unsigned select) {
    if (select < 16) {
        return &core->r[select];
    }
    if (select >= 0x40 && select < 0x60) {
        return &core->fp[select - 0x40];
    }
    switch (select) {
    case 16:
        return &core->xpsr;
    case 17:
        return &core->r[13];
    case 18:
        return &core->psp;
    case 20:
        return &core->special;
    case 33:
        return &core->fp[32];
    default:
        return NULL;
    }
}

/* ITSTATE is spread over the xPSR: bits 26–25 and 15–10 (B1.4.2). */
static void transfer_register(struct hil_board *board, uint32_t request) {
    struct hil_core *core = &board->core;
    unsigned select = request & 0x7F;
    uint32_t *reg = debug_register(core, select);
    if (!core->halted || reg == NULL) {
        core->dcrdr = (request >> 16 & 1) != 0 ? core->dcrdr : 0;
        return;
    }
    if ((request >> 16 & 1) == 0) {
        core->dcrdr = *reg;
        if (select == 16) {
            core->dcrdr |= (core->it & 3u) << 25 | (uint32_t)(core->it >> 2) << 10;
        }
        return;
    }
    *reg = core->dcrdr;
    if (select == 16) {
        core->it = (uint8_t)((core->dcrdr >> 25 & 3) | (core->dcrdr >> 10 & 0x3F) << 2);
        core->xpsr &= ~(3u << 25 | 0x3Fu << 10);
    } else if (select == 15) {
        core->r[15] &= ~1u;
    }
}

static uint32_t rom_table_read(const struct hil_board *board, uint32_t offset) {
    static const uint32_t component[4] = {0x0D, 0x10, 0x05, 0xB1};
    if (offset / 4 < sizeof rom_table / sizeof rom_table[0]) {
        return rom_table[offset / 4];
    }
    uint32_t device = board->part->device_id & 0xFFF; /* PIDR: STMicroelectronics (JEP106 0x20), device */
    switch (offset) {
    case 0xFE0:
        return device & 0xFF;
    case 0xFE4:
        return device >> 8;
    case 0xFE8:
        return 0x0A;
    default:
        return offset >= 0xFF0 ? component[(offset - 0xFF0) / 4] : 0;
    }
}

uint32_t hil_ppb_read(struct hil_board *board, uint32_t address) {
    struct hil_core *core = &board->core;
    if (address >= ROM_TABLE) {
        return rom_table_read(board, address - ROM_TABLE);
    }
    if (address >= FP_COMP && address < FP_END) {
        return core->fp_comp[(address - FP_COMP) / 4];
    }
    if (address >= DWT_COMP && address < DWT_END) {
        return core->dwt[(address - DWT_COMP) / 4];
    }
    switch (address) {
    case DWT_CTRL:
        return core->dwt_ctrl;
    case FP_CTRL:
        return core->fp_ctrl;
    case CPUID:
        return board->part->cpuid;
    case VTOR:
        return core->vtor;
    case AIRCR:
        return AIRCR_READ;
    case CCR:
        return core->ccr;
    case SHCSR:
        return core->shcsr;
    case CFSR:
        return core->cfsr;
    case HFSR:
        return core->hfsr;
    case DFSR:
        return core->dfsr;
    case CTR:
        return 0x8000C000;
    case DHCSR:
        return read_dhcsr(core);
    case DCRDR:
        return core->dcrdr;
    case DEMCR:
        return core->demcr;
    case MVFR0:
        return board->part->mvfr0;
    case MVFR1:
        return board->part->mvfr1;
    default:
        return 0;
    }
}

static void write_aircr(struct hil_board *board, uint32_t value) {
    if ((value & 0xFFFF0000u) != AIRCR_KEY || (value & (SYSRESETREQ | VECTRESET)) == 0) {
        return;
    }
    if (board->effects.reset_ignored) {
        hil_board_log(board, "reset request ignored, as a fault asks");
        return;
    }
    hil_board_log(board, "reset requested by the debugger");
    hil_board_nrst(board, true);
    if (!board->jtag.srst) {
        hil_board_nrst(board, false);
    }
}

void hil_ppb_write(struct hil_board *board, uint32_t address, uint32_t value) {
    struct hil_core *core = &board->core;
    if (address >= FP_COMP && address < FP_END) {
        core->fp_comp[(address - FP_COMP) / 4] = value;
        return;
    }
    if (address >= DWT_COMP && address < DWT_END) {
        core->dwt[(address - DWT_COMP) / 4] = value;
        return;
    }
    switch (address) {
    case FP_CTRL: /* KEY must be set with ENABLE */
        core->fp_ctrl = (value & 2) != 0 ? FP_CTRL_READ | (value & 1) : core->fp_ctrl;
        break;
    case DWT_CTRL:
        core->dwt_ctrl = DWT_CTRL_READ | (value & 0x0FFFFFFFu);
        break;
    case VTOR:
        core->vtor = value & 0xFFFFFF80u;
        break;
    case AIRCR:
        write_aircr(board, value);
        break;
    case CCR:
        core->ccr = value;
        break;
    case SHCSR:
        core->shcsr = value;
        break;
    case CFSR:
        core->cfsr &= ~value;
        break;
    case HFSR:
        core->hfsr &= ~value;
        break;
    case DFSR:
        core->dfsr &= ~value;
        break;
    case DHCSR:
        write_dhcsr(board, value);
        break;
    case DCRSR:
        transfer_register(board, value);
        break;
    case DCRDR:
        core->dcrdr = value;
        break;
    case DEMCR:
        core->demcr = value & 0x010F07F1u;
        break;
    default:
        break;
    }
}
