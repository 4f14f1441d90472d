/* hil-ntp: sockets, stdin and the log; what it promises is in hil_ntp.h. */
#include "hil_ntp.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DATAGRAM_MAX 2048
#define LINE_MAX_    256
#define NOBODY       65534
#define BATCH        256 /* datagrams between two looks at stdin and signals */

static const char usage[] =
    "usage: hil-ntp --address ADDR [--port N] [--interface IFACE] [--behave TEXT] [--log FILE]\n"
    "example: hil-ntp --address 192.168.77.1 --interface enp3s0 --behave 'offset -3600, stratum 3'\n";

struct server {
    const char *address, *port, *interface, *log_path;
    struct hil_ntp_behaviour behaviour;
    struct hil_ntp_state state;
    FILE *log;
    int fd;
    unsigned long answered, logged;
    char line[LINE_MAX_];
    size_t line_size;
    bool line_too_long;
};

static int complain(const char *what, const char *why) {
    fprintf(stderr, "hil-ntp: %s: %s\n", what, why);
    return 1;
}

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int open_socket(struct server *server) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_DGRAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(server->address, server->port, &hints, &found);
    if (rc != 0)
        return complain(server->address, gai_strerror(rc));
    server->fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool good = server->fd >= 0;
    if (good && server->interface != NULL)
        good = setsockopt(server->fd, SOL_SOCKET, SO_BINDTODEVICE, server->interface,
                          (socklen_t)strlen(server->interface)) == 0;
    good = good && bind(server->fd, found->ai_addr, found->ai_addrlen) == 0;
    int error = errno;
    freeaddrinfo(found);
    return good ? 0 : complain(server->address, strerror(error));
}

/* Root is for the port only. In a user namespace that maps one user, or without CAP_SETUID, we stay who we
 * are. */
static int drop_root(void) {
    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        return errno == EPERM || errno == EINVAL ? 0 : complain("setuid", strerror(errno));
    return 0;
}

static unsigned bound_port(int fd) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static void write_log(struct server *server, const struct sockaddr *from, socklen_t from_size, size_t size,
                      unsigned version, const char *result, int64_t at_us) {
    char host[64] = "?", port[16] = "?";
    if (server->log == NULL || server->logged >= HIL_NTP_LOG_MAX)
        return;
    if (getnameinfo(from, from_size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) !=
        0)
        return;
    int64_t said = hil_ntp_clock(&server->behaviour, at_us);
    fprintf(
        server->log,
        "{\"t\": %.6f, \"from\": \"%s:%s\", \"size\": %zu, \"version\": %u, \"result\": \"%s\", \"said\": "
        "%.6f}\n",
        (double)at_us / 1e6, host, port, size, version, result, (double)said / 1e6);
    fflush(server->log);
    server->logged++;
}

/* One datagram. Returns false when there is none. */
static bool serve(struct server *server) {
    static const char *const names[] = {"answered", "short", "version", "mode"};
    uint8_t data[DATAGRAM_MAX], out[HIL_NTP_SIZE];
    struct sockaddr_storage from;
    socklen_t from_size = sizeof from;
    ssize_t n = recvfrom(server->fd, data, sizeof data, 0, (struct sockaddr *)&from, &from_size);
    if (n < 0)
        return errno == EINTR || errno == ECONNREFUSED;
    int64_t received = now_us();
    struct hil_ntp_query query = {0};
    enum hil_ntp_kind kind = hil_ntp_parse(data, (size_t)n, &query);
    const char *result = names[kind];
    if (kind == HIL_NTP_QUERY) {
        size_t size = hil_ntp_answer(&server->behaviour, &server->state, &query, received, now_us(), out);
        if (size == 0)
            result = "silent";
        else if (sendto(server->fd, out, size, 0, (struct sockaddr *)&from, from_size) == (ssize_t)size)
            server->answered++;
        else
            result = "not sent";
    }
    write_log(server, (struct sockaddr *)&from, from_size, (size_t)n, query.version, result, received);
    return true;
}

static void command(struct server *server) {
    const char *wrong = server->line_too_long
                            ? "line too long"
                            : hil_ntp_behave(server->line, server->line_size, now_us(), &server->behaviour);
    if (wrong == NULL)
        printf("OK\n");
    else
        printf("ERR %s\n", wrong);
    fflush(stdout);
    server->line_size = 0;
    server->line_too_long = false;
}

/* Returns false at the end of stdin. */
static bool read_commands(struct server *server) {
    char data[LINE_MAX_];
    ssize_t n = read(STDIN_FILENO, data, sizeof data);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    for (ssize_t i = 0; i < n; i++) {
        if (data[i] == '\n')
            command(server);
        else if (server->line_size < sizeof server->line)
            server->line[server->line_size++] = data[i];
        else
            server->line_too_long = true;
    }
    return true;
}

static int run(struct server *server, int signals) {
    struct pollfd fds[] = {{.fd = server->fd, .events = POLLIN},
                           {.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = signals, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 3, -1) < 0) {
            if (errno != EINTR)
                return complain("poll", strerror(errno));
            continue; /* what fds says is of the last time */
        }
        if (fds[2].revents != 0 || (fds[1].revents != 0 && !read_commands(server)))
            break;
        for (int i = 0; i < BATCH && serve(server); i++)
            ;
    }
    printf("DONE %lu\n", server->answered);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int parse_arguments(int argc, char **argv, struct server *server) {
    static const struct option options[] = {{"address", required_argument, NULL, 'a'},
                                            {"port", required_argument, NULL, 'p'},
                                            {"interface", required_argument, NULL, 'i'},
                                            {"behave", required_argument, NULL, 'b'},
                                            {"log", required_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *behave = "honest", *wrong;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'a':
            server->address = optarg;
            break;
        case 'p':
            server->port = optarg;
            break;
        case 'i':
            server->interface = optarg;
            break;
        case 'b':
            behave = optarg;
            break;
        case 'l':
            server->log_path = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (server->address == NULL || optind != argc) {
        fputs(usage, stderr);
        return 2;
    }
    wrong = hil_ntp_behave(behave, strlen(behave), now_us(), &server->behaviour);
    if (wrong != NULL) {
        complain("--behave", wrong);
        return 2;
    }
    return 0;
}

int main(int argc, char **argv) {
    static struct server server = {.port = "123", .fd = -1};
    sigset_t ends;
    int status = parse_arguments(argc, argv, &server);
    if (status != 0)
        return status;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    int signals = signalfd(-1, &ends, SFD_CLOEXEC);
    if (signals < 0)
        return complain("signalfd", strerror(errno));
    if (server.log_path != NULL && (server.log = fopen(server.log_path, "we")) == NULL)
        return complain(server.log_path, strerror(errno));
    status = open_socket(&server);
    if (status == 0)
        status = drop_root();
    if (status == 0) {
        printf("READY %u\n", bound_port(server.fd));
        fflush(stdout);
        status = run(&server, signals);
    }
    if (server.log != NULL && fclose(server.log) != 0)
        status = complain(server.log_path, strerror(errno));
    return status;
}
