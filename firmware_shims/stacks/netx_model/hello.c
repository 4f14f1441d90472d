/* The ClientHello, made from NetX's tables: extensions and their order, suites, signature algorithms, groups.
 */
#include "session.h"

/* NetX's order: groups, point formats, renegotiation_info (1.2), supported_versions, key_share, signature
 * algorithms, server_name. */
static const TLSX_Type ORDER[] = {TLSX_SUPPORTED_GROUPS,     TLSX_EC_POINT_FORMATS, TLSX_RENEGOTIATION_INFO,
                                  TLSX_SUPPORTED_VERSIONS,   TLSX_KEY_SHARE,        TLSX_COOKIE,
                                  TLSX_SIGNATURE_ALGORITHMS, TLSX_SERVER_NAME};

static TLSX *take(TLSX **list, TLSX_Type type) {
    for (; *list != NULL; list = &(*list)->next)
        if ((*list)->type == type) {
            TLSX *found = *list;
            *list = found->next;
            found->next = NULL;
            return found;
        }
    return NULL;
}

/* The linker prescribes these names. NOLINTBEGIN(cert-dcl51-cpp) */
int __real_TLSX_PopulateExtensions(WOLFSSL *ssl, byte server);
int __wrap_TLSX_PopulateExtensions(WOLFSSL *ssl, byte server);
/* NOLINTEND(cert-dcl51-cpp) */
int __wrap_TLSX_PopulateExtensions(WOLFSSL *ssl, byte server) {
    TLSX *ordered = NULL, **end = &ordered;
    int rc = __real_TLSX_PopulateExtensions(ssl, server);
    if (rc != 0)
        return rc;
    if (nx_model_current != NULL && nx_model_current->nx_model_group_count == 0) {
        /* nx_secure_tls_ecc_initialize is missing */
        TLSX_Remove(&ssl->extensions, TLSX_SUPPORTED_GROUPS, ssl->heap);
        TLSX_Remove(&ssl->extensions, TLSX_EC_POINT_FORMATS, ssl->heap);
    } else if (TLSX_Find(ssl->extensions, TLSX_EC_POINT_FORMATS) == NULL) {
        rc = TLSX_UsePointFormat(&ssl->extensions, WOLFSSL_EC_PF_UNCOMPRESSED, ssl->heap);
    }
    for (size_t i = 0; i < sizeof ORDER / sizeof *ORDER; i++)
        if ((*end = take(&ssl->extensions, ORDER[i])) != NULL)
            end = &(*end)->next;
    *end = ssl->extensions;
    ssl->extensions = ordered;
    return rc == WOLFSSL_SUCCESS ? 0 : rc;
}

void nx_model_set_suites(NX_SECURE_TLS_SESSION *session, WOLFSSL *ssl) {
    const NX_SECURE_TLS_CRYPTO *table = session->nx_secure_tls_crypto_table;
    word16 len = 0;
    for (USHORT i = 0; i < table->nx_secure_tls_ciphersuite_lookup_table_size; i++) {
        USHORT code = table->nx_secure_tls_ciphersuite_lookup_table[i].nx_secure_tls_ciphersuite;
        ssl->suites->suites[len++] = (byte)(code >> 8);
        ssl->suites->suites[len++] = (byte)code;
    }
    ssl->suites->suiteSz = len;
    ssl->suites->setSuites = 1;
}

/* In TLS 1.3 NetX leaves SHA-1 and MD5 out. */
void nx_model_set_signatures(NX_SECURE_TLS_SESSION *session, WOLFSSL *ssl) {
    const NX_SECURE_TLS_CRYPTO *table = session->nx_secure_tls_crypto_table;
    word16 len = 0;
    for (USHORT i = 0; i < table->nx_secure_tls_x509_cipher_table_size; i++) {
        USHORT code = table->nx_secure_tls_x509_cipher_table[i].nx_secure_x509_crypto_identifier;
        if (offers_13(session) && code < 0x0303)
            continue;
        ssl->suites->hashSigAlgo[len++] = (byte)(code >> 8);
        ssl->suites->hashSigAlgo[len++] = (byte)code;
    }
    ssl->suites->hashSigAlgoSz = len;
}

bool nx_model_set_groups(NX_SECURE_TLS_SESSION *session, WOLFSSL *ssl) {
    ssl->options.userCurves = 1;
    for (USHORT i = 0; i < session->nx_model_group_count; i++)
        if (wolfSSL_UseSupportedCurve(ssl, session->nx_model_groups[i]) != WOLFSSL_SUCCESS)
            return false;
    return !offers_13(session) || wolfSSL_UseKeyShare(ssl, session->nx_model_groups[0]) == WOLFSSL_SUCCESS;
}

bool nx_model_set_renegotiation_info(WOLFSSL *ssl) {
    if (TLSX_UseSecureRenegotiation(&ssl->extensions, ssl->heap) != WOLFSSL_SUCCESS)
        return false;
    TLSX *extension = TLSX_Find(ssl->extensions, TLSX_RENEGOTIATION_INFO);
    if (extension != NULL)
        ssl->secure_renegotiation = extension->data;
    return extension != NULL;
}
