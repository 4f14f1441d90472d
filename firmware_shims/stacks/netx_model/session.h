/* What the parts of one nx_secure TLS client session share: tls.c (the API), transport.c, hello.c, decide.c.
 */
#ifndef NETX_MODEL_SESSION_H
#define NETX_MODEL_SESSION_H

#include "model.h"

#include <wolfssl/ssl.h>
#include <wolfssl/internal.h>

struct nx_model_tls {
    WOLFSSL_CTX *ctx;
    WOLFSSL *ssl;
    UINT verdict; /* what NetX's rules said about the certificates, 0 good */
    bool judged, handshake, dead;
    bool mixed; /* an EC certificate with an RSA key */
    int net_rc;
    uint32_t start, limit; /* bound of the present call in ms */
    uint8_t head[5];       /* of the record that comes in */
    size_t head_len, body_left;
};

extern NX_SECURE_TLS_SESSION *nx_model_current; /* whose handshake or call is under way */

static inline bool offers_13(const NX_SECURE_TLS_SESSION *session) {
    return session->nx_secure_tls_1_3 != 0;
}

/* --- transport.c --- */

/* Bounds the call that begins to `times` times that many ticks. */
void nx_model_bound(struct nx_model_tls *tls, ULONG ticks, uint32_t times);
int nx_model_on_recv(WOLFSSL *ssl, char *data, int cap, void *user);
int nx_model_on_send(WOLFSSL *ssl, char *data, int len, void *user);

/* --- hello.c --- */

void nx_model_set_suites(NX_SECURE_TLS_SESSION *session, WOLFSSL *ssl);
void nx_model_set_signatures(NX_SECURE_TLS_SESSION *session, WOLFSSL *ssl);
bool nx_model_set_groups(NX_SECURE_TLS_SESSION *session, WOLFSSL *ssl);
bool nx_model_set_renegotiation_info(WOLFSSL *ssl);

/* --- decide.c: callbacks of the library --- */

int nx_model_on_verify(int ok, WOLFSSL_X509_STORE_CTX *store);
int nx_model_on_pss(WOLFSSL *ssl, const byte *in, unsigned int in_size, byte *out, unsigned int *out_size,
                    int hash, int mgf, const byte *key, unsigned int key_size, void *user);
int nx_model_on_rsa_sign(WOLFSSL *ssl, const byte *in, unsigned int in_size, byte *out, word32 *out_size,
                         const byte *key, unsigned int key_size, void *user);
int nx_model_on_finished(WOLFSSL *ssl, const byte *side, const byte *hash, word32 hash_size, byte *out,
                         void *user);

#endif
