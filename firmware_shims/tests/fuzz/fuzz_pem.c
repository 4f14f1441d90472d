/* Any bytes where a certificate or key is expected: what comes out lies inside the room given, what was read
 * inside the input, and the reader always gets on. */
#include "check.h"
#include "netx_pem.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    size_t cap = (size_t)data[0] * 8u, at = 0, len = size - 1;
    uint8_t *in = malloc(len > 0 ? len : 1), *out = malloc(cap > 0 ? cap : 1), packed[4096];
    CHECK(in != NULL && out != NULL);
    memcpy(in, data + 1, len);
    for (;;) {
        size_t before = at;
        int got = hil_der_next((struct hil_blob){in, len}, &at, out, cap);
        CHECK(got >= -1 && got <= (int)cap && at <= len);
        if (got <= 0)
            break;
        CHECK(at > before);
        int whole = hil_der_pkcs8(out, (size_t)got, (data[0] & 1) != 0, packed, sizeof packed);
        CHECK(whole == -1 || (whole > got && whole <= (int)sizeof packed));
    }
    free(in);
    free(out);
    return 0;
}
