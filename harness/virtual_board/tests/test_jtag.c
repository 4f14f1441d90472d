/* TAP controller, scan chain, JTAG-DP and MEM-AP. */
#include "fault.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

#define RAM        0x20000000u
#define STICKYERR  (1u << 5)
#define STICKYORUN (1u << 1)

static void chain(void) {
    struct hil_board *board = new_board("stm32f405");
    tap_reset(board);
    EQUAL(scan_dr(board, 0, 64), (uint64_t)0x06413041 << 32 | 0x4BA00477); /* IDCODE after reset, cpu first */
    EQUAL(scan_ir(board, BYPASS), 1u << 4 | 1u);                           /* both capture 1 */
    EQUAL(scan_dr(board, 0x2A, 8), 0x2A << 2 & 0xFF); /* two bits of bypass, reset to 0 */
    (void)scan_ir(board, IDCODE);
    EQUAL(scan_dr(board, 0, 32), 0x4BA00477);
    (void)scan_ir(board, BYPASS);
    tap_reset(board);
    EQUAL(scan_dr(board, 0, 32), 0x4BA00477); /* five ones with TMS reach reset from everywhere */
    free(board);
}

static void lines(void) {
    struct hil_board *board = new_board("stm32f405");
    char answers[16];
    tap_reset(board);
    EQUAL(bytes(board, "RRB", answers), 2);
    CHECK(answers[0] == '1'); /* released outside of the shift states */
    (void)scan_ir(board, BYPASS);
    (void)bytes(board, "tr", NULL); /* TRST */
    tap_reset(board);
    EQUAL(scan_dr(board, 0, 32), 0x4BA00477);
    uint64_t resets = board->resets;
    (void)bytes(board, "s", NULL);
    CHECK(board->core.in_reset);
    (void)bytes(board, "ss", NULL);
    (void)bytes(board, "r", NULL);
    CHECK(!board->core.in_reset);
    EQUAL(board->resets, resets + 1);
    (void)bytes(board, "s", NULL);
    hil_bitbang_end(board); /* a probe that leaves lets go */
    CHECK(!board->core.in_reset);
    struct hil_bitbang session = {.quit = false};
    char out[8];
    EQUAL(hil_bitbang_feed(&session, board, (const uint8_t *)"R?QRR", 5, out), 1);
    CHECK(session.quit);
    EQUAL(session.unknown, 1);
    free(board);
}

static void dead(void) {
    struct hil_board *board = new_board("stm32f405");
    tap_reset(board);
    hil_board_power(board, false);
    EQUAL(scan_dr(board, 0, 32), 0);
    hil_board_power(board, true);
    tap_reset(board);
    EQUAL(scan_dr(board, 0, 32), 0x4BA00477);
    (void)hil_fault_arm(board, hil_fault_named("all-ones"), 0);
    EQUAL(scan_dr(board, 0, 32), UINT32_MAX);
    hil_fault_clear(board);
    (void)hil_fault_arm(board, hil_fault_named("wrong_idcode"), 0x1BA01477);
    tap_reset(board);
    EQUAL(scan_dr(board, 0, 32), 0x1BA01477);
    free(board);
}

static void debug_port(void) {
    struct hil_board *board = new_board("stm32f405");
    uint32_t value = 0;
    tap_reset(board);
    EQUAL(ctrl_stat(board), 0);
    (void)scan_acc(board, APACC, true, DRW, 0, NULL); /* without power */
    EQUAL(ctrl_stat(board) & STICKYERR, STICKYERR);
    (void)scan_acc(board, DPACC, false, CTRL_STAT, 0x50000000 | STICKYERR, NULL);
    EQUAL(ctrl_stat(board), 0xF0000000);
    (void)scan_acc(board, DPACC, false, SELECT, 0x000000F0, NULL);
    (void)scan_acc(board, APACC, true, 0xC, 0, NULL);
    EQUAL(scan_acc(board, DPACC, true, RDBUFF, 0, &value), OK);
    EQUAL(value, 0x24770011); /* IDR */
    (void)scan_acc(board, APACC, true, 0x8, 0, NULL);
    (void)scan_acc(board, DPACC, true, RDBUFF, 0, &value);
    EQUAL(value, 0xE00FF003); /* BASE */
    (void)scan_acc(board, DPACC, false, SELECT, 0x070000F0, NULL);
    (void)scan_acc(board, APACC, true, 0xC, 0, NULL);
    (void)scan_acc(board, DPACC, true, RDBUFF, 0, &value);
    EQUAL(value, 0); /* no such AP */
    free(board);
}

