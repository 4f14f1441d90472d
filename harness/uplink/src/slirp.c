/* slirp as a child on a pty of ours. */
#include "uplink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define STOP_MS  1000
#define SLICE_MS 5

/* Between fork and exec: only what is safe there. */
static _Noreturn void become_slirp(const char *program, enum hil_framing framing, const char *special,
                                   int tty, int report, pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    int failed = 0;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || setsid() < 0 ||
        ioctl(tty, TIOCSCTTY, 0) != 0 || dup2(tty, STDIN_FILENO) < 0 || dup2(tty, STDOUT_FILENO) < 0 ||
        dup2(nowhere, STDERR_FILENO) < 0) {
        failed = errno;
    } else {
        /* Nobody's ~/.slirprc shall change what a scenario measures. */
        static char home[] = "HOME=/nonexistent", path[] = "PATH=/usr/bin:/bin:/usr/local/bin",
                    term[] = "TERM=dumb";
        char *environment[] = {home, path, term, NULL};
        union {
            const char *in;
            char *out;
        } word = {program}, address = {special};
        char mtu[] = "mtu 1500", ppp[] = "-P"; /* without -P it finds out that it is SLIP */
        char *arguments[] = {word.out, mtu, address.out, framing == HIL_FRAMING_PPP ? ppp : NULL, NULL};
        execvpe(program, arguments, environment);
        failed = errno;
    }
    ssize_t ignored = write(report, &failed, sizeof failed);
    (void)ignored;
    _exit(127);
}

static int open_pty(int *tty) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    char name[64];
    if (master < 0) {
        return -1;
    }
    struct termios raw;
    *tty = -1;
    if (grantpt(master) == 0 && unlockpt(master) == 0 && ptsname_r(master, name, sizeof name) == 0) {
        *tty = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    }
    if (*tty < 0 || tcgetattr(*tty, &raw) != 0) {
        int error = errno;
        close(master);
        if (*tty >= 0) {
            close(*tty);
        }
        errno = error;
        return -1;
    }
    cfmakeraw(&raw);
    (void)cfsetspeed(&raw, B115200);
    (void)tcsetattr(*tty, TCSANOW, &raw);
    return master;
}

int hil_slirp_start(const char *program, enum hil_framing framing, uint32_t host_address, int *pid) {
    int tty = -1, report[2], error = 0;
    char special[64];
    (void)snprintf(special, sizeof special, "special addr %u.%u.%u.0", host_address >> 24,
                   host_address >> 16 & 255u, host_address >> 8 & 255u);
    int master = open_pty(&tty);
    *pid = -1;
    if (master < 0) {
        return -1;
    }
    if (pipe2(report, O_CLOEXEC) != 0) {
        error = errno;
    } else {
        pid_t parent = getpid();
        *pid = fork();
        if (*pid == 0) {
            become_slirp(program, framing, special, tty, report[1], parent);
        }
        error = *pid < 0 ? errno : 0;
        close(report[1]);
        /* Nothing comes when the program took over: its end of the pipe closed with it. */
        if (error == 0 && read(report[0], &error, sizeof error) == (ssize_t)sizeof error) {
            (void)waitpid(*pid, NULL, 0);
        }
        close(report[0]);
    }
    close(tty);
    if (error != 0) {
        *pid = -1; /* reaped: its number may be anybody's now */
        close(master);
        errno = error;
        return -1;
    }
    return master;
}

void hil_slirp_stop(int pid) {
    const struct timespec slice = {.tv_nsec = SLICE_MS * 1000000L};
    if (pid <= 0) {
        return;
    }
    (void)kill(pid, SIGTERM);
    for (int waited = 0; waited < STOP_MS; waited += SLICE_MS) {
        if (waitpid(pid, NULL, WNOHANG) != 0) {
            return;
        }
        (void)nanosleep(&slice, NULL);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}
