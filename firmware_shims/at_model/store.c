#include "store.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

void store_clean(struct store *store) {
    for (size_t i = 0; i < store->count; i++)
        X509_free(store->cas[i].certificate);
    X509_free(store->own);
    sk_X509_pop_free(store->rest, X509_free);
    EVP_PKEY_free(store->key);
    memset(store, 0, sizeof *store);
}

static bool is_pem(const uint8_t *data, size_t len) {
    static const char MARK[] = "-----BEGIN ";
    return len >= sizeof MARK - 1 && memcmp(data, MARK, sizeof MARK - 1) == 0;
}

static int no_password(char *buffer, int size, int writing, void *context) {
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static X509 *der_certificate(const uint8_t *data, size_t len) {
    const uint8_t *at = data;
    X509 *found = d2i_X509(NULL, &at, (long)len);
    if (found != NULL && at != data + len) {
        X509_free(found);
        found = NULL;
    }
    return found;
}

bool store_add_ca(struct store *store, const uint8_t *data, size_t len, bool *key_id) {
    X509 *found = NULL;
    *key_id = false;
    if (store->count == STORE_CAS)
        return false;
    bool pem = is_pem(data, len);
    if (pem) {
        BIO *bio = BIO_new_mem_buf(data, (int)len);
        found = PEM_read_bio_X509(bio, NULL, no_password, NULL);
        BIO_free(bio);
    } else {
        found = der_certificate(data, len);
    }
    ERR_clear_error();
    if (found == NULL)
        return false;
    struct store_ca *ca = &store->cas[store->count++];
    memset(ca, 0, sizeof *ca);
    ca->certificate = found;
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(found);
    if (!pem && id != NULL) {
        *key_id = store_set_id(store, ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id));
    }
    return true;
}

bool store_set_own(struct store *store, const uint8_t *data, size_t len) {
    X509_free(store->own);
    sk_X509_pop_free(store->rest, X509_free);
    store->own = NULL;
    store->rest = sk_X509_new_null();
    if (store->rest == NULL)
        return false;
    if (!is_pem(data, len)) {
        store->own = der_certificate(data, len);
    } else {
        BIO *bio = BIO_new_mem_buf(data, (int)len);
        X509 *one;
        store->own = PEM_read_bio_X509(bio, NULL, no_password, NULL);
        while (store->own != NULL && (one = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL)
            if (sk_X509_push(store->rest, one) == 0)
                X509_free(one);
        BIO_free(bio);
    }
    ERR_clear_error();
    return store->own != NULL;
}

int store_set_key(struct store *store, const uint8_t *data, size_t len) {
    EVP_PKEY_free(store->key);
    if (is_pem(data, len)) {
        BIO *bio = BIO_new_mem_buf(data, (int)len);
        store->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
        BIO_free(bio);
    } else {
        const uint8_t *at = data;
        store->key = d2i_AutoPrivateKey(NULL, &at, (long)len);
    }
    bool fits =
        store->key == NULL || store->own == NULL || X509_check_private_key(store->own, store->key) == 1;
    ERR_clear_error();
    if (store->key == NULL)
        return 1;
    if (fits)
        return 0;
    EVP_PKEY_free(store->key);
    store->key = NULL;
    return 2;
}

bool store_set_id(struct store *store, const uint8_t *data, size_t len) {
    if (store->count == 0 || len == 0 || len > STORE_ID)
        return false;
    struct store_ca *ca = &store->cas[store->count - 1];
    memcpy(ca->id, data, len);
    ca->id_len = len;
    return true;
}

size_t store_ids(const struct store *store) {
    size_t count = 0;
    for (size_t i = 0; i < store->count; i++)
        count += store->cas[i].id_len > 0;
    return count;
}

static X509 *by_authority(const struct store *store, X509 *one) {
    const ASN1_OCTET_STRING *id = X509_get0_authority_key_id(one);
    if (id == NULL)
        return NULL;
    const uint8_t *bytes = ASN1_STRING_get0_data(id);
    size_t len = (size_t)ASN1_STRING_length(id);
    for (size_t i = 0; i < store->count; i++)
        if (store->cas[i].id_len == len && len > 0 && memcmp(store->cas[i].id, bytes, len) == 0)
            return store->cas[i].certificate;
    return NULL;
}

X509 *store_find(const struct store *store, X509 *leaf, STACK_OF(X509) * chain) {
    X509 *found = by_authority(store, leaf);
    for (int i = 0; found == NULL && i < sk_X509_num(chain); i++)
        found = by_authority(store, sk_X509_value(chain, i));
    return found;
}
