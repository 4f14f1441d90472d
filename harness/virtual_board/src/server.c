#include "server.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define QUIET_MS 100 /* a probe that dies owing an answer does so when OpenOCD waits for it */

int hil_listen(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(path);
    if (fd >= 0 && (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

void hil_probe_drop(struct hil_probe_server *server) {
    if (server->client >= 0) {
        close(server->client);
        server->client = -1;
        server->out_used = server->out_sent = 0;
        hil_bitbang_end(server->board);
    }
}

void hil_probe_follow(struct hil_probe_server *server) {
    bool unplugged = server->board->effects.probe == HIL_PROBE_UNPLUGGED;
    if (unplugged && server->listener >= 0) {
        hil_probe_drop(server);
        close(server->listener);
        server->listener = -1;
        (void)unlink(server->path);
    } else if (!unplugged && server->listener < 0) {
        server->listener = hil_listen(server->path);
    }
    if (server->owes && server->board->effects.probe == HIL_PROBE_WELL) {
        hil_probe_drop(server);
        server->owes = false;
    }
}

void hil_probe_accept(struct hil_probe_server *server) {
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    uint8_t byte;
    if (fd < 0) {
        return;
    }
    if (server->client >= 0 && recv(server->client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
        hil_probe_drop(server); /* the last one has just left */
    }
    if (server->client >= 0) {
        hil_board_log(server->board, "a second client of the probe was refused");
        server->refused++;
        close(fd);
        return;
    }
    server->client = fd;
    server->session = (struct hil_bitbang){.quit = false};
    server->owes = false;
    server->sessions++;
}

short hil_probe_events(const struct hil_probe_server *server) {
    return server->out_sent < server->out_used ? POLLOUT : POLLIN;
}

static bool flush(struct hil_probe_server *server) {
    while (server->out_sent < server->out_used) {
        ssize_t n = send(server->client, server->out + server->out_sent, server->out_used - server->out_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        server->out_sent += (size_t)n;
    }
    server->out_used = server->out_sent = 0;
    return true;
}

void hil_probe_serve(struct hil_probe_server *server, uint64_t now_ms) {
    static uint8_t in[HIL_BATCH];
    struct hil_board *board = server->board;
    if (server->out_used > 0) {
        if (!flush(server)) {
            hil_probe_drop(server);
        }
        return;
    }
    ssize_t n = recv(server->client, in, sizeof in, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        hil_probe_drop(server);
        return;
    }
    server->quiet_since = now_ms;
    if (board->effects.probe == HIL_PROBE_SILENT || board->effects.probe == HIL_PROBE_EOF) {
        server->owes = true;
        return;
    }
    server->out_used = hil_bitbang_feed(&server->session, board, in, (size_t)n, server->out);
    if (board->effects.probe == HIL_PROBE_EOF) {
        server->owes = server->out_used > 0;
        server->out_used = 0;
        return;
    }
    bool ended = !flush(server) || server->session.quit;
    if (board->effects.probe == HIL_PROBE_KILLED) {
        board->effects.probe = HIL_PROBE_WELL;
        hil_board_log(board, "the probe is killed");
        ended = true;
    }
    if (ended) {
        hil_probe_drop(server);
    }
}

int hil_probe_tick(struct hil_probe_server *server, uint64_t now_ms) {
    if (server->client < 0 || server->board->effects.probe != HIL_PROBE_EOF || !server->owes) {
        return -1;
    }
    if (now_ms - server->quiet_since < QUIET_MS) {
        return (int)(QUIET_MS - (now_ms - server->quiet_since));
    }
    server->board->effects.probe = HIL_PROBE_WELL;
    server->owes = false;
    hil_board_log(server->board, "the probe closes");
    hil_probe_drop(server);
    return -1;
}

void hil_control_accept(struct hil_control_server *server) {
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (size_t i = 0; fd >= 0 && i < HIL_CONTROL_CLIENTS; i++) {
        if (server->clients[i].fd < 0) {
            server->clients[i] = (struct hil_control_client){.fd = fd};
            return;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void drop(struct hil_control_client *client) {
    close(client->fd);
    client->fd = -1;
}

/* A client that does not take its answer is not worth waiting for. */
static bool say(struct hil_control_client *client, const char *text) {
    size_t n = strlen(text);
    while (n > 0) {
        ssize_t sent = send(client->fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            return false;
        }
        text += sent;
        n -= (size_t)sent;
    }
    return true;
}

void hil_control_serve(struct hil_control_server *server, size_t i) {
    static char reply[HIL_REPLY_MAX];
    struct hil_control_client *client = &server->clients[i];
    ssize_t n =
        recv(client->fd, client->line + client->used, sizeof client->line - client->used, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        drop(client);
        return;
    }
    client->used += (size_t)n;
    char *end;
    while ((end = memchr(client->line, '\n', client->used)) != NULL) {
        size_t length = (size_t)(end - client->line);
        hil_control_line(&server->control, client->line, length, reply);
        client->used -= length + 1;
        memmove(client->line, end + 1, client->used);
        if (!say(client, reply)) {
            drop(client);
            return;
        }
    }
    if (client->used == sizeof client->line) {
        (void)say(client, "ERR the line is too long\n");
        drop(client);
    }
}
