/* Namespaces: how they are made, what is set inside, and why they may be refused. */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOPBACK_MTU 1500

/* Where setting up stopped. */
struct failure {
    const char *step;
    int error;
};

static int failed(struct failure *failure, const char *step) {
    failure->step = step;
    failure->error = errno;
    return -1;
}

static int write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    size_t len = strlen(text);
    ssize_t n = write(fd, text, len);
    int error = errno;
    close(fd);
    errno = error;
    return n == (ssize_t)len ? 0 : -1;
}

static int enter_user_namespace(struct failure *failure) {
    char map[64];
    unsigned uid = (unsigned)geteuid();
    unsigned gid = (unsigned)getegid();
    if (unshare(CLONE_NEWUSER) != 0) {
        return failed(failure, "user namespace");
    }
    if (write_text("/proc/self/setgroups", "deny\n") != 0 && errno != ENOENT) {
        return failed(failure, "setgroups");
    }
    snprintf(map, sizeof map, "0 %u 1\n", uid);
    if (write_text("/proc/self/uid_map", map) != 0) {
        return failed(failure, "uid_map");
    }
    snprintf(map, sizeof map, "0 %u 1\n", gid);
    return write_text("/proc/self/gid_map", map) != 0 ? failed(failure, "gid_map") : 0;
}

static int offload_off(int fd, const struct ifreq *named, unsigned command) {
    struct ethtool_value value = {.cmd = command, .data = 0};
    struct ifreq request = *named;
    request.ifr_data = (char *)&value;
    return ioctl(fd, SIOCETHTOOL, &request);
}

static int configure_loopback(struct failure *failure) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return failed(failure, "socket");
    }
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, "lo", 3);
    request.ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK;
    int rc = ioctl(fd, SIOCSIFFLAGS, &request);
    if (rc != 0) {
        failed(failure, "loopback up");
    } else {
        request.ifr_mtu = LOOPBACK_MTU;
        rc = ioctl(fd, SIOCSIFMTU, &request);
        if (rc != 0) {
            failed(failure, "loopback MTU");
        }
    }
    if (rc == 0) {
        /* Where a kernel fixes one of these, captures hold larger packets; nothing else depends on it. */
        (void)offload_off(fd, &request, ETHTOOL_STSO);
        (void)offload_off(fd, &request, ETHTOOL_SGSO);
        (void)offload_off(fd, &request, ETHTOOL_SGRO);
    }
    close(fd);
    return rc;
}

/* Root keeps its user namespace: devices, other users' files and setuid() inside go on working. */
static int unshare_all(struct failure *failure) {
    const int flags = CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS;
    bool user = geteuid() != 0;
    if (!user && unshare(flags) != 0) {
        if (errno != EPERM) {
            return failed(failure, "network, pid and mount namespaces");
        }
        user = true;
    }
    if (user) {
        if (enter_user_namespace(failure) != 0) {
            return -1;
        }
        if (unshare(flags) != 0) {
            return failed(failure, "network, pid and mount namespaces");
        }
    }
    return configure_loopback(failure);
}

/* In the first process of the new pid namespace. Containers that mask /proc refuse a new one: the old one
 * then stays, which only makes the process ids it shows those of the outside. */
static int mount_proc(struct failure *failure) {
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return failed(failure, "private mounts");
    }
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0 && errno != EPERM) {
        return failed(failure, "/proc");
    }
    return 0;
}

static int read_number(const char *path) {
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 ? atoi(text) : -1;
}

static const char *remedy(const struct failure *failure) {
    if (failure->error == ENOSPC || read_number("/proc/sys/user/max_user_namespaces") == 0) {
        return "set sysctl user.max_user_namespaces (and max_net_namespaces, max_pid_namespaces) above 0";
    }
    if (read_number("/proc/sys/kernel/unprivileged_userns_clone") == 0) {
        return "set sysctl kernel.unprivileged_userns_clone=1, or run as root";
    }
    if (read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1) {
        return "set sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run as root";
    }
    if (failure->error == EPERM) {
        return "grant CAP_SYS_ADMIN (docker: --cap-add SYS_ADMIN --security-opt seccomp=unconfined "
               "--security-opt apparmor=unconfined)";
    }
    return "the kernel needs CONFIG_USER_NS, CONFIG_NET_NS and CONFIG_PID_NS";
}

static void print_failure(FILE *out, const char *prefix, const struct failure *failure) {
    fprintf(out, "%snot possible: %s: %s: %s\n", prefix, failure->step, strerror(failure->error),
            remedy(failure));
}

/* The first process inside. `alive` is a pipe whose other end only the outer process holds: it gives one byte
 * once the parent-death signal is set, so that no moment is left in which the outer could die unnoticed. */
static int run_inside(const struct hil_guard *guard, int alive) {
    struct failure failure = {0};
    char byte = 0;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || read(alive, &byte, 1) != 1) {
        return HIL_GUARD_FAILED;
    }
    close(alive);
    if (mount_proc(&failure) != 0) {
        print_failure(stderr, "hil-guard: sandbox: ", &failure);
        return HIL_GUARD_FAILED;
    }
    if (guard == NULL) {
        return 0;
    }
    struct hil_guard inside = *guard;
    inside.parent = 0;
    hil_unblock_signals();
    return hil_supervise(&inside, false);
}

static int run_in_namespaces(const struct hil_guard *guard) {
    int alive[2];
    if (pipe2(alive, O_CLOEXEC) != 0) {
        perror("hil-guard: pipe");
        return HIL_GUARD_FAILED;
    }
    hil_block_signals();
    pid_t init = fork();
    if (init < 0) {
        perror("hil-guard: fork");
        return HIL_GUARD_FAILED;
    }
    if (init == 0) {
        close(alive[1]);
        _exit(run_inside(guard, alive[0]));
    }
    close(alive[0]);
    /* SIGPIPE cannot hurt: if init is gone already, the wait below says so. */
    signal(SIGPIPE, SIG_IGN);
    (void)!write(alive[1], "", 1);
    return hil_wait_forwarding(init, false);
}

int hil_sandbox(const struct hil_guard *guard) {
    struct failure failure = {0};
    if (unshare_all(&failure) != 0) {
        print_failure(stderr, "hil-guard: sandbox: ", &failure);
        return HIL_GUARD_FAILED;
    }
    /* After unshare: a change of credentials clears the parent-death signal. */
    if (guard->parent != 0 && hil_die_with(guard->parent, SIGKILL) != 0) {
        fprintf(stderr, "hil-guard: the parent process is gone\n");
        return HIL_GUARD_FAILED;
    }
    return run_in_namespaces(guard);
}

int hil_sandbox_check(void) {
    struct failure failure = {0};
    bool root = geteuid() == 0;
    if (unshare_all(&failure) != 0) {
        print_failure(stdout, "sandbox ", &failure);
        return 1;
    }
    fflush(stdout);
    if (run_in_namespaces(NULL) != 0) {
        printf("sandbox not possible: see above\n");
        return 1;
    }
    printf("sandbox possible%s\n", root ? " (as root)" : " (user namespace)");
    return 0;
}
