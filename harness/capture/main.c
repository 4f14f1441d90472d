/* hil-capture: what it does and promises is in capture.h. */
#include "capture.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH      4096 /* packets between two looks at stdin and signals */
#define MTU_MAX    9216 /* above this, immediate mode's fixed slots are too few */
#define BLOCK_MS   5
#define QUIET_MS   20
#define ROUNDS     6
#define MARKER_MS  1000 /* how long a marker may take on a machine that is overloaded */
#define DRAIN_MS   5000 /* bound for reading what is left, whatever goes on sending */
#define FILTER_MAX 8192

static const char usage[] =
    "usage: hil-capture -i IFACE -o OUT.pcapng [-f FILTER] [-c COMMENT] [-b MEGABYTES]\n"
    "example: hil-capture -i lo -f 'tcp port 8883' -o run.pcapng -c 'T12-01 native'   (ends at end of "
    "stdin)\n";

struct capture {
    const char *interface, *filter, *out, *comment;
    int megabytes;
    bool loopback;
    bool nanoseconds;
    bool immediate;
    pcap_t *pcap;
    struct hil_pcapng file;
    struct hil_marker marker;
    uint64_t packets;
    uint64_t started_ns;
};

static uint64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t now_ms(void) {
    return now_ns(CLOCK_MONOTONIC) / 1000000u;
}

static int complain(const char *what, const char *why) {
    fprintf(stderr, "hil-capture: %s: %s\n", what, why);
    return HIL_CAPTURE_FAILED;
}

static int write_failed(const struct capture *capture, int error) {
    complain(capture->out, strerror(error));
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? HIL_CAPTURE_DISK_FULL : HIL_CAPTURE_FAILED;
}

static void on_packet(u_char *user, const struct pcap_pkthdr *header, const u_char *data) {
    struct capture *capture = (struct capture *)(void *)user;
    if (capture->loopback && hil_marker_take(&capture->marker, data, header->caplen)) {
        return;
    }
    uint64_t fraction = (uint64_t)header->ts.tv_usec * (capture->nanoseconds ? 1u : 1000u);
    uint64_t ns = (uint64_t)header->ts.tv_sec * 1000000000u + fraction;
    if (hil_pcapng_packet(&capture->file, ns, data, header->caplen, header->len) == 0) {
        capture->packets++;
    }
}

static bool offload_on(int fd, const struct ifreq *named, unsigned command) {
    struct ethtool_value value = {.cmd = command, .data = 0};
    struct ifreq request = *named;
    request.ifr_data = (char *)&value;
    return ioctl(fd, SIOCETHTOOL, &request) == 0 && value.data != 0;
}

/* Whether no packet can be much larger than the MTU, and that is small: libpcap then makes its slots small,
 * too. */
static bool packets_are_small(int fd, const char *interface) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, interface, strlen(interface));
    return ioctl(fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu <= MTU_MAX &&
           !offload_on(fd, &request, ETHTOOL_GTSO) && !offload_on(fd, &request, ETHTOOL_GGSO) &&
           !offload_on(fd, &request, ETHTOOL_GGRO);
}

static int find_interface(struct capture *capture) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    if (strlen(capture->interface) >= sizeof request.ifr_name) {
        return complain(capture->interface, "no such interface");
    }
    memcpy(request.ifr_name, capture->interface, strlen(capture->interface));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return complain("socket", strerror(errno));
    }
    /* "any" and the like are libpcap's own names: it shall judge them. */
    bool known = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    bool up = known && (request.ifr_flags & IFF_UP) != 0;
    capture->loopback = known && (request.ifr_flags & IFF_LOOPBACK) != 0;
    capture->immediate = packets_are_small(fd, capture->interface);
    close(fd);
    return known && !up ? complain(capture->interface, "the interface is down") : 0;
}

static int activate(struct capture *capture) {
    char error[PCAP_ERRBUF_SIZE] = "";
    capture->pcap = pcap_create(capture->interface, error);
    if (capture->pcap == NULL) {
        return complain(capture->interface, error);
    }
    pcap_set_snaplen(capture->pcap, (int)HIL_SNAPLEN);
    pcap_set_buffer_size(capture->pcap, capture->megabytes * 1024 * 1024);
    pcap_set_immediate_mode(capture->pcap, capture->immediate ? 1 : 0);
    pcap_set_timeout(capture->pcap, BLOCK_MS);
    pcap_set_promisc(capture->pcap, 0);
    pcap_set_tstamp_precision(capture->pcap, PCAP_TSTAMP_PRECISION_NANO);
    int rc = pcap_activate(capture->pcap);
    if (rc < 0) {
        const char *why = pcap_geterr(capture->pcap);
        const char *hint = rc == PCAP_ERROR_PERM_DENIED ? " (grant CAP_NET_RAW, or run in a sandbox)" : "";
        fprintf(stderr, "hil-capture: %s: %s%s%s%s\n", capture->interface, pcap_statustostr(rc),
                why[0] != '\0' ? ": " : "", why, hint);
        return HIL_CAPTURE_FAILED;
    }
    return 0;
}

