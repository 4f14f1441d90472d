/* Sign: the device's private key at work outside TLS, for tokens (hil/jwt.h). A stack, or a board whose key
 * never leaves its crypto engine, implements it; without it the firmware has no capability `jwt`
 * (client/jwt_password.c holds the weak ones). Examples: stacks/wolfcrypt_sign.c, stacks/mbedtls_sign.c.
 */
#ifndef HIL_SIGN_H
#define HIL_SIGN_H

#include "hil/tls.h"

enum hil_key { HIL_KEY_NONE, HIL_KEY_RSA, HIL_KEY_EC };

/* False: none of the others does anything. */
bool hil_can_sign(void);

/* What `key` (PEM or DER) is; NONE when it cannot be read or is no key of these kinds. */
enum hil_key hil_key_kind(struct hil_blob key);

/* Signs SHA-256 of `text`: RSASSA-PKCS1-v1_5, or ECDSA as DER SEQUENCE of r and s. `seed` (32 bytes) feeds
 * the random generator where the board has no source. Returns the signature's length, at most `room`; on an
 * error a negative number, its own code reported as hil/tls.h has it. */
int hil_sign(struct hil_blob key, const uint8_t *seed, const uint8_t *text, size_t len, uint8_t *sig,
             size_t room);

#endif
