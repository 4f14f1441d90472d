/* What mbedTLS asks of its surroundings, beside the clock that mbedtls_config.h names. */
#ifndef HIL_MBEDTLS_PLATFORM_H
#define HIL_MBEDTLS_PLATFORM_H

#include <stddef.h>

/* The entropy callback of a DRBG; `seed` is 32 bytes. No two calls since boot give the same, whatever is
 * asked for and whether the board has entropy of its own: a DRBG that began twice alike would sign two texts
 * with the same random number, and two such signatures are the private key. 0 or -1. */
int hil_mbedtls_entropy(void *seed, unsigned char *output, size_t size);

#endif
