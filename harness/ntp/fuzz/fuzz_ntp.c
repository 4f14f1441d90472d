/* libFuzzer target: the first line is a behaviour, the rest datagrams, each a length byte and so many bytes.
 * What every answer must hold is checked, whatever was asked. */
#include "hil_ntp.h"

#include <stdlib.h>
#include <string.h>

static void must(bool holds) {
    if (!holds)
        abort();
}

static void one(const struct hil_ntp_behaviour *behaviour, struct hil_ntp_state *state, const uint8_t *data,
                size_t size) {
    struct hil_ntp_query query = {0};
    uint8_t out[HIL_NTP_SIZE];
    uint8_t *copy = malloc(size > 0 ? size : 1); /* exact size: reads past the end are seen */
    must(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    bool before = state->have;
    if (hil_ntp_parse(copy, size, &query) == HIL_NTP_QUERY) {
        size_t n = hil_ntp_answer(behaviour, state, &query, 1700000000000000, 1700000000000100, out);
        must(n == (behaviour->silent ? 0 : HIL_NTP_SIZE) && n <= size);
        must(n == 0 || (out[0] & 7) == 4);
        if (n > 0 && !(behaviour->replay && before))
            must(memcmp(out + 24, copy + 40, 8) == 0 && (out[0] >> 3 & 7) == (copy[0] >> 3 & 7));
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct hil_ntp_behaviour behaviour = {.stratum = 1};
    struct hil_ntp_state state = {0};
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t line = end != NULL ? (size_t)(end - data) : size;
    char *text = calloc(1, line > 0 ? line : 1);
    must(text != NULL);
    if (line > 0)
        memcpy(text, data, line);
    (void)hil_ntp_behave(text, line, 1700000000000000, &behaviour);
    free(text);
    for (size_t at = line + 1; at < size;) {
        size_t n = data[at] < size - at - 1 ? data[at] : size - at - 1;
        one(&behaviour, &state, data + at + 1, n);
        at += n + 1;
    }
    return 0;
}
