/* The module's one socket towards the network: TCP, or TLS 1.2 with OpenSSL. */
#ifndef HIL_AT_MODEL_TLS_H
#define HIL_AT_MODEL_TLS_H

#include "store.h"

#include <time.h>

struct link_request {
    const char *host, *name; /* name "": neither SNI nor a check */
    unsigned port;
    bool tls, crl_wanted;
    time_t now; /* by the module's clock */
    const struct store *store;
    /* Called when a CA was found and is read from flash, before it is used. */
    void (*loading)(void *context, size_t number, size_t of);
    void *context;
    int gone_fd; /* hangs up when nobody listens to us any more */
    int timeout_ms;
};

struct link {
    int fd; /* -1: closed */
    SSL_CTX *ctx;
    SSL *ssl;
    bool ended; /* the peer has closed */
};

/* Certificate errors: OpenSSL's numbers are those of the module's table (ST's forum: "X509 Error 3"). */
enum { LINK_CERTIFICATE_UNKNOWN = 3 };

/* 0, or -1 with *certificate: the number of AT-S.Certificate Error, 0 when there is none to tell. */
int link_open(struct link *link, const struct link_request *request, int *certificate);

/* Bytes sent (all of them) or -1. */
int link_write(struct link *link, const void *data, size_t len, int timeout_ms);

/* Bytes, 0: nothing now, or the end (link->ended). */
size_t link_read(struct link *link, void *data, size_t cap);

void link_close(struct link *link);

#endif
