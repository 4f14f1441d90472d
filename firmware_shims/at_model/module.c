/* The module's console: lines in, answers out. */
#include "module.h"

#include "command.h"
#include "store.h"
#include "tls.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES  400u
#define DATA_MS     5000  /* for the bytes behind a command */
#define CONNECT_MS  20000 /* TCP and TLS together */
#define WRITE_MS    10000
#define SOCKET      0 /* the one socket's number */
#define BUFFER      16384u
#define ERROR_OPEN  74
#define ERROR_WRITE 46  /* this number, and those below, are ours: ST's table was not at hand */
#define ERROR_ARGS  2   /* missing or bad argument */
#define ERROR_WHAT  1   /* command not found */
#define ERROR_CERT  111 /* request failed */

struct module {
    int host;
    struct store store;
    struct link link;
    time_t epoch; /* clock = epoch + time since `set` */
    time_t set;
    bool crl_wanted;
    char line[LINE_BYTES];
    size_t line_len;
    bool overlong;
    uint8_t data[AT_DATA_MAX];
    uint8_t buffer[BUFFER]; /* received, not fetched yet */
    size_t buffered;
    bool told; /* that the peer closed */
};

static time_t monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static time_t clock_of(const struct module *m) {
    return m->epoch + (monotonic() - m->set);
}

/* --- towards the host --- */

static void out(const struct module *m, const void *data, size_t len) {
    const char *at = data;
    while (len > 0) {
        ssize_t n = write(m->host, at, len);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd fd = {.fd = m->host, .events = POLLOUT};
            if (poll(&fd, 1, WRITE_MS) <= 0)
                return; /* nobody reads: the main loop sees the end */
        } else if (n == 0 || errno != EINTR) {
            return;
        }
    }
}

__attribute__((format(printf, 2, 3))) static void say(const struct module *m, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    /* With several files at once, clang-tidy 14 does not see va_start. */
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    int len = vsnprintf(text, sizeof text - 2, format, args);
    va_end(args);
    if (len < 0)
        return;
    size_t at = (size_t)len < sizeof text - 2 ? (size_t)len : sizeof text - 3;
    text[at++] = '\r';
    text[at++] = '\n';
    out(m, text, at);
}

static void ok(const struct module *m) {
    say(m, "AT-S.OK");
}

static void error(const struct module *m, int number, const char *what) {
    say(m, "AT-S.ERROR:%d:%s", number, what);
}

/* --- from the host --- */

/* Bytes within the deadline: how many came, -1 when the host is gone. */
static ssize_t in(const struct module *m, void *data, size_t cap, int timeout_ms) {
    struct pollfd fd = {.fd = m->host, .events = POLLIN};
    int rc = poll(&fd, 1, timeout_ms);
    if (rc <= 0)
        return rc == 0 || errno == EINTR ? 0 : -1;
    ssize_t n = read(m->host, data, cap);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return n > 0 ? n : -1;
}

/* All bytes behind a command: 1, 0 when they do not come, -1 when the host is gone. */
static int collect(struct module *m, size_t len) {
    int64_t deadline = now_ms() + DATA_MS;
    for (size_t at = 0; at < len;) {
        int64_t left = deadline - now_ms();
        if (left <= 0)
            return 0;
        ssize_t n = in(m, m->data + at, len - at, (int)left);
        if (n < 0)
            return -1;
        at += (size_t)n;
    }
    return 1;
}

/* --- the commands --- */

