/* hil-uplink: what it does and promises is in uplink.h. */
#include "uplink.h"

#include "capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { LINKTYPE_PPP_HDLC = 50, LINKTYPE_RAW = 101 };
/* pcapng, section 4.3.1: direction, and bit 24 of the link layer's errors. */
enum { FLAG_INBOUND = 1, FLAG_OUTBOUND = 2, FLAG_CRC_ERROR = 1 << 24 };

#define QUIET_MS     20
#define DRAIN_MS     1000
#define RESTARTS_MAX 200
#define SHORT_LIFE   5 /* that many in a row which end at once: there is no use in another */
#define LIFE_MS      200

static const char usage[] =
    "usage: hil-uplink --serial PATH --mode ppp|slip --out FILE.pcapng [--slirp PROGRAM]\n"
    "                  [--host-address 10.0.2.2] [--baud RATE] [--comment TEXT]\n"
    "example: hil-uplink --serial /dev/ttyUSB1 --mode ppp --out run.pcapng   (ends at end of stdin)\n";

struct uplink {
    const char *serial_path, *out, *slirp, *comment;
    enum hil_framing framing;
    uint32_t host_address;
    unsigned baud;
    int serial, pty, pid;
    bool serial_ended;
    uint64_t slirp_since_ms;
    unsigned short_lives;
    struct hil_way up, down; /* device to slirp, slirp to device */
    struct hil_pcapng file;
    uint64_t started_ns, packets, damaged, refused, restarts;
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
    fprintf(stderr, "hil-uplink: %s: %s\n", what, why);
    return HIL_CAPTURE_FAILED;
}

static int write_failed(const struct uplink *u, int error) {
    (void)complain(u->out, strerror(error));
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? HIL_CAPTURE_DISK_FULL : HIL_CAPTURE_FAILED;
}

/* ---- the two ends ---- */

static int open_serial(struct uplink *u) {
    const char *why = "";
    u->serial = hil_serial_open(u->serial_path, u->baud, &why);
    return u->serial >= 0 ? 0 : complain(u->serial_path, why);
}

static int start_slirp(struct uplink *u) {
    hil_way_forget(&u->up);
    hil_way_forget(&u->down);
    u->down.deframer.synced =
        true; /* its greeting goes to its stderr; a first SLIP packet has no flag before it */
    u->pty = hil_slirp_start(u->slirp, u->framing, u->host_address, &u->pid);
    u->slirp_since_ms = now_ms();
    return u->pty >= 0 ? 0 : complain(u->slirp, strerror(errno));
}

/* slirp hung up: the device ended PPP, or it died. */
static int restart_slirp(struct uplink *u) {
    close(u->pty);
    hil_slirp_stop(u->pid);
    u->pty = u->pid = -1;
    u->short_lives = now_ms() - u->slirp_since_ms < LIFE_MS ? u->short_lives + 1 : 0;
    if (u->short_lives >= SHORT_LIFE || u->restarts >= RESTARTS_MAX) {
        return complain(u->slirp, "it ends again and again");
    }
    u->restarts++;
    return start_slirp(u);
}

/* ---- the tee ---- */

static void note(void *context, const struct hil_way *way, enum hil_frame what, const uint8_t *frame,
                 size_t len) {
    struct uplink *u = context;
    uint32_t flags = way == &u->up ? FLAG_INBOUND : FLAG_OUTBOUND;
    if (what == HIL_FRAME_NOISE || what == HIL_FRAME_DAMAGED) {
        u->damaged++;
    }
    if (what == HIL_FRAME_NOISE) {
        return;
    }
    if (what == HIL_FRAME_DAMAGED) {
        flags |= FLAG_CRC_ERROR;
    }
    if (hil_pcapng_packet_flags(&u->file, now_ns(CLOCK_REALTIME), frame, (uint32_t)len, (uint32_t)len,
                                flags) == 0) {
        u->packets++;
    }
}

static void work(struct uplink *u, struct hil_way *way) {
    u->refused += hil_way_work(way, note, u);
}

