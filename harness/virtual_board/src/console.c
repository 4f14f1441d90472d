#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define ROUNDS      16  /* a board that never stops talking must not starve the rest */
#define PATIENCE_MS 200 /* how long a full pty holds the board's UART back */

static int replace_link(const char *target, const char *link) {
    char temporary[4096];
    int n = snprintf(temporary, sizeof temporary, "%s.new", link);
    if (n < 0 || (size_t)n >= sizeof temporary) {
        return ENAMETOOLONG;
    }
    (void)unlink(temporary);
    return symlink(target, temporary) == 0 && rename(temporary, link) == 0 ? 0 : errno;
}

static int open_pty(struct hil_console *console, const char *link) {
    char name[128];
    struct termios raw;
    console->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (console->master < 0 || grantpt(console->master) != 0 || unlockpt(console->master) != 0 ||
        ptsname_r(console->master, name, sizeof name) != 0) {
        return errno;
    }
    console->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (console->slave < 0 || tcgetattr(console->slave, &raw) != 0) {
        return errno;
    }
    cfmakeraw(&raw);
    if (tcsetattr(console->slave, TCSANOW, &raw) != 0) {
        return errno;
    }
    return replace_link(name, link);
}

int hil_console_open(struct hil_console *console, const char *link) {
    *console = (struct hil_console){.master = -1, .slave = -1, .emulator = -1};
    int error = open_pty(console, link);
    if (error != 0) {
        hil_console_close(console, NULL);
    }
    return error;
}

static void close_one(int *fd) {
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void hil_console_close(struct hil_console *console, const char *link) {
    close_one(&console->master);
    close_one(&console->slave);
    close_one(&console->emulator);
    if (link != NULL) {
        (void)unlink(link);
    }
}

int hil_console_plug(struct hil_console *console) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return -1;
    }
    if (fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0) {
        int error = errno;
        close(pair[0]);
        close(pair[1]);
        errno = error;
        return -1;
    }
    close_one(&console->emulator);
    console->emulator = pair[0];
    console->in_used = 0;
    return pair[1];
}

void hil_console_unplug(struct hil_console *console) {
    close_one(&console->emulator);
    console->in_used = 0;
}

short hil_console_master_events(const struct hil_console *console) {
    bool room = console->in_used < sizeof console->in;
    return (short)((room ? POLLIN : 0) | (console->out_used > 0 ? POLLOUT : 0));
}

short hil_console_emulator_events(const struct hil_console *console) {
    bool room = console->out_used < sizeof console->out;
    return (short)((room ? POLLIN : 0) | (console->in_used > 0 ? POLLOUT : 0));
}

/* Writes what `fd` takes of a buffer and moves the rest to its front. */
static bool drain(int fd, uint8_t *buffer, size_t *used) {
    ssize_t n = *used > 0 ? write(fd, buffer, *used) : 0;
    if (n <= 0) {
        return false;
    }
    *used -= (size_t)n;
    memmove(buffer, buffer + n, *used);
    return true;
}

static void from_board(struct hil_console *console, uint64_t now_ms, bool silent, bool noise) {
    for (int round = 0; round < ROUNDS; round++) {
        size_t room = sizeof console->out - console->out_used;
        ssize_t n = console->emulator >= 0 && room > 0
                        ? recv(console->emulator, console->out + console->out_used, room, MSG_DONTWAIT)
                        : -1;
        if (n == 0) {
            close_one(&console->emulator); /* it closed its end */
        } else if (n > 0) {
            console->received += (uint64_t)n;
            for (size_t i = console->out_used; noise && i < console->out_used + (size_t)n; i++) {
                console->out[i] = (uint8_t)(console->out[i] << 1 | 0x80);
            }
            console->out_used += silent ? 0 : (size_t)n;
        }
        bool moved = drain(console->master, console->out, &console->out_used);
        if (moved || console->out_used == 0) {
            console->stalled_at = 0;
        } else if (console->stalled_at == 0) {
            console->stalled_at = now_ms;
        } else if (now_ms - console->stalled_at >= PATIENCE_MS) {
            console->lost += console->out_used; /* nobody reads */
            console->out_used = 0;
        }
        if (n <= 0 && !moved) {
            return;
        }
    }
}

static void to_board(struct hil_console *console, bool deaf) {
    size_t room = sizeof console->in - console->in_used;
    ssize_t n = room > 0 ? read(console->master, console->in + console->in_used, room) : 0;
    if (n > 0) {
        console->sent += (uint64_t)n;
        console->in_used += (size_t)n;
    }
    if (console->emulator < 0 || deaf) {
        console->in_used = 0; /* a UART without clock hears nothing */
    } else {
        (void)drain(console->emulator, console->in, &console->in_used);
    }
}

void hil_console_pump(struct hil_console *console, uint64_t now_ms, bool silent, bool noise, bool deaf) {
    from_board(console, now_ms, silent, noise);
    to_board(console, deaf);
}
