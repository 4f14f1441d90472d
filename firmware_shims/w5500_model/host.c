/* The model's sockets as non-blocking POSIX sockets. */
#include "model.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int fds[W5500_SOCKETS] = {-1, -1, -1, -1, -1, -1, -1, -1};
static bool orderly[W5500_SOCKETS]; /* a FIN was sent: closing is no reset then */

static uint32_t on_ms(void *ctx) {
    struct timespec now;
    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static void on_close(void *ctx, unsigned n) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    (void)ctx;
    if (fds[n] >= 0 && !orderly[n])
        setsockopt(fds[n], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (fds[n] >= 0)
        close(fds[n]);
    fds[n] = -1;
}

static bool on_open(void *ctx, unsigned n, bool udp, uint16_t port) {
    int one = 1;
    (void)port; /* the host's kernel chooses: several devices share its address */
    on_close(ctx, n);
    orderly[n] = udp;
    fds[n] = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fds[n] >= 0 && !udp)
        setsockopt(fds[n], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fds[n] >= 0;
}

static struct sockaddr_in address_of(const uint8_t ip[4], uint16_t port) {
    struct sockaddr_in to;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    memcpy(&to.sin_addr, ip, 4);
    return to;
}

static bool on_connect(void *ctx, unsigned n, const uint8_t ip[4], uint16_t port) {
    struct sockaddr_in to = address_of(ip, port);
    (void)ctx;
    return connect(fds[n], (const struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS ||
           errno == ECONNREFUSED; /* said again by on_connected */
}

static enum w5500_wire on_connected(void *ctx, unsigned n) {
    struct pollfd fd = {.fd = fds[n], .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;
    (void)ctx;
    if (poll(&fd, 1, 0) <= 0)
        return W5500_PENDING;
    if (getsockopt(fds[n], SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return W5500_UNREACHABLE;
    if (error == 0)
        return (fd.revents & (POLLHUP | POLLERR)) != 0 ? W5500_REFUSED : W5500_CONNECTED;
    return error == ECONNREFUSED ? W5500_REFUSED : W5500_UNREACHABLE;
}

static long on_send(void *ctx, unsigned n, const uint8_t *data, size_t len, const uint8_t ip[4],
                    uint16_t port) {
    struct sockaddr_in to = address_of(ip, port);
    int type = 0;
    socklen_t type_len = sizeof type;
    (void)ctx;
    getsockopt(fds[n], SOL_SOCKET, SO_TYPE, &type, &type_len);
    bool udp = type == SOCK_DGRAM;
    ssize_t sent = sendto(fds[n], data, len, MSG_NOSIGNAL, udp ? (const struct sockaddr *)&to : NULL,
                          udp ? sizeof to : 0);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN || errno == EINTR ? W5500_AGAIN : W5500_GONE;
}

static long on_recv(void *ctx, unsigned n, uint8_t *data, size_t cap, uint8_t ip[4], uint16_t *port) {
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    (void)ctx;
    memset(&from, 0, sizeof from);
    ssize_t got = recvfrom(fds[n], data, cap, 0, (struct sockaddr *)&from, &len);
    if (got < 0) /* for UDP an ICMP error of an earlier datagram: nothing the chip shows */
        return errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED ? W5500_AGAIN : W5500_GONE;
    memcpy(ip, &from.sin_addr, 4);
    *port = ntohs(from.sin_port);
    return got;
}

static void on_finish(void *ctx, unsigned n) {
    (void)ctx;
    orderly[n] = shutdown(fds[n], SHUT_WR) == 0;
}

void w5500_posix_host(struct w5500_host *host) {
    *host = (struct w5500_host){.ms = on_ms,
                                .open = on_open,
                                .connect = on_connect,
                                .connected = on_connected,
                                .send = on_send,
                                .recv = on_recv,
                                .finish = on_finish,
                                .close = on_close};
}
