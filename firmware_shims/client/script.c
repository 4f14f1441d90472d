/* The script interpreter. A step that fails because the connection is gone is tried again after a reconnect,
 * as long as the `reconnect` budget lasts; the budget and the back-off start anew when a step has been
 * completed.
 */
#include "script.h"

#include "format.h"
#include "hil/board.h"
#include "hil/net.h"
#include "hil/service.h"
#include "hil/shim.h"
#include "link.h"
#include "session.h"
#include "settings.h"

#include <string.h>

#define MAX_REPEATS     4
#define BAD_TOPIC_BYTES 200u
#define LEAST_GAP_MS    1000u

enum op { CONNECT, SUB, PUB, PING, IDLE, RECV, UNSUB, DISCONNECT, DROP, BADTOPIC, REPEAT };
static const struct {
    const char *name;
    enum op op;
    unsigned qos;
    bool has_argument;
} OPS[] = {
    {"connect", CONNECT, 0, false}, {"sub0", SUB, 0, false},         {"sub1", SUB, 1, false},
    {"sub2", SUB, 2, false},        {"pub0", PUB, 0, false},         {"pub1", PUB, 1, false},
    {"pub2", PUB, 2, false},        {"ping", PING, 0, false},        {"idle", IDLE, 0, true},
    {"recv", RECV, 0, true},        {"unsub", UNSUB, 0, false},      {"disconnect", DISCONNECT, 0, false},
    {"drop", DROP, 0, false},       {"badtopic", BADTOPIC, 0, true}, {"repeat", REPEAT, 0, true},
};

struct step {
    enum op op;
    unsigned qos;
    const char *argument; /* to the end of the step */
    size_t argument_len;
    uint32_t number;
    const char *name;
    size_t name_len;
};

static uint32_t tries; /* reconnects used since the last completed step */
static uint32_t jitter;
static unsigned attempt; /* connections of this run */

static bool parse_number(const char *text, size_t len, uint32_t *out) {
    uint32_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || value > 100000000u)
            return false;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *out = value;
    return len > 0;
}

/* badtopic:<hex>[x<times>]: the bytes, said to be there so many times. Returns the number of bytes, -1 when
 * ill-formed. */
static long parse_topic(const char *text, size_t len, uint8_t *out, uint32_t *times) {
    size_t digits = 0;
    while (digits < len && hil_hex_digit(text[digits]) >= 0)
        digits++;
    *times = 1;
    if (digits % 2 != 0 || digits / 2 > BAD_TOPIC_BYTES)
        return -1;
    if (digits < len && (text[digits] != 'x' || !parse_number(text + digits + 1, len - digits - 1, times)))
        return -1;
    for (size_t i = 0; i < digits / 2; i++)
        out[i] = (uint8_t)(hil_hex_digit(text[2 * i]) * 16 + hil_hex_digit(text[2 * i + 1]));
    return (long)(digits / 2);
}

/* Reads the step at *at and moves past it and its ';'. 1: a step; 0: the end; -1: not a step. */
static int next_step(const char **at, struct step *step) {
    uint8_t topic[BAD_TOPIC_BYTES];
    uint32_t times;
    *step = (struct step){.op = CONNECT};
    while (**at == ' ' || **at == ';')
        (*at)++;
    if (**at == '\0')
        return 0;
    size_t len = strcspn(*at, ";"), name = 0;
    step->name = *at;
    while (len > 0 && step->name[len - 1] == ' ')
        len--;
    while (name < len && step->name[name] != ':')
        name++;
    step->name_len = len;
    step->argument = step->name + (name < len ? name + 1 : len);
    step->argument_len = len - (size_t)(step->argument - step->name);
    *at += strcspn(*at, ";");
    for (size_t i = 0; i < sizeof OPS / sizeof *OPS; i++) {
        if (strlen(OPS[i].name) != name || memcmp(OPS[i].name, step->name, name) != 0)
            continue;
        if (OPS[i].has_argument != (name < len))
            return -1;
        step->op = OPS[i].op;
        step->qos = OPS[i].qos;
        if (step->op == BADTOPIC)
            return parse_topic(step->argument, step->argument_len, topic, &times) >= 0 ? 1 : -1;
        if (OPS[i].has_argument && !parse_number(step->argument, step->argument_len, &step->number))
            return -1;
        return 1;
    }
    return -1;
}

bool hil_script_valid(const char *script) {
    struct step step;
    int rc, repeats = 0;
    while ((rc = next_step(&script, &step)) == 1)
        if (step.op == REPEAT && (++repeats > MAX_REPEATS || step.number == 0))
            return false;
    return rc == 0;
}

/* Exponential with jitter: base · 2^n · (1 … 1.5), bounded by the cap. With the default base no gap is
 * shorter than one second, which brokers demand of their clients; whoever sets a smaller base gets it. */
