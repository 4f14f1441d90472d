/* NetX Secure (TLS and X.509), as far as the shim uses it, over wolfSSL (../tls.c, ../x509.c). Declarations
 * of our own for the stand-in: names, codes and meaning are the vendor's, fields that begin with nx_model_
 * ours. */
#ifndef NETX_MODEL_NX_SECURE_TLS_API_H
#define NETX_MODEL_NX_SECURE_TLS_API_H

#include "nx_api.h"

#define NX_SECURE_TLS_TLS_1_2_ENABLED 1
#ifndef NX_SECURE_TLS_TLS_1_3_ENABLED
#define NX_SECURE_TLS_TLS_1_3_ENABLED 1
#endif

#define NX_SECURE_TLS_VERSION_TLS_1_2 0x0303
#define NX_SECURE_TLS_VERSION_TLS_1_3 0x0304

#define NX_SECURE_TLS_ID                          0x544c5320ul
#define NX_SECURE_TLS_MINIMUM_MESSAGE_BUFFER_SIZE 4000

/* TLS codes */
#define NX_SECURE_TLS_SUCCESS                         0x00u
#define NX_SECURE_TLS_SESSION_UNINITIALIZED           0x101u
#define NX_SECURE_TLS_UNRECOGNIZED_MESSAGE_TYPE       0x102u
#define NX_SECURE_TLS_INCORRECT_MESSAGE_LENGTH        0x10Au
#define NX_SECURE_TLS_HANDSHAKE_FAILURE               0x107u
#define NX_SECURE_TLS_HASH_MAC_VERIFY_FAILURE         0x108u
#define NX_SECURE_TLS_TCP_SEND_FAILED                 0x109u
#define NX_SECURE_TLS_UNKNOWN_TLS_VERSION             0x10Fu
#define NX_SECURE_TLS_UNSUPPORTED_TLS_VERSION         0x110u
#define NX_SECURE_TLS_ALERT_RECEIVED                  0x114u
#define NX_SECURE_TLS_FINISHED_HASH_FAILURE           0x115u
#define NX_SECURE_TLS_UNKNOWN_CERT_SIG_ALGORITHM      0x116u
#define NX_SECURE_TLS_CERTIFICATE_SIG_CHECK_FAILED    0x117u
#define NX_SECURE_TLS_CERTIFICATE_NOT_FOUND           0x119u
#define NX_SECURE_TLS_INVALID_SELF_SIGNED_CERT        0x11Au
#define NX_SECURE_TLS_ISSUER_CERTIFICATE_NOT_FOUND    0x11Bu
#define NX_SECURE_TLS_CLOSE_NOTIFY_RECEIVED           0x127u
#define NX_SECURE_TLS_UNSUPPORTED_CERT_SIGN_TYPE      0x12Bu
#define NX_SECURE_TLS_UNSUPPORTED_CERT_SIGN_ALG       0x12Cu
#define NX_SECURE_TLS_INSUFFICIENT_CERT_SPACE         0x12Du
#define NX_SECURE_TLS_PACKET_BUFFER_TOO_SMALL         0x135u
#define NX_SECURE_TLS_UNSUPPORTED_ECC_CURVE           0x14Bu
#define NX_SECURE_TLS_UNSUPPORTED_SIGNATURE_ALGORITHM 0x14Du

/* X.509 codes */
#define NX_SECURE_X509_SUCCESS                      0x00u
#define NX_SECURE_X509_INVALID_CERTIFICATE_SEQUENCE 0x186u
#define NX_SECURE_X509_UNEXPECTED_ASN1_TAG          0x189u
#define NX_SECURE_X509_PKCS1_INVALID_PRIVATE_KEY    0x18Au
#define NX_SECURE_X509_PKCS7_PARSING_FAILED         0x18Du
#define NX_SECURE_X509_INVALID_TAG_CLASS            0x190u
#define NX_SECURE_X509_CERTIFICATE_EXPIRED          0x193u
#define NX_SECURE_X509_CERTIFICATE_NOT_YET_VALID    0x194u
#define NX_SECURE_X509_CERTIFICATE_DNS_MISMATCH     0x195u
#define NX_SECURE_X509_EXTENSION_NOT_FOUND          0x19Bu
#define NX_SECURE_X509_EXT_KEY_USAGE_NOT_FOUND      0x19Fu
#define NX_SECURE_X509_KEY_USAGE_ERROR              0x1A0u
#define NX_SECURE_X509_INVALID_CERTIFICATE          0x1A2u