static void show_time(const struct module *m) {
    time_t now = clock_of(m);
    struct tm tm;
    if (gmtime_r(&now, &tm) == NULL)
        return;
    say(m, "AT-S.Date:%02d.%02d.%02d:00", tm.tm_year % 100, tm.tm_mon + 1, tm.tm_mday);
    say(m, "AT-S.Time:%02d.%02d.%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void on_loading(void *context, size_t number, size_t of) {
    const struct module *m = context;
    say(m, "AT-S.Loading:%zu:%zu", number, of);
}

static void open_socket(struct module *m, const struct at_command *c) {
    int certificate = 0;
    link_close(&m->link);
    m->buffered = 0;
    m->told = false;
    const struct link_request request = {
        .host = c->host,
        .name = c->name[0] != '\0' ? c->name : m->store.domain,
        .port = c->port,
        .tls = c->socket == 's',
        .crl_wanted = m->crl_wanted,
        .now = clock_of(m),
        .store = &m->store,
        .loading = on_loading,
        .context = m,
        .gone_fd = m->host,
        .timeout_ms = CONNECT_MS,
    };
    if (link_open(&m->link, &request, &certificate) == 0) {
        say(m, "AT-S.On:%s:%d", c->host, SOCKET);
        ok(m);
        return;
    }
    if (certificate != 0)
        say(m, "AT-S.Certificate Error:%d", certificate);
    error(m, ERROR_OPEN, "Failed to open socket");
}

static void read_socket(struct module *m, size_t wanted) {
    size_t n = wanted < m->buffered ? wanted : m->buffered;
    say(m, "AT-S.Reading:%zu:%zu", n, wanted);
    out(m, m->buffer, n);
    m->buffered -= n;
    memmove(m->buffer, m->buffer + n, m->buffered);
    ok(m);
}

static void add_ca(struct module *m, size_t len) {
    bool key_id = false;
    if (!store_add_ca(&m->store, m->data, len, &key_id)) {
        error(m, ERROR_CERT, "Request failed");
        return;
    }
    if (!key_id)
        say(m, "AT-S.No SubjectKeyId");
    ok(m);
}

static void done(const struct module *m, bool good, int number, const char *what) {
    if (good)
        ok(m);
    else
        error(m, number, what);
}

static void list(const struct module *m) {
    say(m, "AT-S.List");
    say(m, "AT-S.CA:%zu", m->store.count);
    say(m, "AT-S.Cert:%d", m->store.own != NULL ? 1 : 0);
    say(m, "AT-S.Key:%d", m->store.key != NULL ? 1 : 0);
    say(m, "AT-S.Id:%zu", store_ids(&m->store));
    ok(m);
}

static bool set_domain(struct module *m, size_t len) {
    if (len >= sizeof m->store.domain || memchr(m->data, '\0', len) != NULL)
        return false;
    memcpy(m->store.domain, m->data, len);
    m->store.domain[len] = '\0';
    return true;
}

static void execute(struct module *m, const struct at_command *c) {
    bool socket = c->kind >= AT_SOCK_WRITE && c->kind <= AT_SOCK_CLOSE;
    if (socket && (c->number != SOCKET || (m->link.fd < 0 && m->buffered == 0))) {
        error(m, ERROR_ARGS, "Wrong socket");
        return;
    }
    switch (c->kind) {
    case AT_EMPTY:
        ok(m);
        break;
    case AT_TIME_SET:
        m->epoch = (time_t)c->number;
        m->set = monotonic();
        ok(m);
        break;
    case AT_TIME_GET:
        show_time(m);
        ok(m);
        break;
    case AT_CONFIG_CRL:
        m->crl_wanted = c->number == 1;
        ok(m);
        break;
    case AT_CERT_CLEAN:
        store_clean(&m->store);
        say(m, "AT-S.Clean");
        ok(m);
        break;
    case AT_CERT_LIST:
        list(m);
        break;
    case AT_CERT_CA:
        add_ca(m, c->length);
        break;
    case AT_CERT_CERT:
        done(m, store_set_own(&m->store, m->data, c->length), ERROR_CERT, "Request failed");
        break;
    case AT_CERT_KEY: {
        int bad = store_set_key(&m->store, m->data, c->length);
        done(m, bad == 0, ERROR_CERT, bad == 2 ? "Key does not fit certificate" : "Request failed");
        break;
    }
    case AT_CERT_AUTH:
        done(m, store_set_id(&m->store, m->data, c->length), ERROR_CERT, "Request failed");
        break;
    case AT_CERT_DOMAIN:
        done(m, set_domain(m, c->length), ERROR_CERT, "Request failed");
        break;
    case AT_SOCK_ON:
        open_socket(m, c);
        break;
    case AT_SOCK_WRITE:
        done(m, link_write(&m->link, m->data, c->length, WRITE_MS) >= 0, ERROR_WRITE, "Write failed");
        break;
    case AT_SOCK_READ:
        read_socket(m, c->length);
        break;
    case AT_SOCK_QUERY:
        say(m, "AT-S.Query:%zu", m->buffered);
        ok(m);
        break;
    case AT_SOCK_CLOSE:
        link_close(&m->link);
        m->buffered = 0;
        ok(m);
        break;
    case AT_BAD:
        error(m, ERROR_ARGS, "Missing or bad argument(s)");
        break;
    case AT_UNKNOWN:
        error(m, ERROR_WHAT, "Command not found");
        break;
    }
}

/* A whole line. False when the host is gone. */
static bool on_line(struct module *m) {
    struct at_command command;
    at_command_parse(m->line, m->overlong ? 0 : m->line_len, &command);
    say(m, "%.*s", (int)m->line_len, m->line); /* echo */
    m->line_len = 0;
    m->overlong = false;
    int got = command.has_data ? collect(m, command.length) : 1;
    if (got < 0)
        return false;
    if (got == 0)
        error(m, ERROR_ARGS, "Missing data");
    else
        execute(m, &command);
    return true;
}

static bool on_host(struct module *m) {
    /* One at a time: what follows the line may be data. */
    for (;;) {
        char c;
        ssize_t n = in(m, &c, 1, 0);
        if (n <= 0)
            return n == 0;
        if (c == '\r') {
            if (!on_line(m))
                return false;
        } else if (c != '\n' || m->line_len > 0) {
            if (m->line_len < sizeof m->line)
                m->line[m->line_len++] = c;
            else
                m->overlong = true;
        }
    }
}

static void on_network(struct module *m) {
    size_t before = m->buffered, n;
    while ((n = link_read(&m->link, m->buffer + m->buffered, sizeof m->buffer - m->buffered)) > 0)
        m->buffered += n;
    if (m->buffered > before)
        say(m, "+WIND:55:Pending Data:%d:%zu", SOCKET, m->buffered);
    if (m->link.ended && !m->told) {
        m->told = true;
        say(m, "+WIND:58:Socket Closed:%d", SOCKET);
    }
}

void at_module_run(int fd) {
    static struct module m;
    m = (struct module){.host = fd, .link = {.fd = -1}, .set = monotonic()};
    /* No configuration file of the host's OpenSSL: the module has none. */
    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    say(&m, "+WIND:1:Poweron:170914-SPWF04S");
    say(&m, "+WIND:0:Console active");
    say(&m, "+WIND:24:WiFi Up:0:127.0.0.1");
    for (;;) {
        bool room = m.buffered < sizeof m.buffer, listening = m.link.fd >= 0 && !m.link.ended && room;
        struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
                                {.fd = listening ? m.link.fd : -1, .events = POLLIN}};
        bool waiting = listening && m.link.ssl != NULL && SSL_pending(m.link.ssl) > 0;
        int rc = poll(fds, 2, waiting ? 0 : -1);
        if (rc < 0 && errno != EINTR)
            break;
        if (rc > 0 && fds[0].revents != 0 && !on_host(&m))
            break;
        if (waiting || (rc > 0 && fds[1].revents != 0))
            on_network(&m);
    }
    link_close(&m.link);
    store_clean(&m.store);
}
