/* The UART of net/port.h on an inherited descriptor. */
#include "uplink.h"

#include "hil/board.h"
#include "net/port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define WRITE_MS 1000 /* the other end reads at its leisure; lwIP sends again what is lost */

static int line = -1;

bool hil_uplink_open(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return false;
    line = fd;
    return true;
}

static bool ready(short events, int timeout_ms) {
    struct pollfd fd = {.fd = line, .events = events};
    return poll(&fd, 1, timeout_ms) == 1 && (fd.revents & events) != 0;
}

int hil_serial_start(void) {
    return line >= 0 ? 0 : -1;
}

bool hil_serial_pending(void) {
    return line >= 0 && ready(POLLIN, 0);
}

size_t hil_serial_read(void *data, size_t cap) {
    ssize_t n = line >= 0 ? read(line, data, cap) : -1;
    return n > 0 ? (size_t)n : 0;
}

int hil_serial_write(const void *data, size_t len) {
    const char *at = data;
    while (len > 0) {
        ssize_t n = write(line, at, len);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (n < 0 && errno != EINTR && (errno != EAGAIN || !ready(POLLOUT, WRITE_MS))) {
            return -1;
        }
    }
    return 0;
}

uint32_t hil_board_jitter(void) {
    return hil_board_ms();
}

bool hil_uplink_idle(int uart, uint32_t timeout_ms) {
    uint32_t due = hil_net_poll();
    struct pollfd fds[2] = {{.fd = uart, .events = 0}, {.fd = line, .events = POLLIN}};
    int wait = (int)(due < timeout_ms ? due : timeout_ms);
    bool hung_up = poll(fds, 2, wait) > 0 && (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
    (void)hil_net_poll();
    return !hung_up;
}
