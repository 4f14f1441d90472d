/* The TAP controller. Both TAPs of the chip see the same TMS, so one state machine serves both; their
 * registers are chained TDI → boundary scan → JTAG-DP → TDO (RM0090 38.6.2). */
#include "board.h"

enum state {
    RESET,
    IDLE,
    SELECT_DR,
    CAPTURE_DR,
    SHIFT_DR,
    EXIT1_DR,
    PAUSE_DR,
    EXIT2_DR,
    UPDATE_DR,
    SELECT_IR,
    CAPTURE_IR,
    SHIFT_IR,
    EXIT1_IR,
    PAUSE_IR,
    EXIT2_IR,
    UPDATE_IR,
};

/* IEEE 1149.1 figure 6-1: next state by TMS. */
static const uint8_t next_state[16][2] = {
    [RESET] = {IDLE, RESET},
    [IDLE] = {IDLE, SELECT_DR},
    [SELECT_DR] = {CAPTURE_DR, SELECT_IR},
    [CAPTURE_DR] = {SHIFT_DR, EXIT1_DR},
    [SHIFT_DR] = {SHIFT_DR, EXIT1_DR},
    [EXIT1_DR] = {PAUSE_DR, UPDATE_DR},
    [PAUSE_DR] = {PAUSE_DR, EXIT2_DR},
    [EXIT2_DR] = {SHIFT_DR, UPDATE_DR},
    [UPDATE_DR] = {IDLE, SELECT_DR},
    [SELECT_IR] = {CAPTURE_IR, RESET},
    [CAPTURE_IR] = {SHIFT_IR, EXIT1_IR},
    [SHIFT_IR] = {SHIFT_IR, EXIT1_IR},
    [EXIT1_IR] = {PAUSE_IR, UPDATE_IR},
    [PAUSE_IR] = {PAUSE_IR, EXIT2_IR},
    [EXIT2_IR] = {SHIFT_IR, UPDATE_IR},
    [UPDATE_IR] = {IDLE, SELECT_DR},
};

/* Instructions: of the JTAG-DP (4 bits, ADIv5 3.4) and of the boundary-scan TAP (5 bits). */
enum { ABORT = 0x8, DPACC = 0xA, APACC = 0xB, CPU_IDCODE = 0xE, CPU_BYPASS = 0xF };
enum { BS_IDCODE = 0x01, BS_BYPASS = 0x1F };
enum { CPU_IR_BITS = 4, BS_IR_BITS = 5, SCAN_BITS = 35 };

static void select_idcode(struct hil_jtag *jtag) {
    jtag->cpu_ir = CPU_IDCODE;
    jtag->bs_ir = BS_IDCODE;
}

void hil_jtag_reset(struct hil_board *board) {
    board->jtag.state = RESET;
    board->jtag.cpu_bits = 1;
    board->jtag.bs_bits = 1;
    select_idcode(&board->jtag);
}

static void capture_dr(struct hil_board *board) {
    struct hil_jtag *jtag = &board->jtag;
    uint32_t value = 0;
    switch (jtag->cpu_ir) {
    case CPU_IDCODE:
        jtag->cpu_shift = board->effects.idcode != 0 ? board->effects.idcode : board->part->idcode;
        jtag->cpu_bits = 32;
        break;
    case DPACC:
    case APACC: {
        uint64_t ack = hil_dap_capture(board, jtag->cpu_ir == APACC, &value);
        jtag->cpu_shift = (uint64_t)value << 3 | ack;
        jtag->cpu_bits = SCAN_BITS;
        break;
    }
    case ABORT:
        jtag->cpu_shift = 0;
        jtag->cpu_bits = SCAN_BITS;
        break;
    default:
        jtag->cpu_shift = 0;
        jtag->cpu_bits = 1;
        break;
    }
    bool identify = jtag->bs_ir == BS_IDCODE;
    jtag->bs_shift = identify ? board->part->bs_idcode : 0;
    jtag->bs_bits = identify ? 32 : 1;
}

static void update_dr(struct hil_board *board) {
    const struct hil_jtag *jtag = &board->jtag;
    uint64_t scan = jtag->cpu_shift;
    uint32_t value = (uint32_t)(scan >> 3);
    if (jtag->cpu_ir == DPACC || jtag->cpu_ir == APACC) {
        hil_dap_update(board, jtag->cpu_ir == APACC, (scan & 1) != 0, (unsigned)(scan >> 1 & 3) << 2, value);
    } else if (jtag->cpu_ir == ABORT) {
        hil_dap_abort(board, value);
    }
}

static void capture_ir(struct hil_jtag *jtag) {
    jtag->cpu_shift = 1;
    jtag->cpu_bits = CPU_IR_BITS;
    jtag->bs_shift = 1;
    jtag->bs_bits = BS_IR_BITS;
}

static void shift(struct hil_jtag *jtag, bool tdi) {
    jtag->cpu_shift = jtag->cpu_shift >> 1 | (jtag->bs_shift & 1) << (jtag->cpu_bits - 1);
    jtag->bs_shift = jtag->bs_shift >> 1 | (uint64_t)tdi << (jtag->bs_bits - 1);
}

static void rising_edge(struct hil_board *board, bool tms, bool tdi) {
    struct hil_jtag *jtag = &board->jtag;
    board->clocks++;
    if (jtag->state == SHIFT_DR || jtag->state == SHIFT_IR) {
        shift(jtag, tdi);
    }
    jtag->state = next_state[jtag->state][tms];
    switch (jtag->state) {
    case RESET:
        select_idcode(jtag);
        break;
    case CAPTURE_DR:
        capture_dr(board);
        break;
    case CAPTURE_IR:
        capture_ir(jtag);
        break;
    case UPDATE_DR:
        update_dr(board);
        break;
    case UPDATE_IR:
        jtag->cpu_ir = jtag->cpu_shift & 0xF;
        jtag->bs_ir = jtag->bs_shift & 0x1F;
        break;
    default:
        break;
    }
}

void hil_jtag_write(struct hil_board *board, bool tck, bool tms, bool tdi) {
    struct hil_jtag *jtag = &board->jtag;
    if (tck && !jtag->tck && board->powered && !jtag->trst && board->effects.tdo == HIL_TDO_DRIVEN) {
        rising_edge(board, tms, tdi);
    }
    jtag->tck = tck;
}

/* TDO is high impedance, and pulled up, outside of the shift states. */
bool hil_jtag_tdo(const struct hil_board *board) {
    const struct hil_jtag *jtag = &board->jtag;
    if (!board->powered || board->effects.tdo == HIL_TDO_ZEROES) {
        return false;
    }
    if (board->effects.tdo == HIL_TDO_ONES || jtag->trst) {
        return true;
    }
    return jtag->state == SHIFT_DR || jtag->state == SHIFT_IR ? (jtag->cpu_shift & 1) != 0 : true;
}
