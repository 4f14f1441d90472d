/* PEM to DER, for stacks that read DER only. */
#ifndef HIL_NETX_PEM_H
#define HIL_NETX_PEM_H

#include "hil/tls.h"

/* Reads the next object of `in` from *at on: a PEM block, decoded into out[0..cap), or a DER object, which is
 * copied. Returns its length and moves *at behind it; 0 when there is no further one; -1 when it is neither,
 * is cut short or does not fit. */
int hil_der_next(struct hil_blob in, size_t *at, uint8_t *out, size_t cap);

/* Puts a PKCS#1 or SEC 1 key into a PKCS#8 envelope (RFC 5958), as `openssl pkcs8 -topk8 -nocrypt` does.
 * `rsa` says which of both it is; an EC key is one on P-256. Returns the length, or -1 when it does not fit.
 */
int hil_der_pkcs8(const uint8_t *key, size_t len, bool rsa, uint8_t *out, size_t cap);

#endif
