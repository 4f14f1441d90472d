/* Datagrams to ourselves: see struct hil_marker. */
#include "capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char magic[16] = "hil-capture mark";

struct payload {
    char magic[16];
    uint32_t round;
};

enum { ETHERNET = 14, IPV4 = 20, UDP = 8, IPPROTO_AT = 9 };

int hil_marker_open(struct hil_marker *marker) {
    struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof self;
    memset(marker, 0, sizeof *marker);
    marker->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (marker->fd < 0) {
        return -1;
    }
    if (bind(marker->fd, (struct sockaddr *)&self, sizeof self) != 0 ||
        getsockname(marker->fd, (struct sockaddr *)&self, &length) != 0 ||
        connect(marker->fd, (struct sockaddr *)&self, sizeof self) != 0) {
        hil_marker_close(marker);
        return -1;
    }
    marker->port = ntohs(self.sin_port);
    return 0;
}

void hil_marker_close(struct hil_marker *marker) {
    int error = errno;
    if (marker->fd >= 0) {
        close(marker->fd);
    }
    marker->fd = -1;
    errno = error;
}

static int send_one(struct hil_marker *marker) {
    struct payload payload = {.round = marker->round};
    memcpy(payload.magic, magic, sizeof magic);
    /* Nobody reads this socket; the packet tap sees a datagram before a full receive buffer drops it. */
    if (send(marker->fd, &payload, sizeof payload, 0) != (ssize_t)sizeof payload) {
        return -1;
    }
    marker->waiting++;
    return 0;
}

int hil_marker_send(struct hil_marker *marker, bool every_cpu) {
    cpu_set_t all;
    marker->round++;
    marker->waiting = 0;
    if (!every_cpu || sched_getaffinity(0, sizeof all, &all) != 0) {
        return send_one(marker);
    }
    int rc = 0;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && rc == 0; cpu++) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (CPU_ISSET(cpu, &all) && sched_setaffinity(0, sizeof one, &one) == 0) {
            rc = send_one(marker);
        }
    }
    (void)sched_setaffinity(0, sizeof all, &all);
    if (rc == 0 && marker->waiting == 0) {
        rc = send_one(marker);
    }
    return rc;
}

bool hil_marker_take(struct hil_marker *marker, const uint8_t *frame, size_t length) {
    struct payload payload;
    if (length < ETHERNET + IPV4 + UDP + sizeof payload || frame[12] != 0x08 || frame[13] != 0x00 ||
        frame[ETHERNET] != 0x45 || frame[ETHERNET + IPPROTO_AT] != IPPROTO_UDP) {
        return false;
    }
    const uint8_t *udp = frame + ETHERNET + IPV4;
    uint16_t source = (uint16_t)(udp[0] << 8 | udp[1]);
    uint16_t destination = (uint16_t)(udp[2] << 8 | udp[3]);
    memcpy(&payload, udp + UDP, sizeof payload);
    if (source != marker->port || destination != marker->port ||
        memcmp(payload.magic, magic, sizeof magic) != 0) {
        return false;
    }
    marker->seen++;
    if (payload.round == marker->round && marker->waiting > 0) {
        marker->waiting--;
    }
    return true;
}
