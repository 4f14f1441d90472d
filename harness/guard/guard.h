/* hil-guard: starts a program that cannot outlive whoever started it, optionally in a network of its own.
 *
 *   hil-guard [--parent PID] [--no-core] [--] CMD [ARG...]            plain
 *   hil-guard --tree [--parent PID] [--no-core] [--] CMD [ARG...]     with all its descendants
 *   hil-guard --sandbox [--parent PID] [--no-core] [--] CMD [ARG...]  in namespaces of its own
 *   hil-guard --check                                                 says whether --sandbox works here
 *
 * plain    The kernel kills this process when its parent dies (PR_SET_PDEATHSIG), then CMD replaces it: same
 * pid, same exit status, no process more. The kernel means the parent *thread*: whoever starts a guard must
 * do so from a thread that lives as long as the child shall. PR_SET_PDEATHSIG is lost when CMD changes its
 * user id (a broker that drops from root): use --tree or a sandbox for those.
 * --tree   The guard stays as CMD's parent and as subreaper: when CMD ends, or the guard's parent dies, every
 *          descendant is killed, also those that made themselves daemons. For build tools.
 * --sandbox  New network, pid and mount namespaces (as root), and a user namespace in which the caller is
 * root (otherwise, or where root may not unshare). Inside: loopback up, MTU 1500, TSO/GSO/GRO off, so that
 * captures on lo show packets as a wire would carry them; a private /proc; CMD is the child of a small init
 * that reaps. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 sent to the guard reach CMD; a Ctrl-C of
 * the terminal reaches CMD once, because CMD stays in the foreground process group. When the guard is killed
 * with -9, the kernel kills the init and with it everything inside. Without --parent the guard may outlive
 * its parent (nohup works); with it, it dies with that process.
 * --parent PID  is the process whose death ends us; given by the caller, because one that is already dead
 * cannot be told from init otherwise. Default in plain and --tree: the parent found at the start.
 * --no-core  RLIMIT_CORE 0 for CMD (QEMU aborts on a lockup).
 *
 * Exit status: CMD's; 128 + n when signal n ended CMD (--tree, --sandbox); 125 the guard itself failed (one
 * line on stderr), 126 CMD cannot be run, 127 CMD not found, 2 usage. --check: 0 possible, 1 not (with the
 * setting to change).
 */
#ifndef HIL_GUARD_H
#define HIL_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { HIL_GUARD_USAGE = 2, HIL_GUARD_FAILED = 125, HIL_GUARD_CANNOT_RUN = 126, HIL_GUARD_NOT_FOUND = 127 };

/* What CMD is and how it shall live. */
struct hil_guard {
    char *const *argv; /* NULL-terminated, argv[0] looked up in PATH */
    pid_t parent;      /* whose death ends us; 0: nobody's */
    bool no_core;
};

/* Replaces this process by CMD; only returns (an exit status) when that fails. */
int hil_exec(const struct hil_guard *guard);

/* Asks for `signal` at the parent's death and checks that `parent` is still there. Returns 0, or -1 when it
 * is gone. */
int hil_die_with(pid_t parent, int signal);

/* Forks CMD, forwards signals, reaps until CMD ends. With `tree`, kills what is left of its descendants and,
 * at the death of guard->parent, all of them. Returns the exit status. */
int hil_supervise(const struct hil_guard *guard, bool tree);

/* CMD inside a sandbox. Returns the exit status. */
int hil_sandbox(const struct hil_guard *guard);

/* Prints one line; returns 0 when a sandbox is possible, else 1. */
int hil_sandbox_check(void);

/* Waits for `child` while forwarding signals to it; the signals of hil_block_signals() must be blocked. */
int hil_wait_forwarding(pid_t child, bool tree);

/* Blocks the signals that hil_wait_forwarding() takes; hil_unblock_signals() restores the mask found before.
 */
void hil_block_signals(void);
void hil_unblock_signals(void);

#endif
