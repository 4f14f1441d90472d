/* What the script interpreter drives, as a recording: each call appends its name to stub_out. */
#include "hil/net.h"
#include "hil/service.h"
#include "hil/tls.h"
#include "link.h"
#include "session.h"
#include "stub_session.h"

#include "hil/board.h"

#include <string.h>

struct hil_outcome hil_outcome;
int stub_fail_connects, stub_fail_steps;
static bool up;

static void record(const char *what) {
    hil_board_uart_write(what, strlen(what));
    hil_board_uart_write(" ", 1);
}

int hil_fail(const char *stage, long rc, bool lost) {
    hil_outcome = (struct hil_outcome){stage, rc, lost};
    return -1;
}

void hil_link_state(const char *state) {
    (void)state;
}

void hil_link_running(bool running) {
    (void)running;
}

bool hil_link_up(void) {
    return up;
}

int hil_link_open(unsigned attempt) {
    (void)attempt;
    record("open");
    if (stub_fail_connects > 0) {
        stub_fail_connects--;
        return hil_fail("tcp", -4, true);
    }
    up = true;
    return 0;
}

void hil_link_close(enum hil_close how) {
    (void)how;
    up = false;
}

void hil_link_mark(void) {
}

void hil_service_sleep(uint32_t ms) {
    hil_board_idle(ms);
}

void hil_session_reset(void) {
}

int hil_session_connect(void) {
    return 0;
}

static int step(const char *name) {
    record(name);
    if (stub_fail_steps > 0) {
        stub_fail_steps--;
        up = false;
        return hil_fail("tcp", -2, true);
    }
    return 0;
}

int hil_session_subscribe(unsigned qos) {
    return step(qos == 0 ? "sub0" : qos == 1 ? "sub1" : "sub2");
}

int hil_session_unsubscribe(void) {
    return step("unsub");
}

int hil_session_publish(unsigned qos) {
    return step(qos == 0 ? "pub0" : qos == 1 ? "pub1" : "pub2");
}

int hil_session_ping(void) {
    return step("ping");
}

int hil_session_idle(uint32_t ms, bool until_message) {
    (void)ms;
    return step(until_message ? "recv" : "idle");
}

int hil_session_disconnect(void) {
    up = false;
    return step("disconnect");
}

int hil_session_bad_topic(struct hil_slice topic, int *rc) {
    *rc = hil_mqtt_check_topic(topic);
    return *rc < 0 ? 0 : hil_fail("script", 0, false);
}

uint32_t hil_tls_defects(void) {
    return HIL_DEFECT_NO_SNI;
}

int hil_net_up(uint32_t timeout_ms) {
    (void)timeout_ms;
    return HIL_NET_OK;
}

const char *hil_net_address(void) {
    return "192.0.2.1";
}
