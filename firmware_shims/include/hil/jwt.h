/* A JSON Web Token as MQTT password (RFC 7515, 7518, 7519): made on the device, in the caller's buffer,
 * without heap.
 *
 * The stack signs; this makes the text. What people got wrong with tokens can be switched on, one by one, so
 * that the bench can show what each looks like.
 */
#ifndef HIL_JWT_H
#define HIL_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hil_jwt_alg { HIL_JWT_RS256, HIL_JWT_ES256 };

/* Errors of hil_jwt_make(). */
#define HIL_JWT_ROOM                                                                                         \
    (-1) /* the buffer is too small: an RS256 token of a 2048-bit key takes about 520 bytes */
#define HIL_JWT_SIGN  (-2) /* the signer failed */
#define HIL_JWT_SHAPE (-3) /* the signer's ECDSA signature is no DER of P-256 */
#define HIL_JWT_TEXT  (-4) /* the audience is no plain text: it would have to be escaped in JSON */

/* The mistakes. */
enum hil_jwt_fault {
    HIL_JWT_PADDED = 1u << 0,   /* '=' kept, and signed with them */
    HIL_JWT_ALPHABET = 1u << 1, /* '+' and '/' of the standard alphabet */
    HIL_JWT_DER = 1u << 2,      /* the ES256 signature as DER, as most libraries give it */
    HIL_JWT_TIMES = 1u << 3,    /* iat and exp as text */
    HIL_JWT_STRIPPED = 1u << 4  /* '=' taken off after signing: the signature is over another text */
};

/* Signs SHA-256 of `text` with the device's key: RSASSA-PKCS1-v1_5, or ECDSA as DER SEQUENCE of r and s.
 * Returns the signature's length (at most `room`), negative on an error, which it reports itself. */
typedef int (*hil_jwt_signer)(void *context, const uint8_t *text, size_t len, uint8_t *sig, size_t room);

struct hil_jwt_request {
    enum hil_jwt_alg alg;
    const char *audience;
    uint32_t issued;   /* Unix seconds */
    uint32_t lifetime; /* seconds */
    unsigned faults;   /* enum hil_jwt_fault */
    hil_jwt_signer sign;
    void *context;
};

/* Writes the token and a NUL. Its length, or a negative HIL_JWT_*; the buffer is then empty text. */
int hil_jwt_make(char *out, size_t room, const struct hil_jwt_request *request);

#endif
