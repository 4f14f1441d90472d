#include "keys.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX 256
#define HALF   32

struct entry {
    char id[ID_MAX];
    EVP_PKEY *key;
};

struct hil_keys {
    size_t count;
    struct entry entries[HIL_KEYS_MAX];
};

static EVP_PKEY *read_key(const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return NULL;
    }
    EVP_PKEY *key = PEM_read_PUBKEY(file, NULL, NULL, NULL);
    if (key == NULL) {
        rewind(file);
        X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
        key = certificate != NULL ? X509_get_pubkey(certificate) : NULL;
        X509_free(certificate);
    }
    ERR_clear_error();
    (void)fclose(file);
    return key;
}

/* One line "id path" with the folder of the list before a relative path. */
static bool add(struct hil_keys *keys, const char *list, char *line, char *why, size_t room) {
    char path[1024];
    char *rest = NULL;
    const char *id = strtok_r(line, " \t\r\n", &rest);
    const char *name = id != NULL && id[0] != '#' ? strtok_r(NULL, "\r\n", &rest) : NULL;
    if (id == NULL || id[0] == '#') {
        return true;
    }
    const char *slash = strrchr(list, '/');
    int folder = name != NULL && name[0] != '/' && slash != NULL ? (int)(slash - list + 1) : 0;
    int wrote = name == NULL ? -1 : snprintf(path, sizeof path, "%.*s%s", folder, list, name);
    if (wrote < 0 || (size_t)wrote >= sizeof path || strlen(id) >= ID_MAX || keys->count == HIL_KEYS_MAX) {
        (void)snprintf(why, room, "%.200s: a line is `client-id path`, at most %u of them", list,
                       HIL_KEYS_MAX);
        return false;
    }
    struct entry *entry = &keys->entries[keys->count];
    entry->key = read_key(path);
    if (entry->key == NULL) {
        (void)snprintf(why, room, "%.200s: no public key or certificate in PEM", path);
        return false;
    }
    (void)snprintf(entry->id, sizeof entry->id, "%s", id);
    keys->count++;
    return true;
}

struct hil_keys *hil_keys_load(const char *path, char *why, size_t room) {
    char line[2048];
    FILE *file = fopen(path, "re");
    struct hil_keys *keys = calloc(1, sizeof *keys);
    bool good = file != NULL && keys != NULL;
    if (!good) {
        (void)snprintf(why, room, "%.200s: %s", path, strerror(errno));
    }
    while (good && fgets(line, sizeof line, file) != NULL) {
        if (strchr(line, '\n') == NULL && feof(file) == 0) {
            (void)snprintf(why, room, "%.200s: a line is longer than %zu bytes", path, sizeof line - 2);
            good = false;
        } else {
            good = add(keys, path, line, why, room);
        }
    }
    if (good && ferror(file) != 0) { /* a folder opens, too */
        (void)snprintf(why, room, "%.200s: %s", path, strerror(errno));
        good = false;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (!good) {
        hil_keys_free(keys);
        return NULL;
    }
    return keys;
}

void hil_keys_free(struct hil_keys *keys) {
    for (size_t i = 0; keys != NULL && i < keys->count; i++) {
        EVP_PKEY_free(keys->entries[i].key);
    }
    free(keys);
}

bool hil_keys_known(const struct hil_keys *keys, const char *client_id) {
    for (size_t i = 0; i < keys->count; i++) {
        if (strcmp(keys->entries[i].id, client_id) == 0) {
            return true;
        }
    }
    return false;
}

static size_t shared(const char *a, const char *b) {
    size_t n = 0;
    while (a[n] != '\0' && a[n] == b[n]) {
        n++;
    }
    return n;
}

void hil_keys_nearest(const struct hil_keys *keys, const char *client_id, char *why, size_t room) {
    char given[64];
    const char *best = "";
    for (size_t i = 0; i < keys->count; i++) {
        if (best[0] == '\0' || shared(keys->entries[i].id, client_id) > shared(best, client_id)) {
            best = keys->entries[i].id;
        }
    }
    size_t at = shared(best, client_id);
    while (at > 0 && best[at - 1] != '/') {
        at--;
    }
    hil_token_printable((const uint8_t *)client_id + at, strnlen(client_id + at, sizeof given - 1), given,
                        sizeof given);
    (void)snprintf(why, room, "no device is registered as this client; it differs from the nearest at `%s`",
                   given);
}

/* r||s (RFC 7518 3.4) as the DER that OpenSSL wants. Returns its length, 0 on an error; free *der. */
static size_t as_der(const uint8_t *sig, unsigned char **der) {
    *der = NULL;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(sig, HALF, NULL);
    BIGNUM *s = BN_bin2bn(sig + HALF, HALF, NULL);
    if (pair == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(pair);
        return 0;
    }
    int n = i2d_ECDSA_SIG(pair, der);
    ECDSA_SIG_free(pair);
    return n > 0 ? (size_t)n : 0;
}

static bool verifies(EVP_PKEY *key, const uint8_t *text, size_t text_n, const uint8_t *sig, size_t sig_n) {
    unsigned char *der = NULL;
    if (EVP_PKEY_is_a(key, "EC")) {
        sig_n = sig_n == (size_t)2 * HALF ? as_der(sig, &der) : 0;
        sig = der;
    }
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = sig_n > 0 && md != NULL && EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(md, sig, sig_n, text, text_n) == 1;
    EVP_MD_CTX_free(md);
    OPENSSL_free(der);
    ERR_clear_error();
    return good;
}

enum hil_token_fault hil_keys_verify(void *context, const char *alg, const uint8_t *text, size_t text_n,
                                     const uint8_t *sig, size_t sig_n, char *why, size_t room) {
    const struct hil_keys_device *device = context;
    const char *wanted = strcmp(alg, "ES256") == 0 ? "EC" : "RSA";
    unsigned fitting = 0;
    for (size_t i = 0; i < device->keys->count; i++) {
        const struct entry *entry = &device->keys->entries[i];
        if (strcmp(entry->id, device->client_id) != 0 || !EVP_PKEY_is_a(entry->key, wanted)) {
            continue;
        }
        fitting++;
        if (verifies(entry->key, text, text_n, sig, sig_n)) {
            return HIL_TOKEN_GOOD;
        }
    }
    if (fitting == 0) {
        (void)snprintf(why, room, "alg is %s, and the device has no %s key registered", alg, wanted);
        return HIL_TOKEN_ALGORITHM;
    }
    (void)snprintf(why, room, "%zu bytes of %s do not verify with %s registered key%s", sig_n, alg,
                   fitting == 1 ? "the" : "any", fitting == 1 ? "" : " of the device");
    return HIL_TOKEN_SIGNATURE;
}