static void memory(void) {
    struct hil_board *board = new_board("stm32f405");
    uint32_t value = 0;
    connect_ap(board);
    write_word(board, RAM, 0x44332211);
    (void)scan_acc(board, APACC, false, DRW, 0x88776655, NULL); /* TAR moved on */
    EQUAL(read_word(board, RAM), 0x44332211);
    EQUAL(read_word(board, RAM + 4), 0x88776655);
    /* single bytes, in the lane of their address */
    (void)scan_acc(board, APACC, false, CSW, 0x23000010, NULL);
    (void)scan_acc(board, APACC, false, TAR, RAM + 5, NULL);
    (void)scan_acc(board, APACC, true, DRW, 0, NULL);
    (void)scan_acc(board, APACC, true, DRW, 0, &value);
    EQUAL(value, 0x00006600);
    (void)scan_acc(board, DPACC, true, RDBUFF, 0, &value);
    EQUAL(value, 0x00770000);
    /* packed bytes and half-words */
    (void)scan_acc(board, APACC, false, CSW, 0x23000020, NULL);
    (void)scan_acc(board, APACC, false, TAR, RAM + 1, NULL);
    (void)scan_acc(board, APACC, true, DRW, 0, NULL);
    (void)scan_acc(board, DPACC, true, RDBUFF, 0, &value);
    EQUAL(value, 0x44332255); /* bytes 1–4, each in its lane */
    (void)scan_acc(board, APACC, false, CSW, 0x23000021, NULL);
    (void)scan_acc(board, APACC, false, TAR, RAM + 8, NULL);
    (void)scan_acc(board, APACC, false, DRW, 0xCCCCBBBB, NULL);
    (void)scan_acc(board, APACC, true, TAR, 0, NULL);
    (void)scan_acc(board, DPACC, true, RDBUFF, 0, &value);
    EQUAL(value, RAM + 12);
    (void)scan_acc(board, APACC, false, CSW, 0x23000012, NULL);
    EQUAL(read_word(board, RAM + 8), 0xCCCCBBBB);
    /* banked data registers */
    (void)scan_acc(board, APACC, false, TAR, RAM + 0x10, NULL);
    (void)scan_acc(board, DPACC, false, SELECT, 0x10, NULL);
    (void)scan_acc(board, APACC, false, 0x8, 0x12345678, NULL);
    (void)scan_acc(board, DPACC, false, SELECT, 0, NULL);
    EQUAL(read_word(board, RAM + 0x18), 0x12345678);
    /* the increment stays within 4 KB */
    (void)scan_acc(board, APACC, false, TAR, RAM + 0xFFC, NULL);
    (void)scan_acc(board, APACC, true, DRW, 0, NULL);
    (void)scan_acc(board, APACC, true, TAR, 0, NULL);
    (void)scan_acc(board, DPACC, true, RDBUFF, 0, &value);
    EQUAL(value, RAM);
    EQUAL(ctrl_stat(board) & (STICKYERR | STICKYORUN), 0);
    free(board);
}

static void errors(void) {
    struct hil_board *board = new_board("stm32f405");
    connect_ap(board);
    (void)read_word(board, 0x60000000); /* nothing there */
    EQUAL(ctrl_stat(board) & STICKYERR, STICKYERR);
    board->ram[0] = 1;
    EQUAL(read_word(board, RAM), 0); /* discarded while the error sticks */
    connect_ap(board);
    EQUAL(read_word(board, RAM) & 0xFF, 1);
    (void)read_word(board, RAM + 128 * 1024); /* past the end of RAM */
    EQUAL(ctrl_stat(board) & STICKYERR, STICKYERR);
    connect_ap(board);
    (void)read_word(board, 0xFFFFFFFC);
    EQUAL(ctrl_stat(board) & STICKYERR, STICKYERR);
    free(board);
}

static void waiting(void) {
    struct hil_board *board = new_board("stm32f405");
    connect_ap(board);
    (void)scan_acc(board, DPACC, false, CTRL_STAT, 0x50000001, NULL);
    (void)hil_fault_arm(board, hil_fault_named("wait_at_connect"), 0);
    EQUAL(scan_acc(board, APACC, true, DRW, 0, NULL), OK);
    EQUAL(scan_acc(board, APACC, true, DRW, 0, NULL), WAIT);
    EQUAL(scan_acc(board, DPACC, true, RDBUFF, 0, NULL), WAIT);
    EQUAL(board->dap.ctrl_stat & STICKYORUN, STICKYORUN);
    (void)scan_ir(board, ABORT);
    (void)scan_dr(board, 1u << 3, 36);
    EQUAL(scan_acc(board, DPACC, true, RDBUFF, 0, NULL), OK);
    hil_fault_clear(board);
    (void)scan_acc(board, DPACC, false, CTRL_STAT, 0x50000002, NULL);
    EQUAL(read_word(board, 0xE0042000), 0x10076413);
    free(board);
}

int main(void) {
    chain();
    lines();
    dead();
    debug_port();
    memory();
    errors();
    waiting();
    return failures();
}
