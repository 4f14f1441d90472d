/* Where a system of the field differs from stacks/mbedtls.c; each is weak, and what is there by default
 * changes nothing. net/w5500_tls.c has its own. */
#ifndef HIL_MBEDTLS_HOOKS_H
#define HIL_MBEDTLS_HOOKS_H

#include <stddef.h>

struct mbedtls_ssl_context;

/* Asked before the receive callback reads. HIL_MBEDTLS_READ: go on; anything else is what the callback
 * returns. */
#define HIL_MBEDTLS_READ (-1)
int hil_mbedtls_before_read(size_t cap);

/* Behind mbedtls_ssl_setup. */
void hil_mbedtls_set_up(struct mbedtls_ssl_context *ssl);

#endif
