/* Self-test of a CMSDK board: each `SET test <name>` does one thing to it.
 *
 * null, code, stack: a write through NULL, into code, a recursion without end; each must fault at once.
 * hang: a loop that does not kick the watchdog. leave: main returns. lockup, hardfault: as the client's
 * defects. name:<host>: resolves and connects to port 1; `name` event. fetch:<port>: connects to the gateway,
 * sends one byte, reads until the end; `fetch` event. close:<port>: connects and closes at once with RST;
 * `fetch` event.
 */
#include <stdlib.h>
#include <string.h>

#include "board_config.h"
#include "hil/board.h"
#include "hil/net.h"
#include "hil/service.h"
#include "hil/shim.h"

#define WAIT_MS 10000u

static const char *pending; /* what to do once the command is answered */
static char argument[128];

static const char *set(void *ctx, const char *key, const char *value) {
    (void)ctx;
    if (strcmp(key, "test") != 0 || strlen(value) >= sizeof argument) {
        return "unknown_key";
    }
    strcpy(argument, value);
    pending = argument;
    return NULL;
}

static uint8_t *put(void *ctx, const char *name, size_t len, const char **reason) {
    (void)ctx;
    (void)name;
    (void)len;
    *reason = "unknown_name";
    return NULL;
}

static void put_done(void *ctx, const char *name, size_t len) {
    (void)ctx;
    (void)name;
    (void)len;
}

__attribute__((noinline)) static void write_to(volatile uint32_t *where) {
    __asm volatile("" : "+r"(where)); /* or the compiler sees what we are about to do */
    *where = 0xDEADBEEFu;             // cppcheck-suppress ctunullpointer
}

/* Each call leaves a frame, for longer than there is memory. */
static uint32_t dig(volatile uint32_t *above) {
    volatile uint32_t frame[64];
    frame[0] = *above + 1u;
    return frame[0] == 0 ? 0 : dig(frame) + frame[0];
}

static int network(void) {
    int rc = hil_net_up(WAIT_MS);
    hil_event("net", "rc=%d ip=%s", rc, hil_net_address());
    return rc;
}

static void fetch(const char *peer, int close_at_once) {
    const char *at = strchr(peer, '@');
    static uint8_t buffer[3000];
    uint32_t bytes = 0;
    uint32_t crc = 0;
    uint32_t start = hil_board_ms();
    if (network() != HIL_NET_OK) {
        return;
    }
    int rc = hil_net_connect("", at != NULL ? at + 1 : HIL_IP_GATEWAY, (uint16_t)atoi(peer), WAIT_MS);
    if (rc == HIL_NET_OK && !close_at_once && (rc = hil_net_send("?", 1, WAIT_MS)) == 1) {
        while ((rc = hil_net_recv(buffer, sizeof buffer, WAIT_MS)) > 0) {
            bytes += (uint32_t)rc;
            crc = hil_crc32(crc, buffer, (size_t)rc);
        }
    }
    hil_net_close(close_at_once);
    hil_event("fetch", "rc=%d detail=%d bytes=%lu crc32=%08lx elapsed=%lu", rc, hil_net_detail(),
              (unsigned long)bytes, (unsigned long)crc, (unsigned long)(hil_board_ms() - start));
}

static int act(const char *what) {
    volatile uint32_t bottom = 0;
    if (strcmp(what, "null") == 0) {
        write_to(NULL);
    } else if (strcmp(what, "code") == 0) {
        write_to((volatile uint32_t *)((uintptr_t)&act & ~(uintptr_t)3u));
    } else if (strcmp(what, "stack") == 0) {
        (void)dig(&bottom);
    } else if (strcmp(what, "hang") == 0) {
        for (volatile uint32_t i = 0;; i = i + 1u) {
        }
    } else if (strcmp(what, "leave") == 0) {
        return 0;
    } else if (strcmp(what, "lockup") == 0) {
        hil_board_lockup();
    } else if (strcmp(what, "hardfault") == 0) {
        hil_board_hardfault();
    } else if (strncmp(what, "name:", 5) == 0 && network() == HIL_NET_OK) {
        int rc = hil_net_connect(what + 5, "", 1, WAIT_MS);
        hil_event("name", "rc=%d detail=%d", rc, hil_net_detail());
    } else if (strncmp(what, "fetch:", 6) == 0) {
        fetch(what + 6, 0);
    } else if (strncmp(what, "close:", 6) == 0) {
        fetch(what + 6, 1);
    }
    return 1;
}

void hil_heartbeat(void) {
    hil_board_watchdog_kick();
}

int main(void) {
    static const char *const RESETS[] = {"power", "pin", "software", "watchdog"};
    static const struct hil_commands COMMANDS = {.set = set, .put = put, .put_done = put_done};
    if (hil_board_init() != 0) {
        return 1;
    }
    hil_shim_init();
    hil_event("boot", "build=selftest board=%s reset=%s", hil_board_name(), RESETS[hil_board_reset_cause()]);
    hil_event("ready", NULL);
    for (;;) {
        (void)hil_command_poll(&COMMANDS, 10);
        if (pending != NULL) {
            pending = NULL;
            if (!act(argument)) {
                return 0;
            }
        }
    }
}
