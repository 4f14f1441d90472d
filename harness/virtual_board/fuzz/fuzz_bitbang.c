/* The whole board behind the probe's byte stream, without an emulator. The first byte chooses the part (bits
 * 0–1), whether a program stands in RAM and the debug port is up (bit 2), and a fault (the rest, modulo their
 * number); a byte from 0x80 on is a shorthand for what takes OpenOCD some 90 bytes: a scan of the instruction
 * register (0x80–0x8F: which), or of 35 bits of data that the next five bytes give (from 0x90 on). */
#include "bitbang.h"
#include "fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 2000u  /* instructions after each piece */
#define TOTAL 20000u /* and of an input */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void clock_bits(char *text, size_t *n, const char *tms, uint64_t tdi, unsigned bits) {
    for (unsigned i = 0; i < bits; i++) {
        bool last = tms == NULL && i == bits - 1;
        unsigned pins = (tms != NULL ? tms[i] == '1' : last) * 2u + (unsigned)(tdi >> i & 1);
        text[(*n)++] = (char)('0' + pins);
        text[(*n)++] = 'R';
        text[(*n)++] = (char)('4' + pins);
    }
}

static size_t scan(char *text, bool ir, uint64_t data, unsigned bits) {
    size_t n = 0;
    clock_bits(text, &n, ir ? "1100" : "100", 0, ir ? 4 : 3);
    clock_bits(text, &n, NULL, data, bits);
    clock_bits(text, &n, "10", 0, 2);
    return n;
}

static void feed(struct hil_board *board, struct hil_bitbang *session, const void *in, size_t n) {
    uint8_t *exact = malloc(n > 0 ? n : 1);
    char *out = malloc(n > 0 ? n : 1);
    if (exact == NULL || out == NULL) {
        abort();
    }
    memcpy(exact, in, n);
    size_t answers = hil_bitbang_feed(session, board, exact, n, out);
    for (size_t i = 0; i < answers; i++) {
        if (out[i] != '0' && out[i] != '1') {
            abort();
        }
    }
    if (board->instructions < TOTAL) {
        (void)hil_core_execute(board, STEPS);
    }
    free(exact);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static struct hil_board board;
    static char text[1024];
    struct hil_bitbang session = {.quit = false};
    if (n < 1 || n > 4096) {
        return 0;
    }
    hil_board_init(&board, hil_part_at(p[0] & 3));
    size_t faults = 0;
    while (hil_fault_at(faults) != NULL) {
        faults++;
    }
    if ((p[0] >> 3) > 0) {
        const struct hil_fault *fault = hil_fault_at((p[0] >> 3) % faults);
        (void)hil_fault_arm(&board, fault, fault->moment == HIL_MID_WRITE ? 1 : fault->argument);
    }
    hil_board_power(&board, true);
    if ((p[0] & 4) != 0) {
        board.dap.ctrl_stat = 0xF0000000;
        board.dap.select = (uint32_t)board.part->ap << 24;
        board.dap.csw = 0x23000052;
        board.core.dhcsr = 1;
        board.core.running = HIL_CODE;
        board.core.r[15] = 0x20000000;
        size_t room = n - 1 < 256 ? n - 1 : 256;
        memcpy(board.ram, p + 1, room);
    }
    for (size_t i = 1; i < n && !session.quit; i++) {
        if (p[i] < 0x80) {
            size_t run = 1;
            while (i + run < n && p[i + run] < 0x80) {
                run++;
            }
            feed(&board, &session, p + i, run);
            i += run - 1;
        } else if (p[i] < 0x90) {
            feed(&board, &session, text, scan(text, true, 0x1F0u | (p[i] & 0xF), 9));
        } else {
            uint64_t data = p[i] & 7;
            for (size_t k = 1; k <= 4 && i + k < n; k++) {
                data |= (uint64_t)p[i + k] << (8 * k - 5);
            }
            i += 4;
            feed(&board, &session, text, scan(text, false, data, 36));
        }
    }
    hil_bitbang_end(&board);
    if (board.core.r[15] % 2 != 0 && board.core.running == HIL_CODE) {
        abort();
    }
    return 0;
}
