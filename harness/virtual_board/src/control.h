/* The control lines (include/hil_vboard.h says which). */
#ifndef HIL_CONTROL_H
#define HIL_CONTROL_H

#include "board.h"

#define HIL_REPLY_MAX (HIL_LOG_LINES * (HIL_LOG_COLUMNS + 1) + 256)
#define HIL_LINE_MAX  1024

struct hil_control {
    struct hil_board *board;
    void *self;
    /* Appends " key=value…" of what the board does not know to `text`. May be NULL. */
    void (*describe)(void *self, char *text, size_t size);
    /* Writes a file; 0 or an errno. May be NULL: then `read` is refused. */
    int (*save)(void *self, const char *path, const uint8_t *data, size_t n);
};

/* Carries out one line (without its newline, any bytes) and puts the answer, ended by a newline and a NUL,
 * into `reply` of HIL_REPLY_MAX bytes. */
void hil_control_line(struct hil_control *control, const char *line, size_t n, char *reply);

#endif
