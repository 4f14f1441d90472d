/* Key log text, fed in two pieces, then asked for a random it may hold. */
#include "fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct hil_keylog k;
    struct hil_secrets s;
    uint8_t random[32] = {0};
    memset(&k, 0, sizeof k);
    hil_keylog_feed(&k, p, n / 3);
    hil_keylog_feed(&k, p + n / 3, n - n / 3);
    hil_keylog_end(&k);
    (void)hil_keylog_find(&k, random, &s);
    for (int i = 0; i < HIL_LABEL_COUNT; i++) {
        if (s.len[i] > HIL_SECRET_MAX) {
            abort();
        }
    }
    hil_keylog_free(&k);
    return 0;
}
