/* Net over POSIX sockets: one non-blocking TCP connection. */
#include "hil/net.h"

#include "hil/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLOSE_MS 1000 /* how long a close waits for the peer's FIN */

static int sock = -1;
static int detail;
static char own_address[INET_ADDRSTRLEN] = "127.0.0.1";

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* poll() until the deadline whatever signals come. > 0: ready. */
static int wait_for(short events, int64_t deadline) {
    for (;;) {
        struct pollfd fd = {.fd = sock, .events = events};
        int64_t left = deadline - now_ms();
        int slice = left <= 0 ? 0 : left < HIL_SERVICE_MS ? (int)left : (int)HIL_SERVICE_MS;
        int rc = poll(&fd, 1, slice);
        int error = errno;
        hil_heartbeat();
        errno = error;
        if (rc > 0 || (rc == 0 && left <= slice) || (rc < 0 && errno != EINTR))
            return rc;
    }
}

static int failure(int error) {
    detail = error;
    switch (error) {
    case ECONNRESET:
    case EPIPE:
        return HIL_NET_RESET;
    case ECONNREFUSED:
        return HIL_NET_REFUSED;
    case ETIMEDOUT:
        return HIL_NET_TIMEOUT;
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
        return HIL_NET_LINK;
    default:
        return HIL_NET_ERROR;
    }
}

int hil_net_up(uint32_t timeout_ms) {
    (void)timeout_ms;
    return HIL_NET_OK;
}

const char *hil_net_address(void) {
    return own_address;
}

static int resolve(const char *host, const char *address, struct sockaddr_in *out) {
    memset(out, 0, sizeof *out);
    out->sin_family = AF_INET;
    if (address != NULL && *address != '\0')
        return inet_pton(AF_INET, address, &out->sin_addr) == 1 ? HIL_NET_OK : HIL_NET_NAME;
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    if ((detail = getaddrinfo(host, NULL, &hints, &found)) != 0)
        return HIL_NET_NAME;
    memcpy(out, found->ai_addr, sizeof *out);
    freeaddrinfo(found);
    return HIL_NET_OK;
}

static int fail_and_close(int rc) {
    close(sock);
    sock = -1;
    return rc;
}

int hil_net_connect(const char *host, const char *address, uint16_t port, uint32_t timeout_ms) {
    struct sockaddr_in to;
    int error = 0, one = 1;
    socklen_t len = sizeof error;
    hil_net_close(1);
    detail = 0;
    if (resolve(host, address, &to) != HIL_NET_OK)
        return HIL_NET_NAME;
    to.sin_port = htons(port);
    sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return failure(errno);
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(sock, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
        return fail_and_close(failure(errno));
    int rc = wait_for(POLLOUT, now_ms() + timeout_ms);
    if (rc == 0)
        return fail_and_close(HIL_NET_TIMEOUT);
    if (rc < 0 || getsockopt(sock, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return fail_and_close(failure(errno));
    if (error != 0)
        return fail_and_close(failure(error));
    struct sockaddr_in own;
    len = sizeof own;
    if (getsockname(sock, (struct sockaddr *)&own, &len) == 0)
        inet_ntop(AF_INET, &own.sin_addr, own_address, sizeof own_address);
    return HIL_NET_OK;
}

int hil_net_send(const void *data, size_t len, uint32_t timeout_ms) {
    const uint8_t *at = data;
    size_t left = len;
    int64_t deadline = now_ms() + timeout_ms;
    if (sock < 0)
        return HIL_NET_CLOSED;
    while (left > 0) {
        ssize_t n = send(sock, at, left, MSG_NOSIGNAL);
        if (n > 0) {
            at += n;
            left -= (size_t)n;
        } else if (errno == EAGAIN) {
            int rc = wait_for(POLLOUT, deadline);
            if (rc <= 0)
                return rc == 0 ? HIL_NET_TIMEOUT : failure(errno);
        } else if (errno != EINTR) {
            return failure(errno);
        }
    }
    return (int)len;
}

int hil_net_recv(void *data, size_t cap, uint32_t timeout_ms) {
    int64_t deadline = now_ms() + timeout_ms;
    if (sock < 0)
        return HIL_NET_CLOSED;
    for (;;) {
        ssize_t n = recv(sock, data, cap, 0);
        if (n > 0)
            return (int)n;
        if (n == 0)
            return HIL_NET_CLOSED;
        if (errno != EAGAIN && errno != EINTR)
            return failure(errno);
        int rc = wait_for(POLLIN, deadline);
        if (rc <= 0)
            return rc == 0 ? HIL_NET_TIMEOUT : failure(errno);
    }
}

int hil_net_readable(void) {
    char byte;
    return sock >= 0 && recv(sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

void hil_net_close(int abort) {
    char sink[512];
    int64_t deadline = now_ms() + CLOSE_MS;
    if (sock < 0)
        return;
    if (abort != 0) {
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(sock, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    } else if (shutdown(sock, SHUT_WR) == 0) {
        /* Unread bytes would turn the close into a reset. */
        while (wait_for(POLLIN, deadline) > 0 && recv(sock, sink, sizeof sink, 0) > 0 &&
               now_ms() < deadline) {
        }
    }
    close(sock);
    sock = -1;
}

int hil_net_detail(void) {
    return detail;
}
