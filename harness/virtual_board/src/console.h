/* A UART of the board: a pty that is there as long as the board is, and while the image runs, the emulator's
 * end of it. What nobody reads stays in the pty (4 KB); what does not fit any more is lost after a while, as
 * a UART loses it. */
#ifndef HIL_CONSOLE_H
#define HIL_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hil_console {
    int master, slave; /* of the pty; the slave is held open so that it stays raw and never hangs up */
    int emulator;      /* our end of a socket pair, or -1 */
    uint8_t out[4096]; /* from the board, not yet taken by the pty */
    size_t out_used;
    uint8_t in[1024]; /* to the board */
    size_t in_used;
    uint64_t stalled_at; /* ms, 0: not stalled */
    uint64_t received, sent, lost;
};

/* Opens the pty and makes the symlink `link` to it (replacing it). 0 or an errno. */
int hil_console_open(struct hil_console *console, const char *link);
void hil_console_close(struct hil_console *console, const char *link);
/* A socket pair for a new emulator: keeps one end, returns the other (both close-on-exec), or -1 with errno.
 */
int hil_console_plug(struct hil_console *console);
/* The emulator is gone: what it said last is still taken. */
void hil_console_unplug(struct hil_console *console);
/* What to wait for, of the two descriptors. */
short hil_console_master_events(const struct hil_console *console);
short hil_console_emulator_events(const struct hil_console *console);
/* Moves what can be moved. `silent` discards what the board says, `noise` garbles it, `deaf` what it is told.
 */
void hil_console_pump(struct hil_console *console, uint64_t now_ms, bool silent, bool noise, bool deaf);

#endif
