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

static int usage(int status) {
    fprintf(stderr, "usage: hil-uart [--max MB] FILE|-\n"
                    "Prints what matters in a UART log as JSON lines, e.g.: hil-uart uart.log\n"
                    "--max: of a larger file look only at the first and the last half of so many MB; of a "
                    "pipe at the first\n");
    return status;
}

int main(int argc, char **argv) {
    uint64_t max = UINT64_MAX;
    int arg = 1;
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return usage(0);
    if (argc == 4 && strcmp(argv[1], "--max") == 0) {
        char *end;
        unsigned long mb = strtoul(argv[2], &end, 10);
        if (*end || mb < 1 || mb > 1000000)
            return usage(2);
        max = (uint64_t)mb << 20;
        arg = 3;
    }
    if (argc != arg + 1 || (argv[arg][0] == '-' && argv[arg][1] != 0))
        return usage(2);
    const char *name = argv[arg];
    int fd = STDIN_FILENO;
    if (strcmp(name, "-") != 0 && (fd = open(name, O_RDONLY | O_CLOEXEC)) < 0)
        return fail(name, strerror(errno));
    struct stat st;
    uint64_t skip_from = UINT64_MAX, skip_to = 0, stop = max;
    if (fstat(fd, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return fail(name, "is a directory");
        if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max) {
            skip_from = max / 2;
            skip_to = (uint64_t)st.st_size - max / 2;
        }
        if (S_ISREG(st.st_mode))
            stop = UINT64_MAX;
    }

    static struct hil_uart u;
    static uint8_t buf[1 << 18];
    struct hil_emit *e = malloc(hil_emit_size());
    if (!e)
        return fail(name, "out of memory");
    hil_emit_init(e, write_out, stdout);
    hil_uart_init(&u, hil_emit_hit, e);
    int status = 0;
    for (uint64_t at = 0;;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n > 0) { /* whole blocks are skipped: where exactly does not matter */
            if (at >= skip_from && at + (uint64_t)n <= skip_to)
                hil_uart_skip(&u, buf, (size_t)n);
            else
                hil_uart_feed(&u, buf, (size_t)n);
            at += (uint64_t)n;
            if (at >= stop) /* a pipe or a device that never ends */
                break;
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
