/* The module's UART of a Linux process: a socket pair, with the model of the module (at_model) in a child at
 * its other end. The child ends with us: it is killed with its parent, and sees the end of its UART besides.
 */
#include "hil/at.h"

#include "module.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int uart = -1;
static pid_t module;

static _Noreturn void be_the_module(int fd, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* it went before we asked */
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, number == SIGPIPE ? SIG_IGN : SIG_DFL);
    /* Its own UART and standard error: it must not hold the console. */
    if (dup2(fd, 3) != 3 || close_range(4, ~0u, 0) != 0)
        _exit(1);
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, 0) != 0 || dup2(null, 1) != 1)
        _exit(1);
    at_module_run(3);
    _exit(0);
}

int hil_at_uart_reset(void) {
    int ends[2];
    if (uart >= 0)
        close(uart);
    uart = -1;
    if (module > 0) {
        kill(module, SIGKILL);
        while (waitpid(module, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    module = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return -1;
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        be_the_module(ends[1], parent);
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return -1;
    }
    module = child;
    uart = ends[0];
    return 0;
}

int hil_at_uart_write(const void *data, size_t len) {
    const char *at = data;
    while (len > 0) {
        ssize_t n = send(uart, at, len, MSG_NOSIGNAL);
        struct pollfd fd = {.fd = uart, .events = POLLOUT};
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (n == 0 || (errno != EINTR && (errno != EAGAIN || poll(&fd, 1, 5000) == 0))) {
            return -1; /* gone, or RTS held for 5 s */
        }
    }
    return 0;
}

int hil_at_uart_read(void *data, size_t cap, uint32_t timeout_ms) {
    struct pollfd fd = {.fd = uart, .events = POLLIN};
    if (uart < 0)
        return -1;
    int rc = poll(&fd, 1, (int)timeout_ms);
    if (rc <= 0)
        return rc == 0 || errno == EINTR ? 0 : -1;
    ssize_t n = recv(uart, data, cap, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return n > 0 ? (int)n : -1;
}
