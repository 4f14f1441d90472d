/* A token from a stranger, under fixed rules and without keys; and the same bytes as JSON by themselves. */
#include "json.h"
#include "token.h"

#include <stdlib.h>
#include <string.h>

static void each(void *context, const struct hil_json_member *member) {
    int64_t seconds;
    size_t *count = context;
    *count += hil_json_seconds(member, &seconds) ? 2u : 1u;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct hil_token_rules rules = {.audience = "project", .now = 1700000000, .skew = 600, .lifetime = 86400};
    struct hil_token_result result;
    size_t dots = 0;
    size_t members = 0;
    if (hil_token_check(p, n, &rules, &result)) {
        for (size_t i = 0; i < n; i++) {
            dots += p[i] == '.';
        }
        /* What is accepted has the form, whatever else it holds. */
        if (dots != 2 || memchr(p, '=', n) != NULL || memchr(p, '+', n) != NULL ||
            result.fault != HIL_TOKEN_GOOD || result.expires + 600 < rules.now) {
            abort();
        }
    } else if (result.fault == HIL_TOKEN_GOOD || result.why[0] == '\0') {
        abort();
    }
    (void)hil_json_object(p, n, each, &members);
    return 0;
}
