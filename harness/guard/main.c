/* hil-guard: arguments and the plain mode. What it does: guard.h. */
#include "guard.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] =
    "usage: hil-guard [--tree | --sandbox] [--parent PID] [--no-core] [--] CMD [ARG...]\n"
    "       hil-guard --check\n"
    "example: hil-guard --sandbox -- mosquitto -c broker.conf\n";

int hil_die_with(pid_t parent, int signal) {
    if (prctl(PR_SET_PDEATHSIG, signal) != 0) {
        return -1;
    }
    return getppid() == parent ? 0 : -1;
}

int hil_exec(const struct hil_guard *guard) {
    if (guard->no_core) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
    }
    execvp(guard->argv[0], guard->argv);
    int error = errno;
    fprintf(stderr, "hil-guard: %s: %s\n", guard->argv[0], strerror(error));
    return error == ENOENT ? HIL_GUARD_NOT_FOUND : HIL_GUARD_CANNOT_RUN;
}

static int usage_error(const char *why, const char *what) {
    fprintf(stderr, "hil-guard: %s%s\n%s", why, what, usage);
    return HIL_GUARD_USAGE;
}

static int plain(const struct hil_guard *guard) {
    if (hil_die_with(guard->parent, SIGKILL) != 0) {
        fprintf(stderr, "hil-guard: the parent process is gone\n");
        return HIL_GUARD_FAILED;
    }
    return hil_exec(guard);
}

int main(int argc, char **argv) {
    struct hil_guard guard = {0};
    bool sandbox = false;
    bool tree = false;
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--check") == 0) {
            return hil_sandbox_check();
        }
        if (strcmp(argv[i], "--sandbox") == 0) {
            sandbox = true;
        } else if (strcmp(argv[i], "--tree") == 0) {
            tree = true;
        } else if (strcmp(argv[i], "--no-core") == 0) {
            guard.no_core = true;
        } else if (strcmp(argv[i], "--parent") == 0 && i + 1 < argc) {
            char *end = NULL;
            errno = 0;
            long pid = strtol(argv[++i], &end, 10);
            if (errno != 0 || *end != '\0' || pid <= 0 || pid > 0x7fffffff) {
                return usage_error("--parent wants a process id, not ", argv[i]);
            }
            guard.parent = (pid_t)pid;
        } else {
            return usage_error("unknown option ", argv[i]);
        }
    }
    if (i >= argc) {
        return usage_error("no command", "");
    }
    if (sandbox && tree) {
        return usage_error("--sandbox already ends everything inside: ", "leave --tree out");
    }
    guard.argv = argv + i;
    if (!sandbox && guard.parent == 0) {
        guard.parent = getppid();
    }
    if (sandbox) {
        return hil_sandbox(&guard);
    }
    return tree ? hil_supervise(&guard, true) : plain(&guard);
}
