#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_DELAY_MS 10
#define CONSOLE_FD     3 /* of the child */
#define UPLINK_FD      4

uint64_t hil_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int path_in(const struct hil_runner *runner, const char *name, char *path, size_t size) {
    int n = snprintf(path, size, "%s/%s", runner->directory, name);
    return n < 0 || (size_t)n >= size ? ENAMETOOLONG : 0;
}

int hil_write_file(const char *path, const uint8_t *data, size_t n) {
    char temporary[4096];
    int length = snprintf(temporary, sizeof temporary, "%s.%ld.new", path, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary) {
        return ENAMETOOLONG;
    }
    FILE *file = fopen(temporary, "wbe");
    if (file == NULL) {
        return errno;
    }
    bool written = fwrite(data, 1, n, file) == n;
    int error = written ? 0 : errno;
    if (fclose(file) != 0 && error == 0) {
        error = errno;
    }
    if (error == 0 && rename(temporary, path) != 0) {
        error = errno;
    }
    if (error != 0) {
        (void)unlink(temporary);
    }
    return error;
}

static uint64_t version(const struct hil_board *board) {
    return board->programmed + board->erased + 1;
}

int hil_runner_load_state(struct hil_runner *runner) {
    if (runner->state == NULL) {
        return 0;
    }
    FILE *file = fopen(runner->state, "rbe");
    if (file == NULL) {
        return errno == ENOENT ? 0 : errno;
    }
    size_t n = fread(runner->board->flash, 1, runner->board->part->flash_size, file);
    bool too_long = n == runner->board->part->flash_size && fgetc(file) != EOF;
    int error = ferror(file) != 0 ? EIO : too_long ? EFBIG : 0;
    fclose(file);
    return error;
}

/* Up to the last byte that is programmed; at least the two vectors. */
static size_t used(const struct hil_board *board) {
    size_t n = board->part->flash_size;
    while (n > 8 && board->flash[n - 1] == 0xFF) {
        n--;
    }
    return n;
}

int hil_runner_save_state(struct hil_runner *runner) {
    const struct hil_board *board = runner->board;
    if (runner->state == NULL || runner->state_at == version(board)) {
        return 0;
    }
    int error = hil_write_file(runner->state, board->flash, used(board));
    runner->state_at = error == 0 ? version(board) : 0;
    return error;
}

int hil_runner_open(struct hil_runner *runner) {
    char path[4096];
    int error = path_in(runner, "console", path, sizeof path);
    if (error == 0) {
        error = hil_console_open(&runner->console, path);
    }
    if (error == 0) {
        error = path_in(runner, "uplink", path, sizeof path);
    }
    return error == 0 ? hil_console_open(&runner->uplink, path) : error;
}

void hil_runner_close(struct hil_runner *runner) {
    char path[4096];
    hil_runner_stop(runner);
    hil_console_close(&runner->console, path_in(runner, "console", path, sizeof path) == 0 ? path : NULL);
    hil_console_close(&runner->uplink, path_in(runner, "uplink", path, sizeof path) == 0 ? path : NULL);
}

bool hil_runner_start(void *self, struct hil_board *board) {
    struct hil_runner *runner = self;
    (void)board;
    runner->note[0] = '\0';
    if (strcmp(runner->machine, "none") == 0) {
        return false;
    }
    runner->start_at = hil_now_ms() + START_DELAY_MS;
    return true;
}

static void take_last_words(struct hil_runner *runner) {
    hil_runner_pump(runner, hil_now_ms());
    hil_console_unplug(&runner->console);
    hil_console_unplug(&runner->uplink);
}

