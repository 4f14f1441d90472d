/* One nx_secure TLS client session on wolfSSL, held to what NetX offers, checks and answers: its API.
 *
 * The library makes the records; what NetX decides differently is decided by us: the ClientHello is made from
 * NetX's tables (hello.c: suites, groups, signature algorithms, extensions and their order), certificates are
 * judged by x509.c (asked from decide.c), alerts get NetX's numbers (transport.c), and errors NetX's codes.
 */
#include "host.h"
#include "session.h"

#include <stdlib.h>
#include <string.h>

#define METADATA_13     11544u
#define METADATA_12     10128u
#define RECEIVE_MAX     16384
#define HANDSHAKE_WAITS 3u /* the library has one bound a record; a chattering peer must end as well */

static NX_SECURE_TLS_SESSION *created;
NX_SECURE_TLS_SESSION *nx_model_current;
static bool no_downgrade;

VOID nx_model_no_downgrade(UINT on) {
    no_downgrade = on != 0;
}

/* --- set-up --- */

static bool alive(const NX_SECURE_TLS_SESSION *session) {
    return session != NULL && session->nx_secure_tls_id == NX_SECURE_TLS_ID;
}

VOID nx_secure_tls_initialize(VOID) {
    (void)wolfSSL_Init();
}

UINT nx_secure_tls_metadata_size_calculate(const NX_SECURE_TLS_CRYPTO *table, ULONG *size) {
    *size = METADATA_12;
    for (USHORT i = 0; i < table->nx_secure_tls_ciphersuite_lookup_table_size; i++)
        if (table->nx_secure_tls_ciphersuite_lookup_table[i].nx_secure_tls_ciphersuite >> 8 == 0x13)
            *size = METADATA_13;
    return NX_SUCCESS;
}

UINT nx_secure_tls_session_create(NX_SECURE_TLS_SESSION *session, const NX_SECURE_TLS_CRYPTO *table,
                                  VOID *metadata, ULONG metadata_size) {
    ULONG needed = 0;
    if (session == NULL || table == NULL || metadata == NULL)
        return NX_PTR_ERROR;
    for (const NX_SECURE_TLS_SESSION *made = created; made != NULL; made = made->nx_secure_tls_created_next)
        if (made == session)
            return NX_PTR_ERROR; /* never deleted */
    (void)nx_secure_tls_metadata_size_calculate(table, &needed);
    memset(session, 0, sizeof *session);
    if (metadata_size < needed)
        return NX_INVALID_PARAMETERS;
    session->nx_model_tls = calloc(1, sizeof *session->nx_model_tls);
    if (session->nx_model_tls == NULL)
        return NX_NO_PACKET;
    session->nx_secure_tls_crypto_table = table;
    session->nx_secure_tls_1_3 = needed == METADATA_13;
    session->nx_secure_tls_id = NX_SECURE_TLS_ID;
    session->nx_secure_tls_created_next = created;
    created = session;
    return NX_SUCCESS;
}

UINT nx_secure_tls_ecc_initialize(NX_SECURE_TLS_SESSION *session, const USHORT *groups, USHORT group_count,
                                  const NX_CRYPTO_METHOD **curves) {
    if (session == NULL || groups == NULL || curves == NULL)
        return NX_PTR_ERROR;
    if (!alive(session))
        return NX_SECURE_TLS_SESSION_UNINITIALIZED;
    session->nx_model_groups = groups;
    session->nx_model_group_count = group_count;
    return NX_SUCCESS;
}

UINT nx_secure_tls_session_protocol_version_override(NX_SECURE_TLS_SESSION *session, USHORT version) {
    if (!alive(session))
        return NX_SECURE_TLS_SESSION_UNINITIALIZED;
    if (version == NX_SECURE_TLS_VERSION_TLS_1_3) {
        session->nx_secure_tls_protocol_version_override =
            NX_SECURE_TLS_VERSION_TLS_1_2; /* the legacy field */
        return session->nx_secure_tls_1_3 != 0 ? NX_SUCCESS : NX_SECURE_TLS_UNSUPPORTED_TLS_VERSION;
    }
    if (version != NX_SECURE_TLS_VERSION_TLS_1_2)
        return NX_SECURE_TLS_UNSUPPORTED_TLS_VERSION;
    session->nx_secure_tls_protocol_version_override = version;
    session->nx_secure_tls_1_3 = NX_FALSE;
    return NX_SUCCESS;
}

