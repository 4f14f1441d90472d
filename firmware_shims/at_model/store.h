/* The module's certificate store: CAs with their identifiers, its own certificate and key. */
#ifndef HIL_AT_MODEL_STORE_H
#define HIL_AT_MODEL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#define STORE_CAS 6
#define STORE_ID  64

struct store_ca {
    X509 *certificate;
    uint8_t id[STORE_ID]; /* as it was given, whatever it is */
    size_t id_len;
};

struct store {
    struct store_ca cas[STORE_CAS];
    size_t count;
    X509 *own;
    STACK_OF(X509) * rest; /* of our chain */
    EVP_PKEY *key;
    char domain[128];
};

void store_clean(struct store *store);

/* PEM or DER. False when it is neither or there is no room. *key_id: the module found the identifier itself,
 * which it does for DER only. */
bool store_add_ca(struct store *store, const uint8_t *data, size_t len, bool *key_id);
bool store_set_own(struct store *store, const uint8_t *data, size_t len);
/* 0, 1: no key, 2: it does not fit the certificate. */
int store_set_key(struct store *store, const uint8_t *data, size_t len);

/* The identifier of the CA that came last: these bytes, compared as they are. */
bool store_set_id(struct store *store, const uint8_t *data, size_t len);
size_t store_ids(const struct store *store);

/* The CA whose identifier is the authority key identifier of one of these certificates; NULL. */
X509 *store_find(const struct store *store, X509 *leaf, STACK_OF(X509) * chain);

#endif
