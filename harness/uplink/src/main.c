/* hil-uplink: what it does and promises is in uplink.h. */
#include "uplink.h"

#include "capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { LINKTYPE_PPP_HDLC = 50, LINKTYPE_RAW = 101 };
/* pcapng, section 4.3.1: direction, and bit 24 of the link layer's errors. */
enum { FLAG_INBOUND = 1, FLAG_OUTBOUND = 2, FLAG_CRC_ERROR = 1 << 24 };

#define READ_MAX     4096u
#define HELD_MAX     (2 * HIL_FRAME_MAX + READ_MAX) /* a frame whose every byte is escaped, and what follows */
#define QUIET_MS     20
#define DRAIN_MS     1000
#define RESTARTS_MAX 200
#define SHORT_LIFE   5 /* that many in a row which end at once: there is no use in another */
#define LIFE_MS      200

static const char usage[] =
    "usage: hil-uplink --serial PATH --mode ppp|slip --out FILE.pcapng [--slirp PROGRAM]\n"
    "                  [--host-address 10.0.2.2] [--baud RATE] [--comment TEXT]\n"
    "example: hil-uplink --serial /dev/ttyUSB1 --mode ppp --out run.pcapng   (ends at end of stdin)\n";

/* One way of the line. Bytes wait in `held` until the other side takes them, and frames until they are whole.
 */
struct way {
    struct hil_deframer deframer;
    uint32_t direction;
    bool whole_frames; /* only frames that ended are passed on */
    size_t start;      /* of the frame under way */
    size_t ready;      /* bytes that may be written */
    size_t used;
    uint8_t held[HELD_MAX];
};

