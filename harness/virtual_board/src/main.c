/* hil-vboard: what it does and promises is in include/hil_vboard.h. */
#include "hil_vboard.h"
#include "runner.h"
#include "server.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLICE 100000u /* instructions between two looks at the sockets: about 1 ms */

static const char usage[] = "usage: hil-vboard --dir DIR [--part stm32f405|stm32f401|stm32f429|stm32h563]\n"
                            "                  [--machine netduinoplus2|none] [--qemu PROGRAM] "
                            "[--image-state FILE] [--power on|off]\n"
                            "example: hil-vboard --dir board --part stm32f405   (ends at end of stdin)\n";

struct vboard {
    const char *directory;
    bool power;
    struct hil_board *board;
    struct hil_runner runner;
    struct hil_probe_server probe;
    struct hil_control_server control;
    char probe_path[4096], control_path[4096];
    bool waits; /* the core only waits for the debugger */
};

static int complain(const char *what, const char *why) {
    fprintf(stderr, "hil-vboard: %s: %s\n", what, why);
    return HIL_VBOARD_FAILED;
}

static void describe(void *self, char *text, size_t size) {
    const struct vboard *v = self;
    const struct hil_runner *r = &v->runner;
    (void)snprintf(
        text, size,
        " emulator=%s pid=%ld console_bytes=%llu console_lost=%llu uplink_bytes=%llu uplink_lost=%llu "
        "probe=%s sessions=%llu refused=%llu note=\"%s\"",
        r->pid > 0         ? "running"
        : r->start_at != 0 ? "starting"
                           : "none",
        (long)r->pid, (unsigned long long)r->console.received, (unsigned long long)r->console.lost,
        (unsigned long long)r->uplink.received, (unsigned long long)r->uplink.lost,
        v->probe.client >= 0 ? "held" : "free", (unsigned long long)v->probe.sessions,
        (unsigned long long)v->probe.refused, r->note);
}

static int save(void *self, const char *path, const uint8_t *data, size_t n) {
    (void)self;
    return hil_write_file(path, data, n);
}

static int open_all(struct vboard *v) {
    if (snprintf(v->probe_path, sizeof v->probe_path, "%s/jtag.sock", v->directory) >=
            (int)sizeof v->probe_path ||
        snprintf(v->control_path, sizeof v->control_path, "%s/control.sock", v->directory) >=
            (int)sizeof v->control_path) {
        return complain(v->directory, strerror(ENAMETOOLONG));
    }
    if (mkdir(v->directory, 0777) != 0 && errno != EEXIST) {
        return complain(v->directory, strerror(errno));
    }
    v->probe.path = v->probe_path;
    v->probe.board = v->board;
    v->control.path = v->control_path;
    v->control.control = (struct hil_control){v->board, v, describe, save};
    v->probe.listener = hil_listen(v->probe_path);
    if (v->probe.listener < 0) {
        return complain(v->probe_path, strerror(errno));
    }
    v->control.listener = hil_listen(v->control_path);
    if (v->control.listener < 0) {
        return complain(v->control_path, strerror(errno));
    }
    int error = hil_runner_load_state(&v->runner);
    if (error != 0) {
        return complain(v->runner.state, strerror(error));
    }
    error = hil_runner_open(&v->runner);
    return error != 0 ? complain("pty", strerror(error)) : 0;
}

static void close_all(struct vboard *v) {
    hil_runner_close(&v->runner);
    hil_probe_drop(&v->probe);
    if (v->probe.listener >= 0) {
        close(v->probe.listener);
        (void)unlink(v->probe_path);
    }
    for (size_t i = 0; i < HIL_CONTROL_CLIENTS; i++) {
        if (v->control.clients[i].fd >= 0) {
            close(v->control.clients[i].fd);
        }
    }
    if (v->control.listener >= 0) {
        close(v->control.listener);
        (void)unlink(v->control_path);
    }
}

enum {
    SIGNALS,
    STDIN,
    PROBE_LISTENER,
    PROBE,
    CONTROL_LISTENER,
    CONSOLE,
    CONSOLE_EMU,
    UPLINK,
    UPLINK_EMU,
    CONTROL
};

