/* Commands and answers; see hil/at.h. */
#include "hil/at.h"

#include "hil/board.h"
#include "hil/service.h"
#include "hil/shim.h"

#include <string.h>

#define LINE_BYTES 128u /* longer lines lose their end: none that counts is longer */
#define LATE_READS 16u  /* when time is over: what waits in the UART is taken, but not what goes on coming */

struct hil_at_reply hil_at_reply;
struct hil_at_state hil_at_state;

static char line[LINE_BYTES];
static size_t line_len;
static uint8_t rx[256];
static size_t rx_at, rx_len;

/* One wait, for a line or a whole answer. */
struct wait {
    uint32_t start, timeout_ms;
    unsigned late; /* reads since its time was over */
};

static struct wait wait_of(uint32_t timeout_ms) {
    return (struct wait){.start = hil_board_ms(), .timeout_ms = timeout_ms};
}

/* One byte, HIL_AT_TIMEOUT or HIL_AT_GONE. Services go on meanwhile. */
static int byte_within(struct wait *wait) {
    while (rx_at == rx_len) {
        uint32_t gone = hil_board_ms() - wait->start;
        uint32_t left = gone < wait->timeout_ms ? wait->timeout_ms - gone : 0;
        if (left == 0 && wait->late++ >= LATE_READS)
            return HIL_AT_TIMEOUT;
        int n = hil_at_uart_read(rx, sizeof rx, left < HIL_SERVICE_MS ? left : HIL_SERVICE_MS);
        hil_heartbeat();
        if (n < 0) {
            hil_at_state.up = false;
            return HIL_AT_GONE;
        }
        rx_at = 0;
        rx_len = (size_t)n;
        if (n == 0 && hil_board_ms() - wait->start >= wait->timeout_ms)
            return HIL_AT_TIMEOUT;
    }
    return rx[rx_at++];
}

/* The next line that is not empty, into `line`. What has come of it stays when time runs out. */
static int line_within(struct wait *wait) {
    static bool done;
    if (done)
        line_len = 0;
    done = false;
    for (;;) {
        int c = byte_within(wait);
        if (c < 0)
            return c;
        if (c == '\n' && line_len > 0) {
            done = true;
            return 0;
        }
        if (c != '\r' && c != '\n' && line_len < sizeof line)
            line[line_len++] = (char)c;
    }
}

static void show(const char *before, const char *text, size_t len) {
    hil_board_uart_write(before, strlen(before));
    for (size_t i = 0; i < len; i++) {
        char c = text[i] >= ' ' && text[i] < 127 ? text[i] : '.';
        hil_board_uart_write(&c, 1);
    }
    hil_board_uart_write("\r\n", 2);
}

/* What a line means beside the end of a command. */
static void take(const struct hil_at_answer *answer) {
    switch (answer->kind) {
    case HIL_AT_CERTIFICATE:
        hil_at_reply.certificate = (int)answer->a;
        hil_event_api("AT-S.Certificate_Error", (long)answer->a, 0);
        break;
    case HIL_AT_LOADING:
        hil_at_reply.loading = true;
        break;
    case HIL_AT_NO_KEY_ID:
        hil_at_reply.key_id_missing = true;
        break;
    case HIL_AT_ON:
        hil_at_reply.on = true;
        hil_at_reply.value = answer->a;
        break;
    case HIL_AT_QUERY:
    case HIL_AT_READING:
        hil_at_reply.value = answer->a;
        break;
    case HIL_AT_PENDING:
        hil_at_state.pending = true;
        break;
    case HIL_AT_CLOSED:
        hil_at_state.closed = true;
        break;
    case HIL_AT_WIFI_UP:
        if (answer->text_len > 0 && answer->text_len < sizeof hil_at_state.address) {
            memcpy(hil_at_state.address, answer->text, answer->text_len);
            hil_at_state.address[answer->text_len] = '\0';
            hil_at_state.up = true;
        }
        break;
    default:
        break;
    }
}

static int read_raw(const struct hil_at_command *command, struct wait *wait) {
    uint8_t *to = command->in;
    if (hil_at_reply.value > command->in_cap)
        return HIL_AT_TOO_LONG;
    for (uint32_t i = 0; i < hil_at_reply.value; i++) {
        int c = byte_within(wait);
        if (c < 0)
            return c;
        to[i] = (uint8_t)c;
    }
    hil_at_reply.read = hil_at_reply.value;
    return 0;
}

/* Up to the end of the command. */
static int finish(const struct hil_at_command *command, struct wait *wait) {
    for (;;) {
        struct hil_at_answer answer;
        int rc = line_within(wait);
        if (rc != 0)
            return rc;
        hil_at_parse(line, line_len, &answer);
        take(&answer);
        if (!command->quiet || answer.kind == HIL_AT_ERROR)
            show("", line, line_len);
        if (answer.kind == HIL_AT_READING && (rc = read_raw(command, wait)) != 0)
            return rc;
        if (answer.kind == HIL_AT_OK)
            return 0;
        if (answer.kind == HIL_AT_ERROR)
            return answer.a > 0 ? (int)answer.a : HIL_AT_GONE;
    }
}

int hil_at_run(const struct hil_at_command *command) {
    struct wait wait = wait_of(command->timeout_ms);
    hil_at_reply = (struct hil_at_reply){0};
    if (!hil_at_state.up)
        return HIL_AT_GONE;
    if (!command->quiet)
        show(">>UART TX buffer: ", command->line, strlen(command->line));
    int rc = HIL_AT_GONE;
    if (hil_at_uart_write(command->line, strlen(command->line)) == 0 && hil_at_uart_write("\r", 1) == 0 &&
        (command->len == 0 || hil_at_uart_write(command->data, command->len) == 0))
        rc = finish(command, &wait);
    if (rc < 0)
        hil_at_state.up = false;
    if (!command->quiet)
        show("", rc == 0 ? "<<OK" : "ERROR!", rc == 0 ? 4 : 6);
    if (!command->quiet || rc != 0)
        hil_event_api(command->line, rc, 0);
    return rc;
}

int hil_at_wait(uint32_t timeout_ms) {
    struct hil_at_answer answer;
    struct wait wait = wait_of(timeout_ms);
    for (;;) {
        int rc = line_within(&wait);
        if (rc != 0)
            return rc;
        hil_at_parse(line, line_len, &answer);
        take(&answer);
        if (answer.kind != HIL_AT_OTHER)
            return 0;
    }
}

int hil_at_start(uint32_t timeout_ms) {
    uint32_t start = hil_board_ms();
    hil_at_state = (struct hil_at_state){0};
    rx_at = rx_len = line_len = 0;
    if (hil_at_uart_reset() != 0)
        return HIL_AT_GONE;
    while (!hil_at_state.up) {
        uint32_t gone = hil_board_ms() - start;
        int rc = hil_at_wait(gone < timeout_ms ? timeout_ms - gone : 0);
        if (rc == 0 && gone >= timeout_ms && !hil_at_state.up)
            rc = HIL_AT_TIMEOUT; /* it talks, but not of Wi-Fi */
        if (rc != 0)
            return rc;
    }
    show(">>", "model number is SPWF04SA", 24);
    return 0;
}