struct uplink {
    const char *serial_path, *out, *slirp, *comment;
    enum hil_framing framing;
    uint32_t host_address;
    unsigned baud;
    int serial, pty, pid;
    bool serial_ended;
    uint64_t slirp_since_ms;
    unsigned short_lives;
    struct way up, down; /* device to slirp, slirp to device */
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

static speed_t speed_of(unsigned baud) {
    static const struct {
        unsigned baud;
        speed_t speed;
    } SPEEDS[] = {{9600, B9600},     {19200, B19200},   {38400, B38400},
                  {57600, B57600},   {115200, B115200}, {230400, B230400},
                  {460800, B460800}, {921600, B921600}, {1000000, B1000000}};
    for (size_t i = 0; i < sizeof SPEEDS / sizeof *SPEEDS; i++) {
        if (SPEEDS[i].baud == baud) {
            return SPEEDS[i].speed;
        }
    }
    return B0;
}

static int connect_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int open_serial(struct uplink *u) {
    struct stat status;
    if (stat(u->serial_path, &status) != 0) {
        return complain(u->serial_path, strerror(errno));
    }
    bool is_socket = S_ISSOCK(status.st_mode);
    u->serial = is_socket ? connect_socket(u->serial_path)
                          : open(u->serial_path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (u->serial < 0) {
        return complain(u->serial_path, strerror(errno));
    }
    struct termios mode;
    if (!is_socket) {
        if (tcgetattr(u->serial, &mode) != 0) {
            return complain(u->serial_path, "neither a serial device nor a socket");
        }
        cfmakeraw(&mode);
        mode.c_cflag |= CLOCAL | CREAD;
        (void)cfsetspeed(&mode, speed_of(u->baud));
        /* What came before us belongs to nobody. */
        if (tcsetattr(u->serial, TCSANOW, &mode) != 0 || tcflush(u->serial, TCIFLUSH) != 0) {
            return complain(u->serial_path, strerror(errno));
        }
    }
    int flags = fcntl(u->serial, F_GETFL);
    if (flags < 0 || fcntl(u->serial, F_SETFL, flags | O_NONBLOCK) != 0) {
        return complain(u->serial_path, strerror(errno));
    }
    return 0;
}

static void forget(struct way *way) {
    way->deframer.synced = way->deframer.escaped = way->deframer.broken = false;
    way->deframer.used = way->start = way->ready = way->used = 0;
}

static int start_slirp(struct uplink *u) {
    forget(&u->up);
    forget(&u->down);
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

static void note(struct uplink *u, const struct way *way, enum hil_frame what, const uint8_t *frame,
                 size_t len) {
    uint32_t flags = way->direction;
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

/* slirp's greeting, a boot loader's words: what comes before the first flag is not for the other side.
 * Returns how many of the bytes are left. */
static size_t skip_noise(const struct uplink *u, struct way *way, size_t len) {
    uint8_t *bytes = way->held + way->used;
    if (way->deframer.synced) {
        return len;
    }
    const uint8_t *flag = memchr(bytes, u->framing == HIL_FRAMING_PPP ? 0x7E : 0xC0, len);
    if (flag == NULL) {
        return 0;
    }
    size_t before = (size_t)(flag - bytes);
    memmove(bytes, flag, len - before);
    return len - before;
}

/* Takes `len` bytes that were just read behind `used`. */
static void take(struct uplink *u, struct way *way, size_t len) {
    size_t end = way->used + skip_noise(u, way, len);
    while (way->used < end) {
        enum hil_frame what;
        const uint8_t *frame;
        size_t frame_len;
        size_t taken =
            hil_deframe(&way->deframer, way->held + way->used, end - way->used, &what, &frame, &frame_len);
        way->used += taken;
        if (what == HIL_FRAME_NONE) {
            break;
        }
        note(u, way, what, frame, frame_len);
        if (way->whole_frames && hil_for_slirp(u->framing, frame, frame_len, u->host_address)) {
            u->refused++;
            memmove(way->held + way->start, way->held + way->used, end - way->used);
            end -= way->used - way->start;
            way->used = way->start;
        }
        way->start = way->ready = way->used;
    }
    /* A frame longer than any is passed on as it comes. */
    if (!way->whole_frames || way->deframer.broken || HELD_MAX - way->used < READ_MAX) {
        way->ready = way->used;
        way->start = way->used;
    }
}

/* Reads once if there is room. False: this end is gone. */
static bool fill(struct uplink *u, struct way *way, int from) {
    if (HELD_MAX - way->used < READ_MAX) {
        return true;
    }
    ssize_t n = read(from, way->held + way->used, READ_MAX);
    if (n > 0) {
        take(u, way, (size_t)n);
        return true;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Writes what may go. False: this end is gone. */
static bool empty(struct way *way, int to) {
    if (way->ready == 0) {
        return true;
    }
    ssize_t n = write(to, way->held, way->ready);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    size_t done = (size_t)n;
    memmove(way->held, way->held + done, way->used - done);
    way->used -= done;
    way->ready -= done;
    way->start -= done;
    return true;
}

static short wants(const struct way *in, const struct way *out) {
    return (short)((HELD_MAX - in->used >= READ_MAX ? POLLIN : 0) | (out->ready > 0 ? POLLOUT : 0));
}

/* One round of both ways; 0, or an exit status. *moved: whether bytes went anywhere. */
static int exchange(struct uplink *u, const struct pollfd *serial, const struct pollfd *pty) {
    bool serial_there = true, pty_there = true;
    if ((serial->revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        serial_there = fill(u, &u->up, u->serial);
    }
    if ((pty->revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        pty_there = fill(u, &u->down, u->pty);
    }
    if (serial_there) {
        serial_there = empty(&u->down, u->serial);
    }
    if (pty_there) {
        pty_there = empty(&u->up, u->pty);
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
            u->baud = (unsigned)strtoul(optarg, NULL, 10);
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
    return complete && u->host_address != 0 && speed_of(u->baud) != B0 ? 0 : usage_error();
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
    u.up.direction = FLAG_INBOUND;
    u.down.direction = FLAG_OUTBOUND;
    u.up.whole_frames = true; /* slirp takes some single bytes for commands */
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
