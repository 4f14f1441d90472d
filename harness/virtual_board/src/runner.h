/* Runs the flashed image in QEMU: started from an image file that is replaced atomically, ended with the
 * board. */
#ifndef HIL_RUNNER_H
#define HIL_RUNNER_H

#include "board.h"
#include "console.h"

#include <sys/types.h>

struct hil_runner {
    const char *directory, *machine, *qemu, *state; /* state: file of the flash contents, or NULL */
    struct hil_board *board;
    struct hil_console console, uplink;
    pid_t pid;                   /* 0: none */
    uint64_t start_at;           /* ms; 0: no start is due */
    uint64_t saved_at, state_at; /* programmings + erasures when the file was written; + 1 */
    char note[256];              /* how the last emulator ended by itself, or why none started */
};

/* Opens both consoles. 0 or an errno. */
int hil_runner_open(struct hil_runner *runner);
void hil_runner_close(struct hil_runner *runner);
/* The board's two calls (struct hil_outside). A start takes effect a moment later: a debugger that resumes a
 * halted core only to reset it shall not start an emulator for that. */
bool hil_runner_start(void *self, struct hil_board *board);
void hil_runner_stop(void *self);
/* Starts what is due; ms until the next thing is due, or -1. */
int hil_runner_tick(struct hil_runner *runner, uint64_t now_ms);
/* A child ended (SIGCHLD). */
void hil_runner_reap(struct hil_runner *runner);
void hil_runner_pump(struct hil_runner *runner, uint64_t now_ms);
/* Reads or writes (atomically) the flash contents as a file. 0 or an errno. */
int hil_runner_load_state(struct hil_runner *runner);
int hil_runner_save_state(struct hil_runner *runner);
int hil_write_file(const char *path, const uint8_t *data, size_t n);
uint64_t hil_now_ms(void);

#endif