static uint32_t backoff_ms(uint32_t n) {
    const struct hil_settings *s = &hil_settings;
    if (hil_defect_on(HIL_DEFECT_NO_BACKOFF))
        return 100;
    uint32_t base = s->backoff_base, random = 0;
    if (base >= LEAST_GAP_MS / 2 && base < LEAST_GAP_MS)
        base = LEAST_GAP_MS;
    uint32_t delay = base;
    while (n-- > 0 && delay < s->backoff_cap)
        delay *= 2;
    if (hil_board_entropy(&random, sizeof random) != 0) {
        /* No source: the seed and the moment, stirred. */
        jitter = jitter * 1664525u + 1013904223u + hil_board_ms();
        random = jitter >> 8;
    }
    if (delay > s->backoff_cap)
        delay = s->backoff_cap;
    return delay + random % (delay / 2 + 1);
}

/* One connection, TCP to CONNACK. */
static int connect_once(void) {
    attempt++;
    if (hil_link_open(attempt) != 0)
        return -1;
    if (hil_session_connect() == 0)
        return 0;
    struct hil_outcome why = hil_outcome;
    hil_link_close(HIL_CLOSE_ORDERLY);
    hil_outcome = why;
    return -1;
}

/* Waits and connects again until it works or the budget is gone. The last failure stays in hil_outcome. */
static int reconnect(void) {
    while (hil_outcome.lost && tries < hil_settings.reconnect) {
        uint32_t wait = backoff_ms(tries++);
        hil_link_state("backoff");
        hil_event("backoff", "ms=%lu try=%lu", (unsigned long)wait, (unsigned long)tries);
        hil_service_sleep(wait);
        if (connect_once() == 0)
            return 0;
    }
    return -1;
}

static int do_connect(void) {
    hil_link_close(HIL_CLOSE_ORDERLY); /* a script that connects twice */
    return connect_once() == 0 ? 0 : reconnect();
}

static int bad_topic(const struct step *step, int *rc) {
    uint8_t bytes[BAD_TOPIC_BYTES];
    uint32_t times = 1;
    long len = parse_topic(step->argument, step->argument_len, bytes, &times);
    /* More than 65535 bytes are refused before one is read, so they need not be there. */
    struct hil_slice topic = {bytes, (size_t)len * times};
    if (times > 1 && topic.len <= 65535) {
        *rc = HIL_MQTT_E_ARGUMENT;
        return hil_fail("script", HIL_MQTT_E_ARGUMENT, false);
    }
    return hil_session_bad_topic(topic, rc);
}

static int do_step(const struct step *step, int *rc) {
    switch (step->op) {
    case CONNECT:
        return do_connect();
    case SUB:
        return hil_session_subscribe(step->qos);
    case PUB:
        return hil_session_publish(step->qos);
    case PING:
        return hil_session_ping();
    case IDLE:
    case RECV:
        return hil_session_idle(step->number, step->op == RECV);
    case UNSUB:
        return hil_session_unsubscribe();
    case DISCONNECT:
        return hil_session_disconnect();
    case DROP:
        hil_link_close(HIL_CLOSE_ORDERLY);
        return 0;
    case BADTOPIC:
        return bad_topic(step, rc);
    default:
        return 0;
    }
}

static int run_step(const struct step *step, unsigned n) {
    char name[32];
    int detail = 0, rc = do_step(step, &detail);
    while (rc != 0 && step->op != CONNECT && hil_outcome.lost && tries < hil_settings.reconnect) {
        if ((rc = reconnect()) == 0)
            rc = step->op == DISCONNECT ? hil_session_disconnect() : do_step(step, &detail);
    }
    if (rc == 0 && step->op != CONNECT)
        tries = 0;
    size_t len = step->name_len < sizeof name ? step->name_len : sizeof name - 1;
    memcpy(name, step->name, len);
    name[len] = '\0';
    hil_event("step", "n=%u name=%s rc=%ld", n, name, rc != 0 ? hil_outcome.rc : (long)detail);
    return rc;
}

static int run_steps(void) {
    uint32_t passes[MAX_REPEATS] = {0};
    const char *at = hil_settings.script;
    struct step step;
    unsigned n = 0, repeat = 0;
    while (next_step(&at, &step) == 1) {
        if (step.op != REPEAT) {
            if (run_step(&step, n++) != 0)
                return -1;
            continue;
        }
        if (++passes[repeat] < step.number) {
            at = hil_settings.script;
            memset(passes, 0, repeat * sizeof *passes); /* inner repeats start anew */
            repeat = 0;
        } else {
            repeat++;
        }
    }
    return 0;
}

void hil_script_run(void) {
    hil_outcome = (struct hil_outcome){"script", 0, false};
    tries = 0;
    attempt = 0;
    memcpy(&jitter, hil_settings.seed, sizeof jitter);
    hil_session_reset();
    hil_link_running(true);
    hil_link_state("net");
    int rc = hil_net_up(hil_settings.timeout);
    if (rc == HIL_NET_OK) {
        hil_event("net", "state=up ip=%s", hil_net_address());
        rc = run_steps();
    } else {
        hil_event("net", "state=down rc=%d", rc);
        rc = hil_fail("net", rc, false);
    }
    struct hil_outcome why = hil_outcome;
    if (hil_link_up())
        (void)hil_session_disconnect();
    hil_link_mark();
    hil_link_running(false);
    if (rc == 0)
        hil_event("done", "result=ok stage=script rc=0");
    else
        hil_event("done", "result=failed stage=%s rc=%ld", why.stage, why.rc);
}