void hil_runner_stop(void *self) {
    struct hil_runner *runner = self;
    runner->start_at = 0;
    if (runner->pid > 0) {
        kill(runner->pid, SIGKILL);
        while (waitpid(runner->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        runner->pid = 0;
    }
    take_last_words(runner);
}

static void become_emulator(const struct hil_runner *runner, const char *image, const char *log, int console,
                            int uplink) {
    char chardev[2][64];
    const struct rlimit none = {0, 0};
    sigset_t nothing;
    /* The two descriptors may be 3 and 4 already, in the other order. All but the copies end with exec. */
    int a = fcntl(console, F_DUPFD_CLOEXEC, 10), b = fcntl(uplink, F_DUPFD_CLOEXEC, 10);
    int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644),
        in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (a < 0 || b < 0 || out < 0 || in < 0 || dup2(a, CONSOLE_FD) < 0 || dup2(b, UPLINK_FD) < 0 ||
        dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) {
        _exit(126);
    }
    (void)setrlimit(RLIMIT_CORE, &none); /* a lockup of the firmware is an abort of QEMU */
    sigemptyset(&nothing);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    (void)snprintf(chardev[0], sizeof chardev[0], "socket,id=console,fd=%d", CONSOLE_FD);
    (void)snprintf(chardev[1], sizeof chardev[1], "socket,id=uplink,fd=%d", UPLINK_FD);
    execlp(runner->qemu, runner->qemu, "-M", runner->machine, "-kernel", image, "-display", "none",
           "-monitor", "none", "-nodefaults", "-chardev", chardev[0], "-serial", "chardev:console",
           "-chardev", chardev[1], "-serial", "chardev:uplink", (char *)NULL);
    fprintf(stderr, "%s: %s\n", runner->qemu, strerror(errno));
    _exit(127);
}

static int spawn(struct hil_runner *runner) {
    struct hil_board *board = runner->board;
    char image[4096], log[4096];
    int error = path_in(runner, "boot.bin", image, sizeof image);
    if (error == 0) {
        error = path_in(runner, "qemu.log", log, sizeof log);
    }
    if (error == 0 && runner->saved_at != version(board)) {
        error = hil_write_file(image, board->flash, used(board));
    }
    if (error != 0) {
        return error;
    }
    runner->saved_at = version(board);
    int console = hil_console_plug(&runner->console), uplink = hil_console_plug(&runner->uplink);
    pid_t parent = getpid(), pid = console >= 0 && uplink >= 0 ? fork() : -1;
    error = errno;
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(125);
        }
        become_emulator(runner, image, log, console, uplink);
    }
    if (console >= 0) {
        close(console);
    }
    if (uplink >= 0) {
        close(uplink);
    }
    if (pid < 0) {
        take_last_words(runner);
        return error;
    }
    runner->pid = pid;
    board->boots++;
    return 0;
}

int hil_runner_tick(struct hil_runner *runner, uint64_t now_ms) {
    if (runner->start_at == 0) {
        return runner->console.out_used > 0 || runner->uplink.out_used > 0 ? 50 : -1;
    }
    if (now_ms < runner->start_at) {
        return (int)(runner->start_at - now_ms);
    }
    runner->start_at = 0;
    int error = spawn(runner);
    if (error != 0) {
        (void)snprintf(runner->note, sizeof runner->note, "the emulator did not start: %s", strerror(error));
        hil_board_log(runner->board, "%s", runner->note);
        runner->board->emulated = false;
    }
    error = hil_runner_save_state(runner);
    if (error != 0) {
        hil_board_log(runner->board, "the flash contents are not kept: %s", strerror(error));
    }
    return -1;
}

/* The first line of QEMU's own words, printable only. */
static void first_line(const struct hil_runner *runner, char *text, size_t size) {
    char path[4096];
    text[0] = '\0';
    FILE *file = path_in(runner, "qemu.log", path, sizeof path) == 0 ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return;
    }
    if (fgets(text, (int)size, file) == NULL) {
        text[0] = '\0';
    }
    fclose(file);
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7F || *c == '"') {
            *c = ' ';
        }
    }
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == ' ') {
        text[--n] = '\0';
    }
}

void hil_runner_reap(struct hil_runner *runner) {
    int status = 0;
    char said[160];
    if (runner->pid <= 0 || waitpid(runner->pid, &status, WNOHANG) != runner->pid) {
        return;
    }
    runner->pid = 0;
    take_last_words(runner);
    first_line(runner, said, sizeof said);
    if (WIFSIGNALED(status)) {
        (void)snprintf(runner->note, sizeof runner->note, "the emulator died of signal %d: %s",
                       WTERMSIG(status), said);
    } else {
        (void)snprintf(runner->note, sizeof runner->note, "the emulator ended with %d: %s",
                       WEXITSTATUS(status), said);
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) {
        hil_core_lockup(runner->board, said[0] != '\0' ? said : "the emulator aborted");
    } else {
        hil_board_log(runner->board, "%s", runner->note);
        runner->board->emulated = false;
    }
}

void hil_runner_pump(struct hil_runner *runner, uint64_t now_ms) {
    const struct hil_effects *effects = &runner->board->effects;
    hil_console_pump(&runner->console, now_ms, effects->console_silent, effects->console_noise, false);
    hil_console_pump(&runner->uplink, now_ms, effects->uplink_silent, false, effects->uplink_silent);
}
