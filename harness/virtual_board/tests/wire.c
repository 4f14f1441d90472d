#include "wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed;

void check(bool good, const char *what, const char *file, int line) {
    if (!good) {
        fprintf(stderr, "%s:%d: %s\n", file, line, what);
        failed++;
    }
}

void equal(uint64_t a, uint64_t b, const char *what, const char *file, int line) {
    if (a != b) {
        fprintf(stderr, "%s:%d: %s is 0x%" PRIx64 ", wanted 0x%" PRIx64 "\n", file, line, what, a, b);
        failed++;
    }
}

int failures(void) {
    return failed != 0;
}

struct hil_board *new_board(const char *part) {
    struct hil_board *board = calloc(1, sizeof *board);
    if (board == NULL) {
        abort();
    }
    hil_board_init(board, hil_part_named(part));
    hil_board_power(board, true);
    return board;
}

size_t bytes(struct hil_board *board, const char *text, char *answers) {
    static struct hil_bitbang session;
    static char out[4096];
    size_t n = strlen(text);
    session.quit = false;
    if (n > sizeof out) {
        abort();
    }
    return hil_bitbang_feed(&session, board, (const uint8_t *)text, n, answers != NULL ? answers : out);
}

/* One clock; TDO is sampled before the rising edge. */
static bool clock_bit(struct hil_board *board, bool tms, bool tdi) {
    char text[4] = {(char)('0' + 2 * tms + tdi), 'R', (char)('4' + 2 * tms + tdi), '\0'}, answer[4];
    return bytes(board, text, answer) == 1 && answer[0] == '1';
}

static void walk(struct hil_board *board, const char *tms) {
    for (; *tms != '\0'; tms++) {
        (void)clock_bit(board, *tms == '1', true);
    }
}

static uint64_t shift(struct hil_board *board, uint64_t out, unsigned bits) {
    uint64_t in = 0;
    for (unsigned i = 0; i < bits; i++) {
        in |= (uint64_t)clock_bit(board, i == bits - 1, (out >> i & 1) != 0) << i;
    }
    return in;
}

void tap_reset(struct hil_board *board) {
    walk(board, "111110");
}

unsigned scan_ir(struct hil_board *board, unsigned instruction) {
    walk(board, "1100");
    unsigned captured = (unsigned)shift(board, 0x1Fu << 4 | instruction, 9);
    walk(board, "10");
    return captured;
}

uint64_t scan_dr(struct hil_board *board, uint64_t out, unsigned bits) {
    walk(board, "100");
    uint64_t in = shift(board, out, bits);
    walk(board, "10");
    return in;
}

unsigned scan_acc(struct hil_board *board, unsigned instruction, bool read, unsigned address, uint32_t out,
                  uint32_t *in) {
    (void)scan_ir(board, instruction);
    /* 35 bits, and one for the TAP in bypass, which is nearer to TDI: it leaves last */
    uint64_t scan = (uint64_t)out << 3 | (uint64_t)(address >> 2 & 3) << 1 | read;
    uint64_t came = scan_dr(board, scan, 36);
    if (in != NULL) {
        *in = (uint32_t)(came >> 3);
    }
    return came & 7;
}

void connect_ap(struct hil_board *board) {
    tap_reset(board);
    (void)scan_acc(board, DPACC, false, CTRL_STAT, 0x50000032, NULL);
    (void)scan_acc(board, DPACC, false, SELECT, (uint32_t)board->part->ap << 24, NULL);
    (void)scan_acc(board, APACC, false, CSW, 0x23000012, NULL);
}

uint32_t read_word(struct hil_board *board, uint32_t address) {
    uint32_t value = 0;
    (void)scan_acc(board, APACC, false, TAR, address, NULL);
    (void)scan_acc(board, APACC, true, DRW, 0, NULL);
    (void)scan_acc(board, DPACC, true, RDBUFF, 0, &value);
    return value;
}

void write_word(struct hil_board *board, uint32_t address, uint32_t value) {
    (void)scan_acc(board, APACC, false, TAR, address, NULL);
    (void)scan_acc(board, APACC, false, DRW, value, NULL);
}

uint32_t ctrl_stat(struct hil_board *board) {
    uint32_t value = 0;
    (void)scan_acc(board, DPACC, true, CTRL_STAT, 0, NULL);
    (void)scan_acc(board, DPACC, true, RDBUFF, 0, &value);
    return value;
}