UINT nx_secure_tls_session_packet_buffer_set(NX_SECURE_TLS_SESSION *session, UCHAR *buffer, ULONG size) {
    if (session == NULL || buffer == NULL)
        return NX_PTR_ERROR;
    if (size < NX_SECURE_TLS_MINIMUM_MESSAGE_BUFFER_SIZE)
        return NX_INVALID_PARAMETERS;
    if (!alive(session))
        return NX_SECURE_TLS_SESSION_UNINITIALIZED;
    session->nx_secure_tls_packet_buffer = buffer;
    session->nx_secure_tls_packet_buffer_size = size & ~3ul;
    return NX_SUCCESS;
}

/* At the end of the list; the same certificate, or one with the same common name, only once. */
static UINT add(NX_SECURE_X509_CERT **list, NX_SECURE_X509_CERT *certificate, bool twice) {
    struct nx_model_x509 own, other;
    if (!twice)
        (void)nx_model_x509_parse(certificate->nx_secure_x509_certificate_raw_data,
                                  certificate->nx_secure_x509_certificate_raw_data_length, &own);
    for (; *list != NULL; list = &(*list)->nx_secure_x509_next_certificate) {
        if (*list == certificate)
            return NX_INVALID_PARAMETERS;
        if (twice)
            continue;
        (void)nx_model_x509_parse((*list)->nx_secure_x509_certificate_raw_data,
                                  (*list)->nx_secure_x509_certificate_raw_data_length, &other);
        if (strcmp(own.common_name, other.common_name) == 0)
            return NX_INVALID_PARAMETERS;
    }
    certificate->nx_secure_x509_next_certificate = NULL;
    *list = certificate;
    return NX_SUCCESS;
}

UINT nx_secure_tls_local_certificate_add(NX_SECURE_TLS_SESSION *session, NX_SECURE_X509_CERT *certificate) {
    if (session == NULL || certificate == NULL)
        return NX_PTR_ERROR;
    return alive(session) ? add(&session->nx_model_local, certificate, false)
                          : NX_SECURE_TLS_SESSION_UNINITIALIZED;
}

UINT nx_secure_tls_trusted_certificate_add(NX_SECURE_TLS_SESSION *session, NX_SECURE_X509_CERT *certificate) {
    if (session == NULL || certificate == NULL)
        return NX_PTR_ERROR;
    return alive(session) ? add(&session->nx_model_trusted, certificate, false)
                          : NX_SECURE_TLS_SESSION_UNINITIALIZED;
}

UINT nx_secure_tls_remote_certificate_allocate(NX_SECURE_TLS_SESSION *session,
                                               NX_SECURE_X509_CERT *certificate, UCHAR *buffer, UINT size) {
    if (session == NULL || certificate == NULL || buffer == NULL)
        return NX_PTR_ERROR;
    if (!alive(session))
        return NX_SECURE_TLS_SESSION_UNINITIALIZED;
    if (size == 0)
        return NX_SECURE_TLS_INSUFFICIENT_CERT_SPACE;
    certificate->nx_secure_x509_certificate_raw_data = buffer;
    certificate->nx_secure_x509_certificate_raw_buffer_size = size;
    return add(&session->nx_model_remote_space, certificate, true);
}

UINT nx_secure_tls_session_time_function_set(NX_SECURE_TLS_SESSION *session, ULONG (*function)(VOID)) {
    if (session == NULL || function == NULL)
        return NX_PTR_ERROR;
    session->nx_secure_tls_session_time_function = function;
    return NX_SUCCESS;
}

UINT nx_secure_tls_session_certificate_callback_set(NX_SECURE_TLS_SESSION *session,
                                                    ULONG (*function)(NX_SECURE_TLS_SESSION *,
                                                                      NX_SECURE_X509_CERT *)) {
    if (session == NULL || function == NULL)
        return NX_PTR_ERROR;
    session->nx_secure_tls_session_certificate_callback = function;
    return NX_SUCCESS;
}

