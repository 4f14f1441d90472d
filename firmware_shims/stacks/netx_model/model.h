/* Between the parts of the model. */
#ifndef NETX_MODEL_MODEL_H
#define NETX_MODEL_MODEL_H

#include "nx_model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What NetX looks at in a certificate. Offsets point into the certificate's own bytes. */
struct nx_model_x509 {
    uint8_t subject[32], issuer[32]; /* hashes of the names */
    char common_name[128];
    bool rsa, ec;
};

/* 0, or the code with which NetX refuses to parse it. */
UINT nx_model_x509_parse(const UCHAR *data, size_t len, struct nx_model_x509 *out);

/* True when the key parses as this type. NX_SUCCESS or the code. */
UINT nx_model_key_check(const UCHAR *key, size_t len, UINT type);

/* A key in its envelope, PKCS#1 or SEC 1. */
bool nx_model_key_is_rsa(const UCHAR *key, size_t len);

/* NetX's chain check (RFC 5280 in its own order): the leaf is chain[0]. `now` 0: dates are not looked at. */
struct nx_model_der {
    const UCHAR *data;
    size_t len;
};
UINT nx_model_verify_chain(const struct nx_model_der *chain, size_t count, const NX_SECURE_X509_CERT *trusted,
                           ULONG now, const NX_SECURE_TLS_CRYPTO *table);

/* The alert NetX sends for a code of its own. */
int nx_model_alert_for(UINT code);

/* The code for an error of the library below, in a handshake (`handshake`) or behind it. */
UINT nx_model_code_for(int error, bool handshake);

#endif