static int set_filter(struct capture *capture) {
    char text[FILTER_MAX];
    struct bpf_program program;
    int n;
    if (!capture->loopback) {
        n = snprintf(text, sizeof text, "%s", capture->filter);
    } else if (capture->filter[0] == '\0') {
        n = snprintf(text, sizeof text, "inbound");
    } else {
        n = snprintf(text, sizeof text, "inbound and ((%s) or (udp src port %u and udp dst port %u))",
                     capture->filter, capture->marker.port, capture->marker.port);
    }
    if (n < 0 || (size_t)n >= sizeof text) {
        return complain("filter", "too long");
    }
    /* The user's own text first, so that an error is about it. */
    if (pcap_compile(capture->pcap, &program, capture->filter, 1, PCAP_NETMASK_UNKNOWN) != 0) {
        return complain(capture->filter, pcap_geterr(capture->pcap));
    }
    pcap_freecode(&program);
    if (pcap_compile(capture->pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0) {
        return complain(text, pcap_geterr(capture->pcap));
    }
    int rc = pcap_setfilter(capture->pcap, &program);
    pcap_freecode(&program);
    return rc == 0 ? 0 : complain(capture->interface, pcap_geterr(capture->pcap));
}

/* Reads one batch. Returns the number of frames, or -1. */
static int read_batch(struct capture *capture) {
    int n = pcap_dispatch(capture->pcap, BATCH, on_packet, (u_char *)capture);
    return n < 0 ? -1 : n;
}

static void wait_readable(struct capture *capture, int timeout_ms) {
    struct pollfd ring = {.fd = pcap_get_selectable_fd(capture->pcap), .events = POLLIN};
    (void)poll(&ring, 1, timeout_ms);
}

/* Until the markers of this round are back. Returns 0, -1 on a capture error, 1 when they did not come. */
static int await_markers(struct capture *capture, uint64_t deadline_ms) {
    while (capture->marker.waiting > 0) {
        int n = read_batch(capture);
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            if (now_ms() > deadline_ms) {
                return 1;
            }
            wait_readable(capture, 2 * BLOCK_MS);
        }
    }
    return 0;
}

/* libpcap filters the first frames after pcap_setfilter() a second time, in a way that does not know
 * "inbound" and so loses them. A marker that comes back shows that this is over; those sent before it may be
 * lost. */
static int prove_live(struct capture *capture) {
    uint64_t deadline = now_ms() + MARKER_MS;
    while (capture->marker.seen == 0) {
        if (hil_marker_send(&capture->marker, false) != 0) {
            return complain(capture->interface, strerror(errno));
        }
        wait_readable(capture, BLOCK_MS);
        if (read_batch(capture) < 0) {
            return complain(capture->interface, pcap_geterr(capture->pcap));
        }
        if (now_ms() > deadline) {
            return complain(capture->interface, "a test packet did not come back: the capture is not live");
        }
    }
    return 0;
}

/* Everything sent before the stop, and what it set off in turn (an ACK to the last FIN). */
static int drain(struct capture *capture) {
    uint64_t deadline = now_ms() + DRAIN_MS;
    uint64_t before;
    int round = 0;
    do {
        before = capture->packets;
        if (capture->loopback) {
            if (hil_marker_send(&capture->marker, true) != 0) {
                return complain(capture->interface, strerror(errno));
            }
            int rc = await_markers(capture, now_ms() + MARKER_MS);
            if (rc != 0) {
                return complain(capture->interface, rc < 0 ? pcap_geterr(capture->pcap)
                                                           : "the end of the capture was not confirmed");
            }
        } else {
            wait_readable(capture, QUIET_MS);
            int n;
            while ((n = read_batch(capture)) > 0 && now_ms() < deadline) {
            }
            if (n < 0) {
                return complain(capture->interface, pcap_geterr(capture->pcap));
            }
        }
        round++;
    } while ((capture->packets != before || round < 2) && round < ROUNDS && now_ms() < deadline);
    return 0;
}