static int sooner(int a, int b) {
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

static int wait_for(struct vboard *v, struct pollfd *fds, int signals) {
    const struct hil_console *console = &v->runner.console, *uplink = &v->runner.uplink;
    uint64_t now = hil_now_ms();
    /* First: a start brings descriptors to wait for. */
    int timeout = sooner(hil_runner_tick(&v->runner, now), hil_probe_tick(&v->probe, now));
    fds[SIGNALS] = (struct pollfd){signals, POLLIN, 0};
    fds[STDIN] = (struct pollfd){STDIN_FILENO, POLLIN, 0};
    fds[PROBE_LISTENER] = (struct pollfd){v->probe.listener, POLLIN, 0};
    fds[PROBE] = (struct pollfd){v->probe.client, hil_probe_events(&v->probe), 0};
    fds[CONTROL_LISTENER] = (struct pollfd){v->control.listener, POLLIN, 0};
    fds[CONSOLE] = (struct pollfd){console->master, hil_console_master_events(console), 0};
    fds[CONSOLE_EMU] = (struct pollfd){console->emulator, hil_console_emulator_events(console), 0};
    fds[UPLINK] = (struct pollfd){uplink->master, hil_console_master_events(uplink), 0};
    fds[UPLINK_EMU] = (struct pollfd){uplink->emulator, hil_console_emulator_events(uplink), 0};
    for (size_t i = 0; i < HIL_CONTROL_CLIENTS; i++) {
        fds[CONTROL + i] = (struct pollfd){v->control.clients[i].fd, POLLIN, 0};
    }
    if (v->board->core.running == HIL_CODE && !v->board->core.halted && !v->waits) {
        timeout = v->probe.client >= 0 ? 0 : sooner(timeout, 10); /* nobody waits for it: gently */
    }
    return poll(fds, CONTROL + HIL_CONTROL_CLIENTS, timeout);
}

/* False: the end. */
static bool serve(struct vboard *v, const struct pollfd *fds, int signals) {
    if (fds[SIGNALS].revents != 0) {
        struct signalfd_siginfo info;
        if (read(signals, &info, sizeof info) == (ssize_t)sizeof info && info.ssi_signo != SIGCHLD) {
            return false;
        }
        hil_runner_reap(&v->runner);
    }
    if (fds[STDIN].revents != 0) {
        char ignored[256];
        if (read(STDIN_FILENO, ignored, sizeof ignored) <= 0) {
            return false;
        }
    }
    if (fds[PROBE].revents != 0 && v->probe.client == fds[PROBE].fd) {
        hil_probe_serve(&v->probe, hil_now_ms());
        v->waits = false;
    }
    if (fds[PROBE_LISTENER].revents != 0) {
        hil_probe_accept(&v->probe);
    }
    for (size_t i = 0; i < HIL_CONTROL_CLIENTS; i++) {
        if (fds[CONTROL + i].revents != 0 && v->control.clients[i].fd == fds[CONTROL + i].fd) {
            hil_control_serve(&v->control, i);
            v->waits = false;
        }
    }
    if (fds[CONTROL_LISTENER].revents != 0) {
        hil_control_accept(&v->control);
    }
    return true;
}

static int run(struct vboard *v, int signals) {
    struct pollfd fds[CONTROL + HIL_CONTROL_CLIENTS];
    for (;;) {
        hil_probe_follow(&v->probe);
        if (wait_for(v, fds, signals) < 0 && errno != EINTR) {
            return complain("poll", strerror(errno));
        }
        if (!serve(v, fds, signals)) {
            return 0;
        }
        hil_runner_pump(&v->runner, hil_now_ms());
        if (v->board->core.running == HIL_CODE && !v->waits) {
            v->waits = hil_core_execute(v->board, SLICE) < SLICE;
        }
    }
}

static int catch_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* an inherited "ignore" would make waitpid() blind */
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run_board(struct vboard *v) {
    int signals = catch_signals();
    int rc = signals < 0 ? complain("signalfd", strerror(errno)) : open_all(v);
    if (rc == 0) {
        v->board->outside = (struct hil_outside){&v->runner, hil_runner_start, hil_runner_stop};
        hil_board_power(v->board, v->power);
        puts("READY");
        fflush(stdout);
        rc = run(v, signals);
        int error = hil_runner_save_state(&v->runner);
        if (error != 0) {
            rc = complain(v->runner.state, strerror(error));
        }
    }
    close_all(v);
    return rc;
}

static const struct option options[] = {
    {"dir", required_argument, NULL, 'd'},
    {"part", required_argument, NULL, 'p'},
    {"machine", required_argument, NULL, 'm'},
    {"qemu", required_argument, NULL, 'q'},
    {"image-state", required_argument, NULL, 's'},
    {"power", required_argument, NULL, 'P'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* 0, an exit code, or -1 after --help. */
static int parse(int argc, char **argv, struct vboard *v, const struct hil_part **part) {
    int option;
    bool known = true;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            v->directory = optarg;
            break;
        case 'p':
            *part = hil_part_named(optarg);
            break;
        case 'm':
            v->runner.machine = optarg;
            break;
        case 'q':
            v->runner.qemu = optarg;
            break;
        case 's':
            v->runner.state = optarg;
            break;
        case 'P':
            v->power = strcmp(optarg, "on") == 0;
            known = known && (v->power || strcmp(optarg, "off") == 0);
            break;
        case 'h':
            fputs(usage, stdout);
            return -1;
        default:
            fputs(usage, stderr);
            return HIL_VBOARD_USAGE;
        }
    }
    if (v->directory == NULL || *part == NULL || !known || optind != argc) {
        fputs(usage, stderr);
        return HIL_VBOARD_USAGE;
    }
    return 0;
}

int main(int argc, char **argv) {
    static struct vboard v = {.power = true};
    const struct hil_part *part = hil_part_named("stm32f405");
    v.runner.machine = "netduinoplus2";
    v.runner.qemu = "qemu-system-arm";
    v.runner.console = v.runner.uplink = (struct hil_console){.master = -1, .slave = -1, .emulator = -1};
    v.probe.listener = v.probe.client = v.control.listener = -1;
    for (size_t i = 0; i < HIL_CONTROL_CLIENTS; i++) {
        v.control.clients[i].fd = -1;
    }
    int rc = parse(argc, argv, &v, &part);
    if (rc != 0) {
        return rc < 0 ? 0 : rc;
    }
    v.board = calloc(1, sizeof *v.board);
    if (v.board == NULL) {
        return complain("memory", strerror(ENOMEM));
    }
    hil_board_init(v.board, part);
    v.runner.board = v.board;
    v.runner.directory = v.directory;
    rc = run_board(&v);
    free(v.board);
    return rc;
}