#define NX_SECURE_X509_KEY_TYPE_NONE          0x0u
#define NX_SECURE_X509_KEY_TYPE_RSA_PKCS1_DER 0x1u
#define NX_SECURE_X509_KEY_TYPE_EC_DER        0x2u

#define NX_SECURE_X509_DNS_NAME_MAX                 100
#define NX_SECURE_X509_KEY_USAGE_DIGITAL_SIGNATURE  0x8000u
#define NX_SECURE_X509_KEY_USAGE_KEY_ENCIPHERMENT   0x2000u
#define NX_SECURE_TLS_X509_TYPE_PKIX_KP_SERVER_AUTH 51u

typedef struct NX_CRYPTO_METHOD_STRUCT {
    UINT nx_crypto_algorithm;
} NX_CRYPTO_METHOD;

typedef struct NX_SECURE_TLS_CIPHERSUITE_INFO_STRUCT {
    USHORT nx_secure_tls_ciphersuite;
    const NX_CRYPTO_METHOD *nx_secure_tls_public_cipher;
    const NX_CRYPTO_METHOD *nx_secure_tls_public_auth;
    const NX_CRYPTO_METHOD *nx_secure_tls_session_cipher;
    USHORT nx_secure_tls_iv_size;
    UCHAR nx_secure_tls_session_key_size;
    const NX_CRYPTO_METHOD *nx_secure_tls_hash;
    USHORT nx_secure_tls_hash_size;
    const NX_CRYPTO_METHOD *nx_secure_tls_prf;
} NX_SECURE_TLS_CIPHERSUITE_INFO;

typedef struct NX_SECURE_X509_CRYPTO_STRUCT {
    USHORT nx_secure_x509_crypto_identifier;
} NX_SECURE_X509_CRYPTO;

typedef struct NX_SECURE_TLS_CRYPTO_STRUCT {
    NX_SECURE_TLS_CIPHERSUITE_INFO *nx_secure_tls_ciphersuite_lookup_table;
    USHORT nx_secure_tls_ciphersuite_lookup_table_size;
    NX_SECURE_X509_CRYPTO *nx_secure_tls_x509_cipher_table;
    USHORT nx_secure_tls_x509_cipher_table_size;
} NX_SECURE_TLS_CRYPTO;

typedef struct NX_SECURE_X509_DNS_NAME_STRUCT {
    UCHAR nx_secure_x509_dns_name[NX_SECURE_X509_DNS_NAME_MAX];
    USHORT nx_secure_x509_dns_name_length;
    struct NX_SECURE_X509_DNS_NAME_STRUCT *nx_secure_x509_dns_name_next;
} NX_SECURE_X509_DNS_NAME;

typedef struct NX_SECURE_X509_CERT_STRUCT {
    UCHAR *nx_secure_x509_certificate_raw_data;
    UINT nx_secure_x509_certificate_raw_data_length;
    UINT nx_secure_x509_certificate_raw_buffer_size;
    UINT nx_secure_x509_private_key_type;
    const UCHAR *nx_model_key;
    USHORT nx_model_key_length;
    UINT nx_secure_x509_certificate_is_identity_cert;
    struct NX_SECURE_X509_CERT_STRUCT *nx_secure_x509_next_certificate;
} NX_SECURE_X509_CERT;

typedef struct NX_SECURE_TLS_SESSION_STRUCT {
    ULONG nx_secure_tls_id;
    const NX_SECURE_TLS_CRYPTO *nx_secure_tls_crypto_table;
    UCHAR *nx_secure_tls_packet_buffer;
    ULONG nx_secure_tls_packet_buffer_size;
    NX_PACKET_POOL *nx_secure_tls_packet_pool;
    NX_TCP_SOCKET *nx_secure_tls_tcp_socket;
    USHORT nx_secure_tls_protocol_version;
    USHORT nx_secure_tls_protocol_version_override;
    UCHAR nx_secure_tls_1_3;
    const NX_SECURE_TLS_CIPHERSUITE_INFO *nx_secure_tls_session_ciphersuite;
    UINT nx_secure_tls_received_alert_level;
    UINT nx_secure_tls_received_alert_value;
    ULONG (*nx_secure_tls_session_time_function)(VOID);
    ULONG(*nx_secure_tls_session_certificate_callback)
    (struct NX_SECURE_TLS_SESSION_STRUCT *, NX_SECURE_X509_CERT *);
    NX_SECURE_X509_DNS_NAME *nx_secure_tls_sni_extension_server_name;
    const USHORT *nx_model_groups;
    USHORT nx_model_group_count;
    /* Stores: in lists, in the order they were added. */
    NX_SECURE_X509_CERT *nx_model_local, *nx_model_trusted, *nx_model_remote_space;
    struct nx_model_tls *nx_model_tls;
    struct NX_SECURE_TLS_SESSION_STRUCT *nx_secure_tls_created_next;
} NX_SECURE_TLS_SESSION;

