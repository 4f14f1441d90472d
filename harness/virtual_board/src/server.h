/* The two sockets of the board. */
#ifndef HIL_SERVER_H
#define HIL_SERVER_H

#include "bitbang.h"
#include "control.h"

#define HIL_CONTROL_CLIENTS 4
#define HIL_BATCH           65536

/* One OpenOCD at a time; a second one is refused at once (its connection is closed). */
struct hil_probe_server {
    const char *path;
    struct hil_board *board;
    int listener, client; /* -1: none */
    struct hil_bitbang session;
    char out[HIL_BATCH];
    size_t out_used, out_sent;
    uint64_t quiet_since; /* ms; for HIL_PROBE_EOF */
    bool owes;            /* answers were held back: this session cannot go on */
    uint64_t sessions, refused;
};

struct hil_control_client {
    int fd; /* -1: free */
    char line[HIL_LINE_MAX];
    size_t used;
};

struct hil_control_server {
    const char *path;
    int listener;
    struct hil_control control;
    struct hil_control_client clients[HIL_CONTROL_CLIENTS];
};

/* A listening unix socket (replacing what is there), or -1 with errno. */
int hil_listen(const char *path);
void hil_probe_follow(struct hil_probe_server *server); /* the listener goes and comes with probe_unplugged */
void hil_probe_accept(struct hil_probe_server *server);
short hil_probe_events(const struct hil_probe_server *server);
void hil_probe_serve(struct hil_probe_server *server, uint64_t now_ms);
/* ms until hil_probe_tick has something to do, or -1. */
int hil_probe_tick(struct hil_probe_server *server, uint64_t now_ms);
void hil_probe_drop(struct hil_probe_server *server);

void hil_control_accept(struct hil_control_server *server);
void hil_control_serve(struct hil_control_server *server, size_t i);

#endif
