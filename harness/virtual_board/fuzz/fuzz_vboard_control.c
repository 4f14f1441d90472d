/* Control lines, one after another on one board; each must get exactly the lines its answer announces. */
#include "control.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int save(void *self, const char *path, const uint8_t *data, size_t n) {
    uint32_t *sum = self;
    for (size_t i = 0; i < n; i += 997) {
        *sum += data[i];
    }
    return path[0] == '/' ? 0 : 2;
}

static void judge(const char *line, size_t n, const char *reply) {
    size_t lines = 0;
    for (const char *c = reply; *c != '\0'; c++) {
        lines += *c == '\n';
        if ((unsigned char)*c < 0x20 && *c != '\n') {
            abort();
        }
    }
    while (n > 0 && *line == ' ') {
        line++;
        n--;
    }
    bool list = (n >= 3 && memcmp(line, "log", 3) == 0) || (n >= 6 && memcmp(line, "faults", 6) == 0);
    size_t wanted = list && strncmp(reply, "OK ", 3) == 0 ? strtoul(reply + 3, NULL, 10) + 1 : 1;
    if ((strncmp(reply, "OK", 2) != 0 && strncmp(reply, "ERR ", 4) != 0) || lines != wanted ||
        reply[strlen(reply) - 1] != '\n') {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static struct hil_board board;
    static char reply[HIL_REPLY_MAX];
    uint32_t sum = 0;
    if (n < 1 || n > 4096) {
        return 0;
    }
    hil_board_init(&board, hil_part_at(p[0] & 3));
    hil_board_power(&board, true);
    struct hil_control control = {&board, &sum, NULL, save};
    for (size_t at = 1; at < n;) {
        const uint8_t *end = memchr(p + at, '\n', n - at);
        size_t length = end != NULL ? (size_t)(end - (p + at)) : n - at;
        char *exact = malloc(length > 0 ? length : 1);
        if (exact == NULL) {
            abort();
        }
        memcpy(exact, p + at, length);
        hil_control_line(&control, exact, length, reply);
        judge(exact, length, reply);
        free(exact);
        at += length + 1;
    }
    return 0;
}
