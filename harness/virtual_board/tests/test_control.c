/* Control lines: each verb, and what is refused. */
#include "control.h"
#include "fault.h"
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char reply[HIL_REPLY_MAX];
static size_t saved;

static void describe(void *self, char *text, size_t size) {
    (void)self;
    (void)snprintf(text, size, " extra=1");
}

static int save(void *self, const char *path, const uint8_t *data, size_t n) {
    (void)self;
    saved = n;
    return strcmp(path, "/full") == 0 ? ENOSPC : data[0] == 0xFF ? 0 : EIO;
}

static const char *ask(struct hil_control *control, const char *line) {
    hil_control_line(control, line, strlen(line), reply);
    CHECK(reply[strlen(reply) - 1] == '\n');
    return reply;
}

static bool begins(const char *text, const char *head) {
    if (strncmp(text, head, strlen(head)) == 0) {
        return true;
    }
    fprintf(stderr, "%s", text);
    return false;
}

int main(void) {
    struct hil_control control = {new_board("stm32f405"), NULL, describe, save};
    struct hil_board *board = control.board;
    CHECK(begins(ask(&control, "status"), "OK part=stm32f405 power=on core=lockup boots=0 resets=1 "));
    CHECK(strstr(reply, " armed=- extra=1\n") != NULL);
    CHECK(begins(ask(&control, "power off"), "OK power=off\n"));
    CHECK(!board->powered);
    CHECK(begins(ask(&control, "power on"), "OK power=on\n"));
    CHECK(begins(ask(&control, "power cycle"), "OK power=on\n"));
    EQUAL(board->power_cycles, 1);
    CHECK(begins(ask(&control, "power up"), "ERR "));
    uint64_t resets = board->resets;
    CHECK(begins(ask(&control, "reset"), "OK\n"));
    EQUAL(board->resets, resets + 1);
    CHECK(begins(ask(&control, "fault lost-mid-write 5"), "OK lost_mid_write armed\n"));
    CHECK(strstr(ask(&control, "status"), " armed=lost_mid_write ") != NULL);
    EQUAL(board->pending[0].at, 5);
    CHECK(begins(ask(&control, "fault wrong_device_id 0x10006999"), "OK wrong_device_id in force\n"));
    EQUAL(board->effects.device_id, 0x10006999);
    CHECK(begins(ask(&control, "clear"), "OK\n"));
    EQUAL(board->effects.device_id, 0);
    CHECK(strstr(ask(&control, "status"), " armed=- ") != NULL);
    CHECK(begins(ask(&control, "fault ap_fault_at_connect"), "OK "));
    CHECK(begins(ask(&control, "heal power"), "OK heal=power\n"));
    CHECK(begins(ask(&control, "reset"), "OK\n"));
    CHECK(board->effects.ap_fault);
    CHECK(begins(ask(&control, "power cycle"), "OK power=on\n"));
    CHECK(!board->effects.ap_fault);
    CHECK(begins(ask(&control, "fault lockup"), "OK "));
    CHECK(begins(ask(&control, "heal reset"), "OK heal=reset\n"));
    CHECK(begins(ask(&control, "reset"), "OK\n"));
    CHECK(!board->effects.lockup);
    CHECK(begins(ask(&control, "heal time"), "ERR "));
    CHECK(begins(ask(&control, "fault gremlins"), "ERR there is no such fault"));
    CHECK(begins(ask(&control, "fault wrperr x"), "ERR "));
    CHECK(begins(ask(&control, "fault wrperr 1 2"), "ERR "));
    CHECK(begins(ask(&control, "fault wrperr 99999999999"), "ERR "));
    CHECK(begins(ask(&control, "faults"), "OK 3"));
    for (size_t i = 0; hil_fault_at(i) != NULL; i++) {
        CHECK(strstr(reply, hil_fault_at(i)->name) != NULL);
    }
    /* SHA-256 of one byte 0xFF, and of nothing */
    CHECK(begins(ask(&control, "sha256 0x08000000 1"),
                 "OK a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89\n"));
    CHECK(begins(ask(&control, "sha256 134217728 0"),
                 "OK e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"));
    CHECK(begins(ask(&control, "sha256 0x08000000 0x100001"), "ERR "));
    CHECK(begins(ask(&control, "sha256 0x080FFFFF 2"), "ERR "));
    CHECK(begins(ask(&control, "sha256 0x40023C00 4"), "ERR "));
    CHECK(begins(ask(&control, "read 0x08000000 0x100000 /some where/flash"), "OK 1048576\n"));
    EQUAL(saved, 1048576);
    CHECK(begins(ask(&control, "read 0x08000000 4 /full"), "ERR the file: "));
    CHECK(begins(ask(&control, "read 0x08000000 4"), "ERR "));
    CHECK(begins(ask(&control, "log"), "OK "));
    CHECK(strstr(reply, "power on\n") != NULL);
    for (int i = 0; i < 1000; i++) {
        hil_board_log(board, "%0200d", i);
    }
    CHECK(begins(ask(&control, "log"), "OK 128\n")); /* bounded */
    CHECK(begins(ask(&control, ""), "ERR "));
    CHECK(begins(ask(&control, "status now"), "ERR "));
    CHECK(begins(ask(&control, "reset\x01"), "ERR "));
    hil_control_line(&control, "status\0x", 8, reply);
    CHECK(begins(reply, "ERR "));
    static char lengthy[HIL_LINE_MAX + 1];
    memset(lengthy, 'a', HIL_LINE_MAX);
    CHECK(begins(ask(&control, lengthy), "ERR "));
    free(board);
    return failures();
}
