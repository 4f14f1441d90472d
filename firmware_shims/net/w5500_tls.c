/* Between mbedTLS and the chip: the faults of story 002 that its users had there. The right callback is the
 * one of stacks/mbedtls.c: nothing in the chip is MBEDTLS_ERR_SSL_WANT_READ, and only bytes that came are
 * counted. */
#include "paho_defects.h"
#include "hil/net.h"
#include "mbedtls_hooks.h"
#include "settings.h"

#include <mbedtls/ssl.h>
#include <mbedtls/ssl_internal.h>

#define SMALL_INPUT 4096u

int hil_mbedtls_before_read(size_t cap) {
    if (hil_net_readable() != 0)
        return HIL_MBEDTLS_READ;
    if ((hil_settings.defects & HIL_W5500_RECV_ZERO) != 0)
        return 0; /* `return recv(sn, buf, len)` with a socket that does not block: SOCK_BUSY */
    if ((hil_settings.defects & HIL_W5500_OVER_REPORT) != 0)
        return (int)cap; /* `recv(sn, buf, len); return len;` */
    return HIL_MBEDTLS_READ;
}

/* A build with MBEDTLS_SSL_IN_CONTENT_LEN 4096 as far as the library looks at its buffer's length. */
void hil_mbedtls_set_up(struct mbedtls_ssl_context *ssl) {
#if defined(MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH)
    if ((hil_settings.defects & HIL_W5500_SMALL_INPUT) != 0)
        ssl->in_buf_len -= MBEDTLS_SSL_IN_CONTENT_LEN - SMALL_INPUT;
#else
    (void)ssl;
#endif
}