/* Reads once if there is room. False: this end is gone. */
static bool fill(struct uplink *u, struct hil_way *way, int from) {
    if (!hil_way_hungry(way)) {
        return true;
    }
    ssize_t n = read(from, way->in, sizeof way->in);
    if (n > 0) {
        way->in_at = 0;
        way->in_used = (size_t)n;
        work(u, way);
        return true;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Writes what may go. False: this end is gone. */
static bool empty(struct uplink *u, struct hil_way *way, int to) {
    if (way->out_used == 0) {
        return true;
    }
    ssize_t n = write(to, way->out, way->out_used);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    hil_way_written(way, (size_t)n);
    work(u, way); /* there is room again */
    return true;
}

static short wants(const struct hil_way *in, const struct hil_way *out) {
    return (short)((hil_way_hungry(in) ? POLLIN : 0) | (out->out_used > 0 ? POLLOUT : 0));
}

/* One round of both ways; 0, or an exit status. */
static int exchange(struct uplink *u, const struct pollfd *serial, const struct pollfd *pty) {
    bool serial_there = true, pty_there = true;
    if ((serial->revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        serial_there = fill(u, &u->up, u->serial);
    }
    if ((pty->revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        pty_there = fill(u, &u->down, u->pty);
    }
    if (serial_there) {
        serial_there = empty(u, &u->down, u->serial);
    }
    if (pty_there) {
        pty_there = empty(u, &u->up, u->pty);
    }
    if (!serial_there || (serial->revents & POLLNVAL) != 0) {
        u->serial_ended = true;
        return complain(u->serial_path, "the serial line ended");
    }
    return pty_there ? 0 : restart_slirp(u);
}

static int pump(struct uplink *u, int signals) {
    uint64_t stop_by = 0; /* once set: until it is quiet, at most until then */
    for (;;) {
        struct pollfd fds[4] = {{.fd = u->serial, .events = wants(&u->up, &u->down)},
                                {.fd = u->pty, .events = wants(&u->down, &u->up)},
                                {.fd = stop_by == 0 ? STDIN_FILENO : -1, .events = POLLIN},
                                {.fd = stop_by == 0 ? signals : -1, .events = POLLIN}};
        int n = poll(fds, 4, stop_by == 0 ? -1 : QUIET_MS);
        if (n < 0 && errno != EINTR) {
            return complain("poll", strerror(errno));
        }
        if (stop_by != 0 && (n == 0 || now_ms() >= stop_by)) {
            return 0;
        }
        int rc = exchange(u, &fds[0], &fds[1]);
        if (hil_pcapng_flush(&u->file) != 0 || rc != 0) {
            return rc;
        }
        char ignored[256];
        if (fds[3].revents != 0 ||
            (fds[2].revents != 0 && read(STDIN_FILENO, ignored, sizeof ignored) <= 0)) {
            stop_by = now_ms() + DRAIN_MS;
        }
    }
}

static int finish(struct uplink *u, int rc) {
    if (u->file.error == 0) {
        (void)hil_pcapng_statistics(&u->file, u->started_ns, now_ns(CLOCK_REALTIME), u->packets, 0);
    }
    int error = hil_pcapng_close(&u->file);
    if (error != 0) {
        return write_failed(u, error);
    }
    printf("DONE packets=%llu damaged=%llu refused=%llu restarts=%llu\n", (unsigned long long)u->packets,
           (unsigned long long)u->damaged, (unsigned long long)u->refused, (unsigned long long)u->restarts);
    fflush(stdout);
    return rc;
}

static int run(struct uplink *u) {
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
    int rc = open_serial(u);
    if (rc == 0) {
        u->started_ns = now_ns(CLOCK_REALTIME);
        uint16_t link = u->framing == HIL_FRAMING_PPP ? LINKTYPE_PPP_HDLC : LINKTYPE_RAW;
        if (hil_pcapng_open(&u->file, u->out, link, u->serial_path, "", u->comment) != 0) {
            rc = write_failed(u, errno);
        } else {
            rc = start_slirp(u);
            if (rc == 0) {
                puts("READY");
                fflush(stdout);
                rc = pump(u, signals);
            }
            rc = finish(u, rc);
        }
    }
    close(signals);
    return rc;
}

/* a.b.c.2 in host byte order; 0 when it is none. */
static uint32_t host_address(const char *text) {
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1) {
        return 0;
    }
    uint32_t value = ntohl(address.s_addr);
    return (value & 255u) == 2u ? value : 0; /* slirp's numbering is fixed */
}

/* 0 when it is no number. */
static unsigned baud_of(const char *text) {
    char *end = NULL;
    unsigned long value = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    return end != NULL && *end == '\0' && value <= UINT_MAX ? (unsigned)value : 0;
}

static int usage_error(void) {
    fputs(usage, stderr);
    return HIL_CAPTURE_USAGE;
}

static int parse(struct uplink *u, int argc, char **argv) {
    static const struct option OPTIONS[] = {{"serial", required_argument, NULL, 's'},
                                            {"mode", required_argument, NULL, 'm'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"slirp", required_argument, NULL, 'p'},
                                            {"host-address", required_argument, NULL, 'a'},
                                            {"baud", required_argument, NULL, 'b'},
                                            {"comment", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;
    bool mode = false;
    while ((option = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 's':
            u->serial_path = optarg;
            break;
        case 'm':
            mode = strcmp(optarg, "ppp") == 0 || strcmp(optarg, "slip") == 0;
            u->framing = strcmp(optarg, "slip") == 0 ? HIL_FRAMING_SLIP : HIL_FRAMING_PPP;
            break;
        case 'o':
            u->out = optarg;
            break;
        case 'p':
            u->slirp = optarg;
            break;
        case 'a':
            u->host_address = host_address(optarg);
            break;
        case 'b':
            u->baud = baud_of(optarg);
            break;
        case 'c':
            u->comment = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return -1;
        default:
            return usage_error();
        }
    }
    bool complete = u->serial_path[0] != '\0' && u->out[0] != '\0' && mode && optind == argc;
    return complete && u->host_address != 0 && hil_serial_rate(u->baud) ? 0 : usage_error();
}

int main(int argc, char **argv) {
    static struct uplink u = {.serial_path = "",
                              .out = "",
                              .slirp = "slirp-fullbolt",
                              .comment = "",
                              .host_address = 0x0A000202u,
                              .baud = 115200,
                              .serial = -1,
                              .pty = -1,
                              .pid = -1};
    int rc = parse(&u, argc, argv);
    if (rc != 0) {
        return rc < 0 ? 0 : rc;
    }
    u.up.deframer.framing = u.down.deframer.framing = u.framing;
    u.up.checked = true; /* slirp takes some single bytes for commands, too */
    u.up.host_address = u.host_address;
    rc = run(&u);
    if (u.pty >= 0) {
        close(u.pty);
    }
    hil_slirp_stop(u.pid);
    if (u.serial >= 0) {
        close(u.serial);
    }
    return rc;
}
