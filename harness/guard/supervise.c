/* Stays beside CMD: forwards signals, reaps, and in tree mode kills what CMD left behind. */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A real-time signal of our own for the parent's death: it cannot be mistaken for one that is to be
 * forwarded. */
#define PARENT_DIED (SIGRTMIN + 4)
#define KILL_PASSES 50

static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
static sigset_t taken;
static sigset_t before;

void hil_block_signals(void) {
    sigemptyset(&taken);
    sigaddset(&taken, SIGCHLD);
    sigaddset(&taken, PARENT_DIED);
    for (size_t i = 0; i < sizeof forwarded / sizeof forwarded[0]; i++) {
        sigaddset(&taken, forwarded[i]);
    }
    /* An inherited "ignore" for SIGCHLD would make wait() blind. */
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &taken, &before);
}

void hil_unblock_signals(void) {
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Kills every child we have; those of the killed become ours (subreaper) and fall in the next pass. */
static int kill_children(void) {
    char text[8192];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    int killed = 0;
    if (n > 0) {
        text[n] = '\0';
        for (char *at = text; *at != '\0';) {
            char *end = NULL;
            long pid = strtol(at, &end, 10);
            if (end == at) {
                break;
            }
            /* A number cut at the end of the buffer comes again in the next pass. */
            if (pid > 0 && *end != '\0') {
                kill((pid_t)pid, SIGKILL);
                killed++;
            }
            at = end + strspn(end, " \n");
        }
    }
    return killed;
}

static void end_descendants(void) {
    const struct timespec pause = {0, 100L * 1000 * 1000};
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (int pass = 0; pass < KILL_PASSES; pass++) {
        int killed = kill_children();
        pid_t pid;
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        }
        if (pid < 0 && errno == ECHILD) {
            return;
        }
        if (killed > 0) {
            (void)sigtimedwait(&child, NULL, &pause);
        }
    }
    fprintf(stderr, "hil-guard: a process that cannot be killed is left\n");
}

static int status_of(int status) {
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int hil_wait_forwarding(pid_t child, bool tree) {
    for (;;) {
        pid_t pid;
        int status = 0;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            if (pid == child) {
                if (tree) {
                    end_descendants();
                }
                return status_of(status);
            }
        }
        if (pid < 0 && errno == ECHILD) {
            return HIL_GUARD_FAILED; /* cannot happen: the child is ours */
        }
        siginfo_t info;
        int signal = sigwaitinfo(&taken, &info);
        if (signal < 0 || signal == SIGCHLD) {
            continue;
        }
        if (signal == PARENT_DIED) {
            end_descendants();
            return 128 + SIGKILL;
        }
        /* What the terminal sends (SI_KERNEL) reaches CMD by itself: it is in the same process group. */
        if (info.si_code != SI_KERNEL) {
            kill(child, signal);
        }
    }
}

int hil_supervise(const struct hil_guard *guard, bool tree) {
    hil_block_signals();
    if (tree && prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        perror("hil-guard: PR_SET_CHILD_SUBREAPER");
        return HIL_GUARD_FAILED;
    }
    if (guard->parent != 0 && hil_die_with(guard->parent, PARENT_DIED) != 0) {
        fprintf(stderr, "hil-guard: the parent process is gone\n");
        return HIL_GUARD_FAILED;
    }
    pid_t self = getpid();
    pid_t child = fork();
    if (child < 0) {
        perror("hil-guard: fork");
        return HIL_GUARD_FAILED;
    }
    if (child == 0) {
        if (hil_die_with(self, SIGKILL) != 0) {
            _exit(HIL_GUARD_FAILED);
        }
        hil_unblock_signals();
        _exit(hil_exec(guard));
    }
    return hil_wait_forwarding(child, tree);
}