#ifdef __cplusplus
extern "C" {
#endif

VOID nx_secure_tls_initialize(VOID);
UINT nx_secure_tls_metadata_size_calculate(const NX_SECURE_TLS_CRYPTO *table, ULONG *size);
UINT nx_secure_tls_session_create(NX_SECURE_TLS_SESSION *session, const NX_SECURE_TLS_CRYPTO *table,
                                  VOID *metadata, ULONG metadata_size);
UINT nx_secure_tls_ecc_initialize(NX_SECURE_TLS_SESSION *session, const USHORT *groups, USHORT group_count,
                                  const NX_CRYPTO_METHOD **curves);
UINT nx_secure_tls_session_protocol_version_override(NX_SECURE_TLS_SESSION *session, USHORT version);
UINT nx_secure_tls_session_packet_buffer_set(NX_SECURE_TLS_SESSION *session, UCHAR *buffer, ULONG size);
UINT nx_secure_tls_local_certificate_add(NX_SECURE_TLS_SESSION *session, NX_SECURE_X509_CERT *certificate);
UINT nx_secure_tls_trusted_certificate_add(NX_SECURE_TLS_SESSION *session, NX_SECURE_X509_CERT *certificate);
UINT nx_secure_tls_remote_certificate_allocate(NX_SECURE_TLS_SESSION *session,
                                               NX_SECURE_X509_CERT *certificate, UCHAR *buffer, UINT size);
UINT nx_secure_tls_session_time_function_set(NX_SECURE_TLS_SESSION *session, ULONG (*function)(VOID));
UINT nx_secure_tls_session_certificate_callback_set(NX_SECURE_TLS_SESSION *session,
                                                    ULONG (*function)(NX_SECURE_TLS_SESSION *,
                                                                      NX_SECURE_X509_CERT *));
UINT nx_secure_tls_session_sni_extension_set(NX_SECURE_TLS_SESSION *session, NX_SECURE_X509_DNS_NAME *name);
/* Called by this name when error checking is on, so that a link with --wrap meets the same symbol as there.
 */
#define nx_secure_tls_session_start _nxe_secure_tls_session_start
UINT nx_secure_tls_session_start(NX_SECURE_TLS_SESSION *session, NX_TCP_SOCKET *socket, UINT wait_option);
UINT nx_secure_tls_session_send(NX_SECURE_TLS_SESSION *session, NX_PACKET *packet, ULONG wait_option);
UINT nx_secure_tls_session_receive(NX_SECURE_TLS_SESSION *session, NX_PACKET **packet, ULONG wait_option);
UINT nx_secure_tls_session_end(NX_SECURE_TLS_SESSION *session, UINT wait_option);
UINT nx_secure_tls_session_delete(NX_SECURE_TLS_SESSION *session);
UINT nx_secure_tls_packet_allocate(NX_SECURE_TLS_SESSION *session, NX_PACKET_POOL *pool, NX_PACKET **packet,
                                   ULONG wait_option);

UINT nx_secure_x509_certificate_initialize(NX_SECURE_X509_CERT *certificate, UCHAR *data, USHORT length,
                                           UCHAR *buffer, USHORT buffer_size, const UCHAR *key,
                                           USHORT key_length, UINT key_type);
UINT nx_secure_x509_common_name_dns_check(NX_SECURE_X509_CERT *certificate, const UCHAR *name, UINT length);
UINT nx_secure_x509_extended_key_usage_extension_parse(NX_SECURE_X509_CERT *certificate, UINT usage);
UINT nx_secure_x509_key_usage_extension_parse(NX_SECURE_X509_CERT *certificate, USHORT *bits);
UINT nx_secure_x509_dns_name_initialize(NX_SECURE_X509_DNS_NAME *name, const UCHAR *text, USHORT length);

#ifdef __cplusplus
}
#endif
#endif
