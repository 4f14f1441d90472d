/* OpenOCD's remote_bitbang, the ASCII protocol: 0–7 write TCK TMS TDI, R reads TDO, r s t u are TRST and
 * SRST, B b blink, Q quits. */
#ifndef HIL_BITBANG_H
#define HIL_BITBANG_H

#include "board.h"

struct hil_bitbang {
    bool quit;        /* Q was read; what follows it is not looked at */
    uint64_t unknown; /* bytes that are no command */
};

/* Carries out `n` bytes of `in`; `out` has room for `n` answers. Returns how many there are. */
size_t hil_bitbang_feed(struct hil_bitbang *session, struct hil_board *board, const uint8_t *in, size_t n,
                        char *out);
/* The client is gone: its reset lines are released. */
void hil_bitbang_end(struct hil_board *board);

#endif
