/* One connection, plain or TLS; see link.h. */
#include "link.h"

#include "hil/board.h"
#include "hil/net.h"
#include "hil/service.h"
#include "hil/shim.h"
#include "hil/tls.h"
#include "settings.h"

#include <string.h>

#define TICK_MS       1000u
#define FLOOD_LINES   8    /* at each service */
#define FLOOD_CONNECT 1500 /* at each connection: short scenarios are flooded too */

struct hil_outcome hil_outcome = {"script", 0, false};

static enum { DOWN, PLAIN, SECURE } up;
static bool running;
static const char *state = "wait";
static uint32_t last_tick;

int hil_fail(const char *stage, long rc, bool lost) {
    hil_outcome = (struct hil_outcome){stage, rc, lost};
    return -1;
}

void hil_link_state(const char *name) {
    state = name;
}

void hil_link_running(bool is_running) {
    running = is_running;
    last_tick = hil_board_ms();
}

bool hil_link_up(void) {
    return up != DOWN;
}

void hil_link_log(const char *text) {
    if (hil_settings.uart_log != 0) {
        hil_board_uart_write("I (app) ", 8);
        hil_board_uart_write(text, strlen(text));
        hil_board_uart_write("\r\n", 2);
    }
}

static void flood(int lines) {
    static const char LINE[] = "W (9999) wifi: bcn_timeout\r\n";
    for (int i = 0; i < lines && hil_defect_on(HIL_DEFECT_UART_FLOOD); i++) {
        hil_board_watchdog_kick();
        hil_board_uart_write(LINE, sizeof LINE - 1);
    }
}

void hil_heartbeat(void) {
    hil_board_watchdog_kick();
    if (running && hil_board_ms() - last_tick >= TICK_MS) {
        last_tick = hil_board_ms();
        hil_event("tick", "state=%s", state);
    }
}

void hil_service(void) {
    if (running)
        flood(FLOOD_LINES);
    hil_heartbeat();
}

static uint32_t slice(uint32_t left) {
    uint32_t most = hil_defect_on(HIL_DEFECT_UART_FLOOD) ? 20u : HIL_SERVICE_MS;
    return left < most ? left : most;
}

int hil_service_recv(void *data, size_t cap, uint32_t timeout_ms) {
    uint32_t start = hil_board_ms();
    for (;;) {
        uint32_t gone = hil_board_ms() - start;
        int rc = hil_net_recv(data, cap, slice(gone < timeout_ms ? timeout_ms - gone : 0));
        hil_service();
        if (rc != HIL_NET_TIMEOUT || hil_board_ms() - start >= timeout_ms)
            return rc;
    }
}

int hil_service_send(const void *data, size_t len, uint32_t timeout_ms) {
    int rc = hil_net_send(data, len, timeout_ms);
    hil_service();
    if ((rc == HIL_NET_RESET || rc == HIL_NET_CLOSED) && hil_net_readable() != 0)
        return (int)len;
    return rc;
}

void hil_service_sleep(uint32_t ms) {
    uint32_t start = hil_board_ms(), gone;
    while ((gone = hil_board_ms() - start) < ms) {
        hil_board_idle(slice(ms - gone));
        hil_service();
    }
}

/* The machine's own defects strike when the connection stands: late enough to leave a trace on the wire. */
static void machine_defects(void) {
    if (hil_defect_on(HIL_DEFECT_HARDFAULT))
        hil_board_hardfault();
    if (hil_defect_on(HIL_DEFECT_LOCKUP))
        hil_board_lockup();
    while (hil_defect_on(HIL_DEFECT_HANG)) {
        hil_board_watchdog_kick(); /* alive for the watchdog, dead for everyone else */
        hil_board_idle(HIL_SERVICE_MS);
    }
}

static void tls_event(const char *what, const struct hil_tls_result *r) {
    char alert[8] = "";
    if (r->alert >= 0) { /* three digits at most */
        size_t at = 0;
        if (r->alert >= 100)
            alert[at++] = (char)('0' + r->alert / 100 % 10);
        if (r->alert >= 10)
            alert[at++] = (char)('0' + r->alert / 10 % 10);
        alert[at] = (char)('0' + r->alert % 10);
    }
    hil_event("tls", "state=%s version=%s suite=%s rc=%d alert=%s flags=0x%lx resumed=%d", what,
              r->version != NULL ? r->version : "", r->suite != NULL ? r->suite : "", r->rc, alert,
              (unsigned long)r->verify_flags, r->resumed ? 1 : 0);
}

__attribute__((weak)) const char *hil_link_name(void) {
    return hil_settings.host;
}

