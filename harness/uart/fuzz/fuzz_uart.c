/* libFuzzer target: the first byte chooses how the rest is cut into pieces; the result must not depend on it.
 */
#include "hil_uart.h"

#include <stdlib.h>
#include <string.h>

struct sum {
    uint64_t hash, count;
};

static void write_hash(void *ctx, const char *s, size_t n) {
    struct sum *sum = ctx;
    for (size_t i = 0; i < n; i++) {
        if ((uint8_t)s[i] < 0x20 && s[i] != '\n')
            abort(); /* a control character inside a JSON line */
        sum->hash = (sum->hash ^ (uint8_t)s[i]) * 0x100000001B3u;
    }
    sum->count++;
}

static struct sum run(const uint8_t *data, size_t size, size_t piece) {
    static struct hil_uart u;
    struct sum sum = {0xCBF29CE484222325u, 0};
    struct hil_emit *e = malloc(hil_emit_size());
    if (!e)
        abort();
    hil_emit_init(e, write_hash, &sum);
    hil_uart_init(&u, hil_emit_hit, e);
    while (size > 0) {
        size_t n = size < piece ? size : piece;
        uint8_t *copy = malloc(n); /* exact size: reads past the end are seen */
        if (!copy)
            abort();
        memcpy(copy, data, n);
        hil_uart_feed(&u, copy, n);
        free(copy);
        data += n;
        size -= n;
    }
    hil_uart_end(&u);
    hil_emit_end(e, &u);
    free(e);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    size_t piece = (size_t)data[0] + 1;
    struct sum whole = run(data + 1, size - 1, size);
    struct sum cut = run(data + 1, size - 1, piece);
    if (whole.hash != cut.hash || whole.count != cut.count)
        abort();
    return 0;
}
