#include "bitbang.h"

static void reset_lines(struct hil_board *board, bool trst, bool srst) {
    struct hil_jtag *jtag = &board->jtag;
    if (trst && !jtag->trst) {
        hil_jtag_reset(board);
    }
    jtag->trst = trst;
    if (srst != jtag->srst) {
        jtag->srst = srst;
        hil_board_log(board, "NRST %s by the probe", srst ? "pulled" : "released");
        hil_board_nrst(board, srst);
    }
}

size_t hil_bitbang_feed(struct hil_bitbang *session, struct hil_board *board, const uint8_t *in, size_t n,
                        char *out) {
    size_t answers = 0;
    for (size_t i = 0; i < n && !session->quit; i++) {
        uint8_t c = in[i];
        if (c >= '0' && c <= '7') {
            hil_jtag_write(board, (c & 4) != 0, (c & 2) != 0, (c & 1) != 0);
        } else if (c == 'R') {
            out[answers++] = hil_jtag_tdo(board) ? '1' : '0';
        } else if (c >= 'r' && c <= 'u') {
            unsigned lines = (unsigned)(c - 'r');
            reset_lines(board, (lines & 2) != 0, (lines & 1) != 0);
        } else if (c == 'Q') {
            session->quit = true;
        } else if (c != 'B' && c != 'b' && session->unknown++ == 0) {
            hil_board_log(board, "remote_bitbang: byte 0x%02x is no command", c);
        }
    }
    return answers;
}

void hil_bitbang_end(struct hil_board *board) {
    reset_lines(board, false, false);
}
