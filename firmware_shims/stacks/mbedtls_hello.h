/* Edits mbedTLS's ClientHello between its making and its hashing: the library has no switch for single
 * extensions of the hello, and a device that lacks one is what some scenarios need. The transcript stays
 * consistent, since the edit happens in the hook that feeds it
 * (mbedtls_ssl_handshake_params.update_checksum).
 */
#ifndef HIL_MBEDTLS_HELLO_H
#define HIL_MBEDTLS_HELLO_H

#include "hil/tls.h"

#include <mbedtls/ssl.h>

/* What to leave out. `sigalgs`: code points to keep, in this order; count 0 keeps the library's own. */
struct hil_hello_edit {
    bool no_sni, no_groups;
    uint16_t sigalgs[16];
    int sigalg_count;
};

/* Call after mbedtls_ssl_setup(); acts on the next ClientHello. `edit` must live until then. */
void hil_mbedtls_edit_hello(mbedtls_ssl_context *ssl, const struct hil_hello_edit *edit);

/* The edit itself, on a whole handshake message in place; the new length, or 0 when it is no ClientHello we
 * understand. */
size_t hil_hello_rewrite(uint8_t *message, size_t len, const struct hil_hello_edit *edit);

#endif
