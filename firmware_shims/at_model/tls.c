#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* What a module of 2017 may be expected to have; ST's list is not known to us. */
#define SUITES                                                                                               \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"               \
    "ECDHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0"
#define GROUPS  "P-256:P-384"
#define SIGALGS "ECDSA+SHA256:RSA+SHA256:ECDSA+SHA384:RSA+SHA384:RSA+SHA512"

struct verification {
    const struct link_request *request;
    int error;
};

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* True when the socket is ready before the deadline; false also when nobody listens to us any more. */
static bool wait_for(int fd, short events, int gone_fd, int64_t deadline) {
    for (;;) {
        struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = gone_fd, .events = 0}};
        int64_t left = deadline - now_ms();
        int rc = left > 0 ? poll(fds, 2, (int)left) : 0;
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0 || (fds[1].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
            return false;
        if (fds[0].revents != 0)
            return true;
    }
}

static int connect_tcp(const struct link_request *request, int64_t deadline) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    char port[8];
    int one = 1, error = 0;
    socklen_t len = sizeof error;
    snprintf(port, sizeof port, "%u", request->port);
    if (getaddrinfo(request->host, port, &hints, &found) != 0)
        return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && (connect(fd, found->ai_addr, found->ai_addrlen) == 0 || errno == EINPROGRESS) &&
                wait_for(fd, POLLOUT, request->gone_fd, deadline) &&
                getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
    freeaddrinfo(found);
    if (good) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

/* The module's own way: first the CA by its identifier, then the chain. */
static int verify(X509_STORE_CTX *ctx, void *argument) {
    struct verification *v = argument;
    const struct link_request *r = v->request;
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
    X509 *ca = store_find(r->store, leaf, X509_STORE_CTX_get0_untrusted(ctx));
    if (ca == NULL) {
        /* An identifier that fits nothing has a number of its own; where there is none at all it does not. */
        v->error = store_ids(r->store) > 0 ? LINK_CERTIFICATE_UNKNOWN : 0;
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED); /* bad_certificate(42), as in the story */
        return 0;
    }
    for (size_t i = 0; i < r->store->count; i++)
        if (r->store->cas[i].certificate == ca)
            r->loading(r->context, i + 1, r->store->count);
    STACK_OF(X509) *trusted = sk_X509_new_null();
    if (trusted == NULL || sk_X509_push(trusted, ca) == 0) {
        sk_X509_free(trusted);
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_OUT_OF_MEM);
        return 0;
    }
    X509_STORE_CTX_set0_trusted_stack(ctx, trusted);
    X509_VERIFY_PARAM_set_time(param, r->now);
    X509_VERIFY_PARAM_set_auth_level(param, 0);
    if (r->crl_wanted)
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK);
    struct in_addr ip;
    if (r->name[0] != '\0' && inet_pton(AF_INET, r->name, &ip) == 1)
        X509_VERIFY_PARAM_set1_ip_asc(param, r->name);
    else if (r->name[0] != '\0')
        X509_VERIFY_PARAM_set1_host(param, r->name, 0);
    int good = X509_verify_cert(ctx);
    v->error = good == 1 ? 0 : X509_STORE_CTX_get_error(ctx);
    if (v->error == LINK_CERTIFICATE_UNKNOWN)
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED); /* the same number, the same alert */
    sk_X509_free(trusted);
    return good == 1;
}

