/* Link: one connection to the broker, plain or TLS, with its events, and the services of service.h. */
#ifndef HIL_LINK_H
#define HIL_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where and why the last thing failed: the fields of `done`. */
struct hil_outcome {
    const char *stage; /* "net", "tcp", "tls", "mqtt", "script" */
    long rc;
    bool lost; /* the connection is gone (or never was): trying again makes sense */
};
extern struct hil_outcome hil_outcome;

/* Fills hil_outcome in; returns -1, so that callers can `return hil_fail(…)`. */
int hil_fail(const char *stage, long rc, bool lost);

/* What `tick` says. */
void hil_link_state(const char *state);
/* Ticks run between the two. */
void hil_link_running(bool running);

/* TCP and, unless tls.min is `none`, TLS. 0 or -1 with hil_outcome. `attempt` counts from 1. */
int hil_link_open(unsigned attempt);

/* All of it: 0 or -1 with hil_outcome. */
int hil_link_send(const void *data, size_t len);

/* 1..cap bytes, 0 on time-out, -1 with hil_outcome when the connection is gone. */
int hil_link_recv(void *data, size_t cap, uint32_t timeout_ms);

enum hil_close { HIL_CLOSE_ORDERLY, HIL_CLOSE_ABORT };

/* Ends the connection if there is one: close_notify and FIN, or RST. Prints `mark`. */
void hil_link_close(enum hil_close how);

bool hil_link_up(void);

/* What TLS is told the peer is called: the `host` setting. Weak. */
const char *hil_link_name(void);
void hil_link_mark(void);

/* A line of foreign log, when `uart.log` asks for it. */
void hil_link_log(const char *text);

#endif
