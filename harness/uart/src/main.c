/* hil-uart FILE|-: one JSON object a line on stdout. Exit 0 read to the end, 1 cannot read, 2 usage. */
#include "hil_uart.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_out(void *ctx, const char *s, size_t n) {
    fwrite(s, 1, n, ctx); /* checked once at the end */
}

static int fail(const char *name, const char *why) {
    fprintf(stderr, "hil-uart: %s: %s\n", name, why);
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 2 || (argv[1][0] == '-' && argv[1][1] != 0)) {
        fprintf(stderr, "usage: hil-uart FILE|-\n"
                        "Prints what matters in a UART log as JSON lines, e.g.: hil-uart uart.log\n");
        return argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) ? 0 : 2;
    }
    const char *name = argv[1];
    int fd = STDIN_FILENO;
    if (strcmp(name, "-") != 0 && (fd = open(name, O_RDONLY | O_CLOEXEC)) < 0)
        return fail(name, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        return fail(name, "is a directory");

    static struct hil_uart u;
    static uint8_t buf[1 << 18];
    struct hil_emit *e = malloc(hil_emit_size());
    if (!e)
        return fail(name, "out of memory");
    hil_emit_init(e, write_out, stdout);
    hil_uart_init(&u, hil_emit_hit, e);
    int status = 0;
    for (;;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n > 0) {
            hil_uart_feed(&u, buf, (size_t)n);
        } else if (n == 0) {
            break;
        } else if (errno != EINTR) {
            status = fail(name, strerror(errno));
            break;
        }
    }
    hil_uart_end(&u);
    hil_emit_end(e, &u);
    free(e);
    if (fflush(stdout) != 0 || ferror(stdout))
        return status ? status : fail("stdout", strerror(errno));
    return status;
}