static bool prepare(struct link *link, const struct link_request *request, struct verification *v) {
    const struct store *store = request->store;
    struct in_addr ip;
    link->ctx = SSL_CTX_new(TLS_client_method());
    if (link->ctx == NULL)
        return false;
    SSL_CTX_set_options(link->ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_verify(link->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(link->ctx, verify, v);
    if (SSL_CTX_set_min_proto_version(link->ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(link->ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(link->ctx, SUITES) != 1 || SSL_CTX_set1_groups_list(link->ctx, GROUPS) != 1 ||
        SSL_CTX_set1_sigalgs_list(link->ctx, SIGALGS) != 1)
        return false;
    if (store->own != NULL && store->key != NULL) {
        if (SSL_CTX_use_certificate(link->ctx, store->own) != 1 ||
            SSL_CTX_use_PrivateKey(link->ctx, store->key) != 1)
            return false; /* a key that does not fit */
        for (int i = 0; i < sk_X509_num(store->rest); i++)
            if (SSL_CTX_add1_chain_cert(link->ctx, sk_X509_value(store->rest, i)) != 1)
                return false;
    }
    link->ssl = SSL_new(link->ctx);
    if (link->ssl == NULL || SSL_set_fd(link->ssl, link->fd) != 1)
        return false;
    if (request->name[0] != '\0' && inet_pton(AF_INET, request->name, &ip) != 1)
        return SSL_set_tlsext_host_name(link->ssl, request->name) == 1;
    return true;
}

/* Runs an OpenSSL call until it is done or the deadline is there. */
static bool again(const struct link *link, int rc, int gone_fd, int64_t deadline) {
    switch (SSL_get_error(link->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(link->fd, POLLIN, gone_fd, deadline);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(link->fd, POLLOUT, gone_fd, deadline);
    default:
        return false;
    }
}

int link_open(struct link *link, const struct link_request *request, int *certificate) {
    struct verification v = {.request = request};
    int64_t deadline = now_ms() + request->timeout_ms;
    *certificate = 0;
    *link = (struct link){.fd = connect_tcp(request, deadline)};
    if (link->fd < 0)
        return -1;
    if (!request->tls)
        return 0;
    int rc = -1;
    if (prepare(link, request, &v)) {
        do {
            ERR_clear_error();
            rc = SSL_connect(link->ssl);
        } while (rc != 1 && again(link, rc, request->gone_fd, deadline));
    }
    if (rc == 1) {
        SSL_CTX_set_cert_verify_callback(link->ctx, NULL, NULL); /* `v` ends here; nothing renegotiates */
        SSL_set_options(link->ssl, SSL_OP_NO_RENEGOTIATION);
        return 0;
    }
    *certificate = v.error;
    link_close(link);
    return -1;
}

int link_write(struct link *link, const void *data, size_t len, int timeout_ms) {
    const uint8_t *at = data;
    size_t left = len;
    int64_t deadline = now_ms() + timeout_ms;
    while (left > 0 && link->fd >= 0) {
        ssize_t n;
        if (link->ssl != NULL) {
            ERR_clear_error();
            n = SSL_write(link->ssl, at, (int)left);
            if (n <= 0 && !again(link, (int)n, -1, deadline))
                return -1;
        } else {
            n = send(link->fd, at, left, MSG_NOSIGNAL);
            if (n < 0 && errno != EINTR && (errno != EAGAIN || !wait_for(link->fd, POLLOUT, -1, deadline)))
                return -1;
        }
        if (n > 0) {
            at += n;
            left -= (size_t)n;
        }
    }
    return left == 0 ? (int)len : -1;
}

size_t link_read(struct link *link, void *data, size_t cap) {
    if (link->fd < 0 || link->ended || cap == 0)
        return 0;
    if (link->ssl == NULL) {
        ssize_t n = recv(link->fd, data, cap, 0);
        if (n > 0)
            return (size_t)n;
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            link->ended = true;
        return 0;
    }
    ERR_clear_error();
    int n = SSL_read(link->ssl, data, (int)(cap < 16384 ? cap : 16384));
    if (n > 0)
        return (size_t)n;
    int why = SSL_get_error(link->ssl, n);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        link->ended = true;
    return 0;
}

void link_close(struct link *link) {
    if (link->ssl != NULL && SSL_is_init_finished(link->ssl) == 1) {
        ERR_clear_error();
        (void)SSL_shutdown(link->ssl);
    }
    SSL_free(link->ssl);
    SSL_CTX_free(link->ctx);
    if (link->fd >= 0) {
        char sink[512];
        int64_t deadline = now_ms() + 500;
        /* Unread bytes would turn the close into a reset. */
        if (shutdown(link->fd, SHUT_WR) == 0)
            while (!link->ended && wait_for(link->fd, POLLIN, -1, deadline) &&
                   recv(link->fd, sink, sizeof sink, 0) > 0) {
            }
        close(link->fd);
    }
    *link = (struct link){.fd = -1};
}
