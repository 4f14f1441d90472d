/* The rules by which a cloud service takes a JSON Web Token as MQTT password, as Google's IoT Core had them
 * and ClearBlade has them: JWS compact form (RFC 7515 7.1), base64url without padding (RFC 7515 2), RS256 or
 * ES256 (RFC 7518 3.3, 3.4), aud, iat and exp as numbers (RFC 7519 4.1), a skew of 10 minutes, at most 24
 * hours of life.
 *
 * No I/O, no clock of its own, no allocation. The text is hostile: (pointer, length), bounded, never
 * NUL-terminated. The first rule that is broken is told, encoding before contents before signature, since
 * each hides the next.
 */
#ifndef HIL_JWT_TOKEN_H
#define HIL_JWT_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HIL_TOKEN_MAX  8192U /* characters of a whole token */
#define HIL_TOKEN_PART 4096U /* bytes of a decoded part */

enum hil_token_fault {
    HIL_TOKEN_GOOD,
    HIL_TOKEN_PADDING,   /* '=' */
    HIL_TOKEN_ALPHABET,  /* '+' or '/' */
    HIL_TOKEN_MALFORMED, /* not three parts, no JSON objects, a member missing or of another type */
    HIL_TOKEN_ALGORITHM, /* alg does not fit the registered key, or is none of RS256 and ES256 */
    HIL_TOKEN_SIGNATURE, /* does not verify with any key of the device */
    HIL_TOKEN_EXPIRED,
    HIL_TOKEN_FUTURE,
    HIL_TOKEN_LIFETIME,
    HIL_TOKEN_AUDIENCE,
    HIL_TOKEN_DEVICE, /* no device is registered under this client id */
};

/* Checks `sig` over `text` with the keys of the device: HIL_TOKEN_GOOD, _ALGORITHM or _SIGNATURE, and why. */
typedef enum hil_token_fault (*hil_token_verify)(void *context, const char *alg, const uint8_t *text,
                                                 size_t text_n, const uint8_t *sig, size_t sig_n, char *why,
                                                 size_t room);

struct hil_token_rules {
    const char *audience;    /* what aud has to be; NULL: anything */
    int64_t now;             /* seconds since 1970 */
    int64_t skew;            /* seconds the clocks may differ; 600 */
    int64_t lifetime;        /* seconds exp may lie behind iat; 86400 */
    hil_token_verify verify; /* NULL: signatures are not looked at (fuzzing) */
    void *context;
};

struct hil_token_result {
    enum hil_token_fault fault;
    char why[160]; /* printable ASCII, one line */
    int64_t issued, expires;
};

/* Judges `n` characters at `token`. True when all rules hold; `result` is filled in either way. */
bool hil_token_check(const uint8_t *token, size_t n, const struct hil_token_rules *rules,
                     struct hil_token_result *result);

/* The cause id of causes.toml: "jwt.padding" …; "mqtt.client_id_refused" for HIL_TOKEN_DEVICE. */
const char *hil_token_cause(enum hil_token_fault fault);

/* `n` bytes of `in` as printable ASCII into `out` (NUL-terminated, `room` bytes at most); others become '?'.
 */
void hil_token_printable(const uint8_t *in, size_t n, char *out, size_t room);

#endif