static int run(struct capture *capture, int signals) {
    struct pollfd fds[3] = {{.fd = pcap_get_selectable_fd(capture->pcap), .events = POLLIN},
                            {.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = signals, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 3, -1) < 0 && errno != EINTR) {
            return complain("poll", strerror(errno));
        }
        int n = read_batch(capture);
        if (n < 0) {
            return complain(capture->interface, pcap_geterr(capture->pcap));
        }
        /* While packets come fast, write when the buffer is full; otherwise the file follows the wire. */
        if (n < BATCH) {
            (void)hil_pcapng_flush(&capture->file);
        }
        if (capture->file.error != 0) {
            return 0; /* finish() reports it */
        }
        if (fds[2].revents != 0) {
            return drain(capture);
        }
        if (fds[1].revents != 0) {
            char ignored[256];
            if (read(STDIN_FILENO, ignored, sizeof ignored) <= 0) {
                return drain(capture);
            }
        }
    }
}

static int finish(struct capture *capture, int rc) {
    struct pcap_stat stat = {0};
    (void)pcap_stats(capture->pcap, &stat);
    if (capture->file.error == 0) {
        (void)hil_pcapng_statistics(&capture->file, capture->started_ns, now_ns(CLOCK_REALTIME),
                                    capture->packets, stat.ps_drop);
    }
    int error = hil_pcapng_close(&capture->file);
    if (error != 0) {
        return write_failed(capture, error);
    }
    if (rc == 0) {
        printf("DONE packets=%llu dropped=%u\n", (unsigned long long)capture->packets, stat.ps_drop);
        fflush(stdout);
    }
    return rc;
}

static int open_capture(struct capture *capture) {
    int rc = find_interface(capture);
    if (rc == 0 && capture->loopback && hil_marker_open(&capture->marker) != 0) {
        rc = complain(capture->interface, strerror(errno));
    }
    if (rc == 0) {
        rc = activate(capture);
    }
    char error[PCAP_ERRBUF_SIZE] = "";
    if (rc == 0 && pcap_setnonblock(capture->pcap, 1, error) != 0) {
        rc = complain(capture->interface, error);
    }
    return rc == 0 ? set_filter(capture) : rc;
}

static int capture_all(struct capture *capture) {
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGHUP);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file limit shall be an error of write(), as a full disk is */
    int signals = signalfd(-1, &stop, SFD_CLOEXEC);
    if (signals < 0) {
        return complain("signalfd", strerror(errno));
    }
    int rc = open_capture(capture);
    if (rc != 0) {
        close(signals);
        return rc;
    }
    capture->nanoseconds = pcap_get_tstamp_precision(capture->pcap) == PCAP_TSTAMP_PRECISION_NANO;
    capture->started_ns = now_ns(CLOCK_REALTIME);
    if (hil_pcapng_open(&capture->file, capture->out, (uint16_t)pcap_datalink(capture->pcap),
                        capture->interface, capture->filter, capture->comment) != 0) {
        rc = write_failed(capture, errno);
        close(signals);
        return rc;
    }
    rc = capture->loopback ? prove_live(capture) : 0;
    if (rc == 0) {
        puts("READY");
        fflush(stdout);
        rc = run(capture, signals);
    }
    close(signals);
    return finish(capture, rc);
}

int main(int argc, char **argv) {
    struct capture capture = {.filter = "", .comment = "", .megabytes = 16, .marker = {.fd = -1}};
    int option;
    while ((option = getopt(argc, argv, "i:f:o:c:b:h")) != -1) {
        switch (option) {
        case 'i':
            capture.interface = optarg;
            break;
        case 'f':
            capture.filter = optarg;
            break;
        case 'o':
            capture.out = optarg;
            break;
        case 'c':
            capture.comment = optarg;
            break;
        case 'b':
            capture.megabytes = atoi(optarg);
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return HIL_CAPTURE_USAGE;
        }
    }
    if (capture.interface == NULL || capture.out == NULL || optind != argc || capture.megabytes < 1 ||
        capture.megabytes > 1024) {
        fputs(usage, stderr);
        return HIL_CAPTURE_USAGE;
    }
    int rc = capture_all(&capture);
    if (capture.pcap != NULL) {
        pcap_close(capture.pcap);
    }
    hil_marker_close(&capture.marker);
    return rc;
}
