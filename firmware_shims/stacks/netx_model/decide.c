/* What NetX decides: whether there is room for a chain, what it thinks of it, which keys it can sign with,
 * and over which hash it makes Finished.
 */
#include "session.h"

#define CHAIN_MAX 10
#define CERT_STRUCT                                                                                          \
    720u /* bytes of NetX's own structure, carved from the packet buffer for each certificate */
#define CODE_MISSING_CURVE 0x2000Fu /* NX_CRYPTO: no such ECC curve */

/* Room for the chain: the certificates of nx_secure_tls_remote_certificate_allocate first, then what the
 * message leaves of the packet buffer. */
static UINT make_room(const NX_SECURE_TLS_SESSION *session, const struct nx_model_der *chain, size_t count) {
    const NX_SECURE_X509_CERT *space = session->nx_model_remote_space;
    size_t message = 7;
    for (size_t i = 0; i < count; i++)
        message += chain[i].len + (offers_13(session) ? 5u : 3u);
    if (message > session->nx_secure_tls_packet_buffer_size)
        return NX_SECURE_TLS_PACKET_BUFFER_TOO_SMALL;
    size_t left = session->nx_secure_tls_packet_buffer_size - message;
    for (size_t i = 0; i < count; i++) {
        if (space != NULL) {
            if (space->nx_secure_x509_certificate_raw_buffer_size < chain[i].len)
                return NX_SECURE_TLS_INSUFFICIENT_CERT_SPACE;
            space = space->nx_secure_x509_next_certificate;
        } else if (left < CERT_STRUCT) {
            return NX_SECURE_TLS_INSUFFICIENT_CERT_SPACE;
        } else {
            left -= CERT_STRUCT;
        }
    }
    return NX_SUCCESS;
}

static UINT judge(NX_SECURE_TLS_SESSION *session, const struct nx_model_der *chain, size_t count) {
    UINT code = make_room(session, chain, count);
    ULONG now = 0;
    if (code != NX_SUCCESS)
        return code;
    if (session->nx_secure_tls_session_time_function != NULL)
        now = session->nx_secure_tls_session_time_function();
    code = nx_model_verify_chain(chain, count, session->nx_model_trusted, now,
                                 session->nx_secure_tls_crypto_table);
    if (code != NX_SUCCESS || session->nx_secure_tls_session_certificate_callback == NULL)
        return code;
    union {
        const UCHAR *in;
        UCHAR *out;
    } data = {.in = chain[0].data}; /* only read */
    NX_SECURE_X509_CERT leaf = {.nx_secure_x509_certificate_raw_data = data.out,
                                .nx_secure_x509_certificate_raw_data_length = (UINT)chain[0].len};
    return (UINT)session->nx_secure_tls_session_certificate_callback(session, &leaf);
}

/* The library asks about each certificate, last about the leaf; only there everything is known. */
int nx_model_on_verify(int ok, WOLFSSL_X509_STORE_CTX *store) {
    struct nx_model_tls *tls = store->userCtx;
    struct nx_model_der chain[CHAIN_MAX];
    size_t count = store->totalCerts > 0 ? (size_t)store->totalCerts : 0;
    (void)ok;
    if (store->error_depth != 0)
        return 1;
    if (count > CHAIN_MAX)
        count = CHAIN_MAX;
    for (size_t i = 0; i < count; i++)
        chain[i] = (struct nx_model_der){store->certs[i].buffer, store->certs[i].length};
    tls->judged = true;
    tls->verdict = count > 0 ? judge(nx_model_current, chain, count) : NX_SECURE_TLS_CERTIFICATE_NOT_FOUND;
    return tls->verdict == NX_SUCCESS;
}

/* RSA in TLS 1.3 would need RSA-PSS. */
int nx_model_on_pss(WOLFSSL *ssl, const byte *in, unsigned int in_size, byte *out, unsigned int *out_size,
                    int hash, int mgf, const byte *key, unsigned int key_size, void *user) {
    struct nx_model_tls *tls = nx_model_current->nx_model_tls;
    (void)ssl;
    (void)in;
    (void)in_size;
    (void)out;
    (void)out_size;
    (void)hash;
    (void)mgf;
    (void)key;
    (void)key_size;
    (void)user;
    tls->verdict =
        tls->mixed ? NX_SECURE_TLS_UNSUPPORTED_CERT_SIGN_ALG : NX_SECURE_TLS_UNSUPPORTED_CERT_SIGN_TYPE;
    return BAD_FUNC_ARG;
}

/* TLS 1.2, an EC certificate with an RSA key: NetX looks for the curve of a key that has none. */
int nx_model_on_rsa_sign(WOLFSSL *ssl, const byte *in, unsigned int in_size, byte *out, word32 *out_size,
                         const byte *key, unsigned int key_size, void *user) {
    (void)ssl;
    (void)in;
    (void)in_size;
    (void)out;
    (void)out_size;
    (void)key;
    (void)key_size;
    (void)user;
    nx_model_current->nx_model_tls->verdict = CODE_MISSING_CURVE;
    return BAD_FUNC_ARG;
}

/* Finished is made over SHA-256, whatever the suite says: this is what breaks a SHA-384 suite. */
int nx_model_on_finished(WOLFSSL *ssl, const byte *side, const byte *hash, word32 hash_size, byte *out,
                         void *user) {
    byte sum[WC_SHA256_DIGEST_SIZE];
    (void)user;
    (void)hash;
    (void)hash_size;
    if (ssl->specs.mac_algorithm != sha384_mac)
        return PROTOCOLCB_UNAVAILABLE;
    int rc = wc_Sha256GetHash(&ssl->hsHashes->hashSha256, sum);
    if (rc != 0)
        return rc;
    return wc_PRF_TLS(out, TLS_FINISHED_SZ, ssl->arrays->masterSecret, SECRET_LEN, side, FINISHED_LABEL_SZ,
                      sum, sizeof sum, 1, sha384_mac, ssl->heap, INVALID_DEVID);
}
