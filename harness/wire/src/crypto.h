/* Record protection: keys from a key log's secrets, and opening of records with OpenSSL's primitives.
 * TLS 1.0 to 1.2: AES/ARIA-GCM, AES-CCM(-8), ChaCha20-Poly1305, CBC with HMAC (MAC-then-encrypt and
 * encrypt-then-MAC), NULL with HMAC. TLS 1.3: the AEAD suites, key update. Every record is authenticated:
 * what does not verify is not given out. */
#ifndef HIL_WIRE_CRYPTO_H
#define HIL_WIRE_CRYPTO_H

#include "names.h"

struct hil_crypto {
    void *cipher[24]; /* fetched once, by kind */
    void *hmac;
};

struct hil_opener; /* one direction, one epoch */

void hil_crypto_free(struct hil_crypto *k);

struct hil_opener *hil_opener_12(struct hil_crypto *k, const struct hil_suite *suite, uint16_t version,
                                 bool etm, const uint8_t master[48], const uint8_t client_random[32],
                                 const uint8_t server_random[32], bool client);
struct hil_opener *hil_opener_13(struct hil_crypto *k, const struct hil_suite *suite, const uint8_t *secret,
                                 size_t len);
/* Next generation after a KeyUpdate. */
bool hil_opener_update(struct hil_opener *o);
/* Plaintext length, its bytes in out (room of at least len), or -1. `ahead`: how many sequence numbers may be
 * passed over because records were lost. In TLS 1.3 the inner type replaces *type and padding is removed. */
int hil_opener_open(struct hil_opener *o, uint8_t *type, uint16_t version, const uint8_t *body, size_t len,
                    uint8_t *out, unsigned ahead);
void hil_opener_free(struct hil_opener *o);

#endif