static int open_tls(unsigned attempt) {
    const struct hil_settings *s = &hil_settings;
    struct hil_tls_config config = {
        .host = hil_link_name(),
        .address = s->address,
        .port = (uint16_t)s->port,
        .min_version = s->tls_min,
        .max_version = s->tls_max != 0 ? s->tls_max : s->tls_min,
        .ca = hil_settings_slot(hil_defect_on(HIL_DEFECT_WRONG_CA) ? HIL_SLOT_CA_ALT : HIL_SLOT_CA),
        .cert = hil_settings_slot(HIL_SLOT_CERT),
        .key = hil_settings_slot(hil_defect_on(HIL_DEFECT_KEY_MISMATCH) ? HIL_SLOT_KEY_ALT : HIL_SLOT_KEY),
        .suites = s->suites,
        .groups = s->groups,
        .sigalgs = s->sigalgs,
        .epoch = s->epoch,
        .epoch_ms = s->epoch_ms,
        .seed = s->seed,
        .resume = s->resume != 0,
        .defects = s->defects,
        .timeout_ms = s->timeout,
    };
    if (hil_defect_on(HIL_DEFECT_NO_CLIENT_CERT))
        config.cert = config.key = (struct hil_blob){NULL, 0};
    struct hil_tls_result result = {.alert = -1, .alert_sent = -1};
    int rc = hil_tls_open(&config, &result);
    if (hil_tls_opens_tcp() && result.tcp <= 0) {
        hil_event("tcp", "state=%s rc=%d attempt=%u detail=%d", result.tcp == 0 ? "connected" : "failed",
                  result.tcp, attempt, result.rc);
        if (result.tcp != 0)
            return hil_fail("tcp", result.rc, true);
    }
    tls_event(rc == 0 ? "ok" : "failed", &result);
    if (rc == 0)
        return 0;
    /* hil_tls_open has released the stack and said its alert; the session of a failed handshake is not kept.
     */
    hil_tls_close(false, true);
    return hil_fail("tls", result.rc, true);
}

__attribute__((weak)) bool hil_tls_opens_tcp(void) {
    return false;
}

/* A module that opens TCP and TLS in one. */
static int open_offloaded(unsigned attempt) {
    hil_link_state("tls");
    if (open_tls(attempt) != 0)
        return -1;
    up = SECURE;
    machine_defects();
    return 0;
}

int hil_link_open(unsigned attempt) {
    const struct hil_settings *s = &hil_settings;
    hil_link_state("tcp");
    hil_link_log("net: connecting");
    flood(FLOOD_CONNECT);
    if (s->tls_min != 0 && hil_tls_opens_tcp())
        return open_offloaded(attempt);
    int rc = hil_net_connect(s->host, s->address, (uint16_t)s->port, s->timeout);
    hil_event_api("hil_net_connect", rc, 0);
    if (rc != HIL_NET_OK) {
        hil_event("tcp", "state=failed rc=%d attempt=%u detail=%d", rc, attempt, hil_net_detail());
        return hil_fail(rc == HIL_NET_LINK ? "net" : "tcp", rc, true);
    }
    hil_event("tcp", "state=connected rc=0 attempt=%u", attempt);
    machine_defects();
    up = PLAIN;
    if (s->tls_min == 0)
        return 0;
    hil_link_state("tls");
    hil_link_log("tls: handshake");
    if (open_tls(attempt) == 0) {
        up = SECURE;
        return 0;
    }
    struct hil_outcome why = hil_outcome;
    hil_link_close(HIL_CLOSE_ORDERLY);
    hil_outcome = why;
    return -1;
}

/* The connection broke: says so, once, and releases it. */
static int broken(int rc, const struct hil_tls_result *result) {
    bool secure = up == SECURE;
    if (secure) {
        bool clean = rc == HIL_NET_CLOSED && result->alert <= 0;
        tls_event(clean ? "closed" : "failed", result);
        /* 1.2: answer close_notify; after a fatal alert the session must not be used again. */
        hil_tls_close(clean, result->alert > 0);
    }
    hil_event("tcp", "state=%s rc=%d", rc == HIL_NET_RESET ? "reset" : "closed", rc);
    hil_net_close(0);
    up = DOWN;
    hil_link_mark();
    return hil_fail(secure && result->alert > 0 ? "tls" : "tcp",
                    secure && result->rc != 0 ? (long)result->rc : (long)rc, true);
}

int hil_link_send(const void *data, size_t len) {
    struct hil_tls_result result = {.alert = -1, .alert_sent = -1};
    uint32_t timeout = hil_settings.timeout;
    if (up == DOWN)
        return hil_fail("tcp", HIL_NET_CLOSED, true);
    int rc = up == SECURE ? hil_tls_send(data, len, timeout, &result) : hil_service_send(data, len, timeout);
    return rc >= 0 ? 0 : broken(rc, &result);
}

int hil_link_recv(void *data, size_t cap, uint32_t timeout_ms) {
    struct hil_tls_result result = {.alert = -1, .alert_sent = -1};
    if (up == DOWN)
        return hil_fail("tcp", HIL_NET_CLOSED, true);
    int rc =
        up == SECURE ? hil_tls_recv(data, cap, timeout_ms, &result) : hil_service_recv(data, cap, timeout_ms);
    if (rc == HIL_NET_TIMEOUT)
        return 0;
    return rc > 0 ? rc : broken(rc, &result);
}

void hil_link_close(enum hil_close how) {
    if (up == DOWN)
        return;
    if (up == SECURE) {
        struct hil_tls_result result = {.alert = -1, .alert_sent = -1};
        hil_tls_close(how == HIL_CLOSE_ORDERLY, false);
        tls_event("closed", &result);
    }
    hil_net_close(how == HIL_CLOSE_ABORT);
    hil_event("tcp", "state=closed rc=0");
    up = DOWN;
    hil_link_mark();
}

void hil_link_mark(void) {
    size_t peak = 0, now = 0, stack = 0;
    hil_board_marks(&peak, &now, &stack);
    hil_event("mark", "heap=%lu heap_now=%lu stack=%lu", (unsigned long)peak, (unsigned long)now,
              (unsigned long)stack);
}
