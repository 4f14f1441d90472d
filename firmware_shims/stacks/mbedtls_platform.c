/* Clock and entropy of mbedTLS 2.28. */
#include "mbedtls_platform.h"

#include "tls_common.h"

#include <mbedtls/platform.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/sha512.h>

#include <string.h>

time_t hil_mbedtls_time(time_t *timer) {
    time_t now = hil_clock_now();
    if (timer != NULL)
        *timer = now;
    return now;
}

struct tm *mbedtls_platform_gmtime_r(const mbedtls_time_t *when, struct tm *out) {
    return hil_clock_gmtime(*when, out);
}

/* SHA-512 over seed material, whose counter moves on with each block. */
int hil_mbedtls_entropy(void *seed, unsigned char *output, size_t size) {
    while (size > 0) {
        uint8_t material[HIL_SEED_MATERIAL], block[64];
        size_t n = size < sizeof block ? size : sizeof block;
        hil_seed_material(seed, material);
        if (mbedtls_sha512_ret(material, sizeof material, block, 0) != 0)
            return -1;
        memcpy(output, block, n);
        output += n;
        size -= n;
    }
    return 0;
}