UINT nx_secure_tls_session_sni_extension_set(NX_SECURE_TLS_SESSION *session, NX_SECURE_X509_DNS_NAME *name) {
    if (session == NULL || name == NULL)
        return NX_PTR_ERROR;
    session->nx_secure_tls_sni_extension_server_name = name;
    return NX_SUCCESS;
}

/* --- the session --- */

/* Our own certificate with its chain, leaf first; nothing when there is none with a key. */
static bool load_own(NX_SECURE_TLS_SESSION *session, WOLFSSL_CTX *ctx) {
    UCHAR chain[8192];
    size_t len = 0;
    const NX_SECURE_X509_CERT *own = NULL;
    for (const NX_SECURE_X509_CERT *cert = session->nx_model_local; cert != NULL;
         cert = cert->nx_secure_x509_next_certificate) {
        if (own == NULL && cert->nx_secure_x509_certificate_is_identity_cert == 0)
            continue; /* NetX sends the first one that has a key */
        own = own == NULL ? cert : own;
        if (len + cert->nx_secure_x509_certificate_raw_data_length > sizeof chain)
            return false;
        memcpy(chain + len, cert->nx_secure_x509_certificate_raw_data,
               cert->nx_secure_x509_certificate_raw_data_length);
        len += cert->nx_secure_x509_certificate_raw_data_length;
    }
    if (own == NULL)
        return true;
    struct nx_model_x509 parsed;
    (void)nx_model_x509_parse(own->nx_secure_x509_certificate_raw_data,
                              own->nx_secure_x509_certificate_raw_data_length, &parsed);
    session->nx_model_tls->mixed =
        parsed.ec && own->nx_secure_x509_private_key_type == NX_SECURE_X509_KEY_TYPE_RSA_PKCS1_DER;
    if (session->nx_model_tls->mixed)
        wolfSSL_CTX_SetRsaSignCb(ctx, nx_model_on_rsa_sign);
    return wolfSSL_CTX_use_certificate_chain_buffer_format(ctx, chain, (long)len, WOLFSSL_FILETYPE_ASN1) ==
               WOLFSSL_SUCCESS &&
           wolfSSL_CTX_use_PrivateKey_buffer(ctx, own->nx_model_key, own->nx_model_key_length,
                                             WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS;
}

static bool make(NX_SECURE_TLS_SESSION *session) {
    struct nx_model_tls *tls = session->nx_model_tls;
    const NX_SECURE_X509_DNS_NAME *name = session->nx_secure_tls_sni_extension_server_name;
    tls->ctx = wolfSSL_CTX_new(offers_13(session) ? wolfSSLv23_client_method() : wolfTLSv1_2_client_method());
    if (tls->ctx == NULL || wolfSSL_CTX_SetMinVersion(tls->ctx, offers_13(session) && no_downgrade
                                                                    ? WOLFSSL_TLSV1_3
                                                                    : WOLFSSL_TLSV1_2) != WOLFSSL_SUCCESS)
        return false;
    wolfSSL_CTX_SetIORecv(tls->ctx, nx_model_on_recv);
    wolfSSL_CTX_SetIOSend(tls->ctx, nx_model_on_send);
    wolfSSL_CTX_set_verify(tls->ctx, WOLFSSL_VERIFY_PEER, nx_model_on_verify);
    wolfSSL_CTX_SetRsaPssSignCb(tls->ctx, nx_model_on_pss);
    wolfSSL_CTX_SetTlsFinishedCb(tls->ctx, nx_model_on_finished);
    if (!load_own(session, tls->ctx) || (tls->ssl = wolfSSL_new(tls->ctx)) == NULL)
        return false;
    wolfSSL_SetIOReadCtx(tls->ssl, tls);
    wolfSSL_SetIOWriteCtx(tls->ssl, tls);
    wolfSSL_SetCertCbCtx(tls->ssl, tls);
    if (name != NULL && wolfSSL_UseSNI(tls->ssl, WOLFSSL_SNI_HOST_NAME, name->nx_secure_x509_dns_name,
                                       name->nx_secure_x509_dns_name_length) != WOLFSSL_SUCCESS)
        return false;
    nx_model_set_suites(session, tls->ssl);
    nx_model_set_signatures(session, tls->ssl);
    return nx_model_set_groups(session, tls->ssl) &&
           (offers_13(session) || nx_model_set_renegotiation_info(tls->ssl));
}

/* The alert that came, as NetX's session remembers it. */
static bool alert_came(NX_SECURE_TLS_SESSION *session) {
    WOLFSSL_ALERT_HISTORY history;
    if (wolfSSL_get_alert_history(session->nx_model_tls->ssl, &history) != WOLFSSL_SUCCESS ||
        history.last_rx.code < 0 || history.last_rx.code == close_notify)
        return false;
    session->nx_secure_tls_received_alert_level = (UINT)history.last_rx.level;
    session->nx_secure_tls_received_alert_value = (UINT)history.last_rx.code;
    return true;
}

/* NetX's code for what ended the handshake or a call; sends the alert if the library has sent none. */
static UINT explain(NX_SECURE_TLS_SESSION *session, int rc) {
    struct nx_model_tls *tls = session->nx_model_tls;
    WOLFSSL_ALERT_HISTORY history;
    int error = wolfSSL_get_error(tls->ssl, rc);
    if (alert_came(session))
        return NX_SECURE_TLS_ALERT_RECEIVED;
    if (error == WOLFSSL_ERROR_WANT_READ || error == WOLFSSL_ERROR_WANT_WRITE)
        return NX_NO_PACKET;
    if (error == WOLFSSL_ERROR_ZERO_RETURN)
        return NX_SECURE_TLS_CLOSE_NOTIFY_RECEIVED;
    UINT code = tls->verdict;
    if (code == NX_SUCCESS && (tls->net_rc == HIL_NET_CLOSED || tls->net_rc == HIL_NET_RESET))
        return NX_NOT_CONNECTED;
    if (code == NX_SUCCESS)
        code = tls->handshake && wolfSSL_get_alert_history(tls->ssl, &history) == WOLFSSL_SUCCESS &&
                       history.last_tx.code >= 42 && history.last_tx.code <= 48 && !tls->judged
                   ? NX_SECURE_X509_UNEXPECTED_ASN1_TAG
                   : nx_model_code_for(error, tls->handshake);
    if (wolfSSL_get_alert_history(tls->ssl, &history) == WOLFSSL_SUCCESS && history.last_tx.code < 0) {
        tls->verdict = code;
        nx_model_bound(tls, NX_IP_PERIODIC_RATE, 1);
        (void)SendAlert(tls->ssl, alert_fatal, nx_model_alert_for(code));
    }
    return code;
}

static void note_suite(NX_SECURE_TLS_SESSION *session) {
    const NX_SECURE_TLS_CRYPTO *table = session->nx_secure_tls_crypto_table;
    const WOLFSSL *ssl = session->nx_model_tls->ssl;
    USHORT code = (USHORT)(ssl->options.cipherSuite0 << 8 | ssl->options.cipherSuite);
    if (ssl->options.serverState < SERVER_HELLO_COMPLETE)
        return;
    for (USHORT i = 0; i < table->nx_secure_tls_ciphersuite_lookup_table_size; i++)
        if (table->nx_secure_tls_ciphersuite_lookup_table[i].nx_secure_tls_ciphersuite == code)
            session->nx_secure_tls_session_ciphersuite = &table->nx_secure_tls_ciphersuite_lookup_table[i];
    session->nx_secure_tls_1_3 = wolfSSL_version(session->nx_model_tls->ssl) == TLS1_3_VERSION;
    session->nx_secure_tls_protocol_version = NX_SECURE_TLS_VERSION_TLS_1_2;
}

UINT nx_secure_tls_session_start(NX_SECURE_TLS_SESSION *session, NX_TCP_SOCKET *socket, UINT wait_option) {
    if (session == NULL || socket == NULL)
        return NX_PTR_ERROR;
    if (!alive(session))
        return NX_SECURE_TLS_SESSION_UNINITIALIZED;
    struct nx_model_tls *tls = session->nx_model_tls;
    session->nx_secure_tls_tcp_socket = socket;
    session->nx_secure_tls_received_alert_level = session->nx_secure_tls_received_alert_value = 0;
    if (offers_13(session) && session->nx_model_group_count == 0)
        return NX_NOT_SUCCESSFUL; /* no key share can be made */
    if (session->nx_secure_tls_packet_buffer == NULL)
        return NX_SECURE_TLS_PACKET_BUFFER_TOO_SMALL;
    nx_model_current = session;
    if (!make(session)) {
        nx_model_current = NULL;
        return NX_NOT_SUCCESSFUL;
    }
    tls->handshake = true;
    nx_model_bound(tls, wait_option, HANDSHAKE_WAITS);
    UINT code = NX_SUCCESS;
    int rc = wolfSSL_connect(tls->ssl);
    note_suite(session);
    if (rc != WOLFSSL_SUCCESS)
        code = explain(session, rc);
    tls->handshake = false;
    tls->dead = code != NX_SUCCESS;
    nx_model_current = NULL;
    return code;
}

UINT nx_secure_tls_packet_allocate(NX_SECURE_TLS_SESSION *session, NX_PACKET_POOL *pool, NX_PACKET **packet,
                                   ULONG wait_option) {
    (void)session;
    return nx_packet_allocate(pool, packet, NX_TCP_PACKET, wait_option);
}

UINT nx_secure_tls_session_send(NX_SECURE_TLS_SESSION *session, NX_PACKET *packet, ULONG wait_option) {
    if (!alive(session) || session->nx_model_tls->ssl == NULL)
        return NX_SECURE_TLS_SESSION_UNINITIALIZED;
    struct nx_model_tls *tls = session->nx_model_tls;
    if (tls->dead)
        return NX_NOT_CONNECTED;
    nx_model_current = session;
    nx_model_bound(tls, wait_option, 1);
    int rc = wolfSSL_write(tls->ssl, packet->nx_model_data, (int)packet->nx_packet_length);
    UINT code = rc > 0 ? nx_packet_release(packet) : explain(session, rc);
    if (code == NX_NO_PACKET)
        code = NX_SECURE_TLS_TCP_SEND_FAILED;
    nx_model_current = NULL;
    return code;
}

UINT nx_secure_tls_session_receive(NX_SECURE_TLS_SESSION *session, NX_PACKET **packet, ULONG wait_option) {
    static UCHAR bytes[RECEIVE_MAX];
    *packet = NULL;
    if (!alive(session) || session->nx_model_tls->ssl == NULL)
        return NX_SECURE_TLS_SESSION_UNINITIALIZED;
    struct nx_model_tls *tls = session->nx_model_tls;
    if (tls->dead)
        return NX_NOT_CONNECTED;
    nx_model_current = session;
    nx_model_bound(tls, wait_option, 1);
    int rc = wolfSSL_read(tls->ssl, bytes, sizeof bytes);
    UINT code = rc > 0 ? nx_packet_allocate(nx_model_pool(), packet, NX_TCP_PACKET, 0) : explain(session, rc);
    if (rc > 0 && code == NX_SUCCESS)
        code = nx_packet_data_append(*packet, bytes, (ULONG)rc, NULL, 0);
    else if (code != NX_NO_PACKET)
        tls->dead = true;
    nx_model_current = NULL;
    return code;
}

UINT nx_secure_tls_session_end(NX_SECURE_TLS_SESSION *session, UINT wait_option) {
    if (!alive(session) || session->nx_model_tls->ssl == NULL)
        return NX_SECURE_TLS_SESSION_UNINITIALIZED;
    nx_model_current = session;
    nx_model_bound(session->nx_model_tls, wait_option, 1);
    int rc = wolfSSL_shutdown(session->nx_model_tls->ssl);
    nx_model_current = NULL;
    session->nx_model_tls->dead = true;
    return rc >= 0 ? NX_SUCCESS : NX_SECURE_TLS_TCP_SEND_FAILED;
}

UINT nx_secure_tls_session_delete(NX_SECURE_TLS_SESSION *session) {
    if (!alive(session))
        return NX_SECURE_TLS_SESSION_UNINITIALIZED;
    for (NX_SECURE_TLS_SESSION **at = &created; *at != NULL; at = &(*at)->nx_secure_tls_created_next)
        if (*at == session) {
            *at = session->nx_secure_tls_created_next;
            break;
        }
    struct nx_model_tls *tls = session->nx_model_tls;
    if (tls->ssl != NULL)
        wolfSSL_free(tls->ssl);
    if (tls->ctx != NULL)
        wolfSSL_CTX_free(tls->ctx);
    free(tls);
    session->nx_model_tls = NULL;
    session->nx_secure_tls_id = 0;
    return NX_SUCCESS;
}
