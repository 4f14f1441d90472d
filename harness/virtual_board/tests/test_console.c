/* A console: bytes both ways, what happens when nobody reads, silence, noise. */
#include "console.h"
#include "wire.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t take(int fd, char *text, size_t size) {
    struct pollfd one = {fd, POLLIN, 0};
    size_t n = 0;
    while (n < size - 1 && poll(&one, 1, 100) > 0) {
        ssize_t got = read(fd, text + n, size - 1 - n);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
    }
    text[n] = '\0';
    return n;
}

int main(void) {
    static char big[20000], text[65536];
    char folder[] = "console-XXXXXX", link[64];
    struct hil_console console;
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(link, sizeof link, "%s/console", folder);
    EQUAL((uint64_t)hil_console_open(&console, link), 0);
    int reader = open(link, O_RDWR | O_NOCTTY | O_NONBLOCK);
    CHECK(reader >= 0);
    CHECK(write(reader, "lost", 4) == 4);
    hil_console_pump(&console, 1, false, false, false); /* nobody runs */
    int emulator = hil_console_plug(&console);
    CHECK(emulator >= 0);
    CHECK(write(emulator, "hello\n", 6) == 6);
    CHECK(write(reader, "\x03\r\n\xFF", 4) == 4);
    hil_console_pump(&console, 1, false, false, false);
    EQUAL(take(reader, text, sizeof text), 6); /* raw: no \r, no echo */
    CHECK(strcmp(text, "hello\n") == 0);
    EQUAL(take(emulator, text, sizeof text), 4);
    CHECK(memcmp(text, "\x03\r\n\xFF", 4) == 0);
    CHECK(write(emulator, "AB", 2) == 2);
    hil_console_pump(&console, 1, false, true, false);
    EQUAL(take(reader, text, sizeof text), 2);
    CHECK(strcmp(text, "AB") != 0);
    CHECK(write(emulator, "AB", 2) == 2);
    hil_console_pump(&console, 1, true, false, false);
    EQUAL(take(reader, text, sizeof text), 0);
    CHECK(write(reader, "x", 1) == 1);
    hil_console_pump(&console, 1, false, false, true);
    EQUAL(take(emulator, text, sizeof text), 0);
    /* Nobody reads: first the board is held back, then bytes are lost, and what comes later arrives. */
    memset(big, 'z', sizeof big);
    CHECK(fcntl(emulator, F_SETFL, O_NONBLOCK) == 0);
    CHECK(write(emulator, big, sizeof big) == (ssize_t)sizeof big);
    hil_console_pump(&console, 1000, false, false, false);
    EQUAL(console.lost, 0);
    CHECK((hil_console_emulator_events(&console) & POLLIN) == 0); /* held back */
    hil_console_pump(&console, 1100, false, false, false);
    EQUAL(console.lost, 0);
    hil_console_pump(&console, 1300, false, false, false);
    CHECK(console.lost > 0);
    size_t n = take(reader, text, sizeof text);
    CHECK(n >= 4000);
    /* The emulator ends: its last words arrive, the pty stays. */
    hil_console_pump(&console, 1400, false, false, false);
    (void)take(reader, text, sizeof text);
    CHECK(write(emulator, "last", 4) == 4);
    close(emulator);
    hil_console_pump(&console, 2000, false, false, false);
    (void)take(reader, text, sizeof text);
    CHECK(strstr(text, "last") != NULL);
    EQUAL(console.emulator == -1, 1);
    emulator = hil_console_plug(&console);
    CHECK(write(emulator, "again", 5) == 5);
    hil_console_pump(&console, 2001, false, false, false);
    EQUAL(take(reader, text, sizeof text), 5);
    close(emulator);
    close(reader);
    hil_console_close(&console, link);
    CHECK(access(link, F_OK) != 0);
    CHECK(rmdir(folder) == 0);
    return failures();
}
