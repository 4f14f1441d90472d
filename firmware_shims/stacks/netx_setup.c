/* The set-up of a TLS session in NetX Secure, as a callback of nxd_mqtt_client_secure_connect. NetX verifies
 * the chain by itself; dates only with a time function, names and usage only in a certificate callback. */
#include "hil/netx.h"

#include "hil/shim.h"
#include "netx_pem.h"
#include "tls_common.h"

#include <string.h>

#ifdef NX_MODEL
#include <nx_model.h>
#endif

#define DER_MAX   8192u /* all of our certificates and keys together */
#define TABLE_MAX 16

extern const NX_SECURE_TLS_CRYPTO nx_crypto_tls_ciphers_ecc;
extern const USHORT nx_crypto_ecc_supported_groups[];
extern const UINT nx_crypto_ecc_supported_groups_size;
extern const NX_CRYPTO_METHOD *nx_crypto_ecc_curves[];

/* For the suite that is added by hand. */
extern NX_CRYPTO_METHOD crypto_method_ecdhe, crypto_method_rsa, crypto_method_aes_256_gcm_16,
    crypto_method_null, crypto_method_tls_prf_sha384;

static const struct hil_tls_config *config;

/* NetX copies nothing of this: it stays until the session is deleted. What any NetX application needs as well
 * has a section of its own, so that `make size` shows what the shim adds. */
#define NETX_NEEDS __attribute__((section(".bss.netx"), aligned(8)))
static UCHAR metadata[HIL_NETX_METADATA_SIZE] NETX_NEEDS;
static UCHAR packet_buffer[HIL_NETX_PACKET_BUFFER_SIZE] NETX_NEEDS;
static UCHAR remote_data[HIL_NETX_REMOTE_CERTS][HIL_NETX_REMOTE_CERT_SIZE] NETX_NEEDS;
static NX_SECURE_X509_CERT remote[HIL_NETX_REMOTE_CERTS] NETX_NEEDS;
static NX_SECURE_X509_CERT store[HIL_NETX_STORE_CERTS] NETX_NEEDS;
static UCHAR der[DER_MAX] NETX_NEEDS;
static size_t der_used, store_used;
static NX_SECURE_X509_DNS_NAME server_name NETX_NEEDS;
static NX_SECURE_TLS_CIPHERSUITE_INFO suites[TABLE_MAX];
static NX_SECURE_TLS_CRYPTO table;
static USHORT groups[TABLE_MAX];
static const NX_CRYPTO_METHOD *curves[TABLE_MAX];

UINT hil_netx_api(const char *name, UINT code) {
    hil_netx_printing = true;
    hil_event("api", "name=%s rc=0x%lx", name, (unsigned long)code);
    hil_netx_printing = false;
    return code;
}

/* The same for our own certificate: which one was added where is what story 000 turned on. */
static UINT own_api(const char *name, UINT code) {
    hil_event("api", "what=client_certificate name=%s rc=0x%lx", name, (unsigned long)code);
    return code;
}

int hil_netx_alert(const NX_SECURE_TLS_SESSION *session) {
    return session->nx_secure_tls_received_alert_level == 0
               ? -1
               : (int)session->nx_secure_tls_received_alert_value;
}

void hil_netx_setup_config(const struct hil_tls_config *given) {
    config = given;
}

static bool defect(uint32_t which) {
    return (config->defects & which) != 0;
}

/* --- what NetX calls back --- */

/* 0 would say that there is no clock, and switch the check of dates off. */
static ULONG on_time(VOID) {
    time_t now = hil_clock_now();
    return now > 0 ? (ULONG)now : 1u;
}

/* The chain is good; is it the broker's? Only during session_start. */
static ULONG on_certificate(NX_SECURE_TLS_SESSION *session, NX_SECURE_X509_CERT *certificate) {
    USHORT bits = 0;
    UINT code = NX_SUCCESS;
    (void)session;
    if (!defect(HIL_DEFECT_NAME_UNCHECKED))
        code = hil_netx_api("nx_secure_x509_common_name_dns_check",
                            nx_secure_x509_common_name_dns_check(certificate, (const UCHAR *)config->host,
                                                                 (UINT)strlen(config->host)));
    if (code != NX_SUCCESS)
        return code;
    code = nx_secure_x509_extended_key_usage_extension_parse(certificate,
                                                             NX_SECURE_TLS_X509_TYPE_PKIX_KP_SERVER_AUTH);
    if (code != NX_SUCCESS && code != NX_SECURE_X509_EXTENSION_NOT_FOUND)
        return hil_netx_api("nx_secure_x509_extended_key_usage_extension_parse", code);
    code = nx_secure_x509_key_usage_extension_parse(certificate, &bits);
    if (code == NX_SUCCESS && (bits & (NX_SECURE_X509_KEY_USAGE_DIGITAL_SIGNATURE |
                                       NX_SECURE_X509_KEY_USAGE_KEY_ENCIPHERMENT)) == 0)
        return hil_netx_api("nx_secure_x509_key_usage_extension_parse", NX_SECURE_X509_KEY_USAGE_ERROR);
    return NX_SUCCESS;
}

/* --- suites and curves --- */

static const struct {
    const char *name;
    USHORT code;
} SUITE_NAMES[] = {
    {"TLS_AES_128_GCM_SHA256", 0x1301},
    {"TLS_AES_128_CCM_SHA256", 0x1304},
    {"TLS_AES_128_CCM_8_SHA256", 0x1305},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xC02B},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xC02F},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", 0xC023},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", 0xC027},
    {"TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009C},
    {"TLS_RSA_WITH_AES_256_CBC_SHA256", 0x003D},
    {"TLS_RSA_WITH_AES_128_CBC_SHA256", 0x003C},
};

/* True when the comma or colon list is empty or names the suite. */
static bool wanted(const char *list, USHORT code) {
    if (list == NULL || *list == '\0')
        return true;
    while (*list != '\0') {
        size_t len = strcspn(list, ",:");
        for (size_t i = 0; i < sizeof SUITE_NAMES / sizeof *SUITE_NAMES; i++)
            if (SUITE_NAMES[i].code == code && strlen(SUITE_NAMES[i].name) == len &&
                memcmp(SUITE_NAMES[i].name, list, len) == 0)
                return true;
        list += len + (list[len] != '\0' ? 1 : 0);
    }
    return false;
}

/* What NX_SECURE_ENABLE_AEAD_CIPHER brings into the table. */
static bool aead(USHORT code) {
    return code == 0xC02B || code == 0xC02F || code == 0x009C;
}

/* The stock table without what this session must not offer. */
static void make_table(bool with_13) {
    const NX_SECURE_TLS_CIPHERSUITE_INFO *stock =
        nx_crypto_tls_ciphers_ecc.nx_secure_tls_ciphersuite_lookup_table;
    USHORT count = 0;
    table = nx_crypto_tls_ciphers_ecc;
    if (defect(HIL_NETX_SHA384_SUITE))
        /* As one finds it in forums. NetX hashes the handshake with SHA-256 all the same. */
        suites[count++] = (NX_SECURE_TLS_CIPHERSUITE_INFO){0xC030,
                                                           &crypto_method_ecdhe,
                                                           &crypto_method_rsa,
                                                           &crypto_method_aes_256_gcm_16,
                                                           16,
                                                           32,
                                                           &crypto_method_null,
                                                           0,
                                                           &crypto_method_tls_prf_sha384};
    for (USHORT i = 0; i < table.nx_secure_tls_ciphersuite_lookup_table_size && count < TABLE_MAX; i++) {
        USHORT code = stock[i].nx_secure_tls_ciphersuite;
        if ((code >> 8 == 0x13 && !with_13) || !wanted(config->suites, code) ||
            (defect(HIL_NETX_NO_AEAD) && aead(code)))
            continue;
        suites[count++] = stock[i];
    }
    table.nx_secure_tls_ciphersuite_lookup_table = suites;
    table.nx_secure_tls_ciphersuite_lookup_table_size = count;
}

/* The stock curves, or those of them that are asked for, in that order. */
static USHORT make_groups(void) {
    uint16_t codes[TABLE_MAX];
    USHORT count = 0;
    int given = config->groups != NULL && *config->groups != '\0'
                    ? hil_group_list(config->groups, codes, TABLE_MAX)
                    : 0;
    for (UINT i = 0; given == 0 && i < nx_crypto_ecc_supported_groups_size && i < TABLE_MAX; i++) {
        groups[i] = nx_crypto_ecc_supported_groups[i];
        curves[i] = nx_crypto_ecc_curves[i];
        count++;
    }
    for (int g = 0; g < given; g++)
        for (UINT i = 0; i < nx_crypto_ecc_supported_groups_size; i++)
            if (nx_crypto_ecc_supported_groups[i] == codes[g]) {
                groups[count] = codes[g];
                curves[count++] = nx_crypto_ecc_curves[i];
            }
    return count;
}

/* --- certificates --- */

/* The next certificate or key as DER that stays; its length in *len. NULL: no further one, or (*len < 0) it
 * cannot be read. */
static UCHAR *keep_der(struct hil_blob in, size_t *at, int *len) {
    UCHAR *out = der + der_used;
    *len = hil_der_next(in, at, out, sizeof der - der_used);
    if (*len <= 0)
        return NULL;
    der_used += (size_t)*len;
    return out;
}

static NX_SECURE_X509_CERT *more_store(void) {
    return store_used < HIL_NETX_STORE_CERTS ? &store[store_used++] : NULL;
}

static UINT add_trusted(NX_SECURE_TLS_SESSION *session, NX_SECURE_X509_CERT *first) {
    NX_SECURE_X509_CERT *cert = first;
    size_t at = 0;
    int len = 0;
    UCHAR *data;
    for (unsigned n = 0; (data = keep_der(config->ca, &at, &len)) != NULL; n++) {
        if (defect(n == 0 ? HIL_NETX_BACKUP_ONLY : HIL_NETX_PRIMARY_ONLY))
            continue;
        if (cert == NULL)
            return hil_netx_api("nx_secure_tls_trusted_certificate_add",
                                NX_SECURE_TLS_INSUFFICIENT_CERT_SPACE);
        UINT code =
            hil_netx_api("nx_secure_x509_certificate_initialize",
                         nx_secure_x509_certificate_initialize(cert, data, (USHORT)len, NX_NULL, 0, NX_NULL,
                                                               0, NX_SECURE_X509_KEY_TYPE_NONE));
        if (code == NX_SUCCESS)
            code = hil_netx_api("nx_secure_tls_trusted_certificate_add",
                                nx_secure_tls_trusted_certificate_add(session, cert));
        if (code != NX_SUCCESS)
            return code;
        cert = more_store();
    }
    if (len < 0) /* what is neither PEM nor DER goes to NetX as it is, for its own code */
        return hil_netx_api("nx_secure_x509_certificate_initialize",
                            nx_secure_x509_certificate_initialize(first, der, 64, NX_NULL, 0, NX_NULL, 0,
                                                                  NX_SECURE_X509_KEY_TYPE_NONE));
    return NX_SUCCESS;
}

/* The key as the set-up hands it over, and its type constant. */
static const UCHAR *private_key(USHORT *len, UINT *type) {
    bool rsa;
    size_t at = 0;
    int got = 0;
    const UCHAR *key = keep_der(config->key, &at, &got);
    *len = 0;
    *type = NX_SECURE_X509_KEY_TYPE_NONE;
    if (config->key.data == NULL)
        return NX_NULL;
    if (key == NX_NULL || defect(HIL_NETX_PEM_KEY)) { /* unreadable, or as it is */
        *len = (USHORT)(config->key.len < 0xFFFF ? config->key.len : 0xFFFF);
        *type = NX_SECURE_X509_KEY_TYPE_RSA_PKCS1_DER;
        return config->key.data;
    }
    /* SEC 1 begins with version 1 (RFC 5915), PKCS#1 with version 0 (RFC 8017 A.1.2). */
    size_t version = key[1] < 0x80 ? 4u : 4u + (key[1] & 0x7Fu);
    rsa = version < (size_t)got && key[version] == 0;
    *type = rsa != defect(HIL_NETX_WRONG_KEY_TYPE) ? NX_SECURE_X509_KEY_TYPE_RSA_PKCS1_DER
                                                   : NX_SECURE_X509_KEY_TYPE_EC_DER;
    if (defect(HIL_NETX_PKCS8_KEY)) {
        UCHAR *out = der + der_used;
        int packed = hil_der_pkcs8(key, (size_t)got, rsa, out, sizeof der - der_used);
        if (packed > 0) {
            der_used += (size_t)packed;
            key = out;
            got = packed;
        }
    }
    *len = (USHORT)got;
    return key;
}

static UINT add_own(NX_SECURE_TLS_SESSION *session, NX_SECURE_X509_CERT *certificate) {
    NX_SECURE_X509_CERT *cert = certificate;
    size_t at = 0;
    int len = 0;
    UCHAR *data;
    USHORT key_len;
    UINT key_type;
    const UCHAR *key;
    if (config->cert.data == NULL)
        return NX_SUCCESS;
    key = private_key(&key_len, &key_type);
    while ((data = keep_der(config->cert, &at, &len)) != NULL) {
        if (cert == NULL)
            return own_api("nx_secure_tls_local_certificate_add", NX_SECURE_TLS_INSUFFICIENT_CERT_SPACE);
        UINT code = own_api("nx_secure_x509_certificate_initialize",
                            nx_secure_x509_certificate_initialize(cert, data, (USHORT)len, NX_NULL, 0, key,
                                                                  key_len, key_type));
        if (code != NX_SUCCESS)
            return code;
        if (defect(HIL_NETX_CERT_AS_TRUSTED))
            code = own_api("nx_secure_tls_trusted_certificate_add",
                           nx_secure_tls_trusted_certificate_add(session, cert));
        else
            code = own_api("nx_secure_tls_local_certificate_add",
                           nx_secure_tls_local_certificate_add(session, cert));
        if (code != NX_SUCCESS)
            return code;
        key = NX_NULL; /* what follows are its intermediates */
        key_len = 0;
        key_type = NX_SECURE_X509_KEY_TYPE_NONE;
        cert = more_store();
    }
    if (len < 0)
        return own_api(
            "nx_secure_x509_certificate_initialize",
            nx_secure_x509_certificate_initialize(certificate, der, 64, NX_NULL, 0, key, key_len, key_type));
    return NX_SUCCESS;
}

/* --- the session --- */

static UINT set_versions(NX_SECURE_TLS_SESSION *session, bool with_13, bool only_13) {
#ifdef NX_MODEL
    nx_model_ecc_engine(defect(HIL_NETX_ECC_ENGINE));
    nx_model_no_downgrade(only_13);
#elif !defined(NX_SECURE_TLS_DISABLE_PROTOCOL_VERSION_DOWNGRADE)
    if (only_13) /* decided when the library is built */
        return hil_netx_api("NX_SECURE_TLS_DISABLE_PROTOCOL_VERSION_DOWNGRADE",
                            NX_SECURE_TLS_UNSUPPORTED_TLS_VERSION);
#else
    (void)only_13;
#endif
    if (with_13)
        return NX_SUCCESS;
    return hil_netx_api(
        "nx_secure_tls_session_protocol_version_override",
        nx_secure_tls_session_protocol_version_override(session, NX_SECURE_TLS_VERSION_TLS_1_2));
}

static UINT set_name(NX_SECURE_TLS_SESSION *session) {
    uint8_t ip[4];
    size_t len = strlen(config->host);
    UINT code;
    if (defect(HIL_DEFECT_NO_SNI) || hil_host_is_ip(config->host, ip) || len == 0)
        return NX_SUCCESS;
    code = hil_netx_api(
        "nx_secure_x509_dns_name_initialize",
        nx_secure_x509_dns_name_initialize(&server_name, (const UCHAR *)config->host, (USHORT)len));
    if (code != NX_SUCCESS)
        return code;
    return hil_netx_api("nx_secure_tls_session_sni_extension_set",
                        nx_secure_tls_session_sni_extension_set(session, &server_name));
}

static UINT set_buffers(NX_SECURE_TLS_SESSION *session) {
    ULONG size = defect(HIL_NETX_SMALL_BUFFER) ? 2048u : sizeof packet_buffer;
    UINT each = defect(HIL_NETX_SMALL_CERT_BUFFER) ? 256u : HIL_NETX_REMOTE_CERT_SIZE;
    UINT code = hil_netx_api("nx_secure_tls_session_packet_buffer_set",
                             nx_secure_tls_session_packet_buffer_set(session, packet_buffer, size));
    for (unsigned i = 0; i < HIL_NETX_REMOTE_CERTS && code == NX_SUCCESS; i++) {
        memset(&remote[i], 0, sizeof remote[i]);
        code = nx_secure_tls_remote_certificate_allocate(session, &remote[i], remote_data[i], each);
        if (code != NX_SUCCESS)
            (void)hil_netx_api("nx_secure_tls_remote_certificate_allocate", code);
    }
    return code;
}

static UINT fill_session(NX_SECURE_TLS_SESSION *session, bool with_13, bool only_13,
                         NX_SECURE_X509_CERT *certificate, NX_SECURE_X509_CERT *trusted) {
    UINT code = set_versions(session, with_13, only_13);
    if (code == NX_SUCCESS && !defect(HIL_NETX_ECC_UNINITIALISED))
        code = hil_netx_api("nx_secure_tls_ecc_initialize",
                            nx_secure_tls_ecc_initialize(session, groups, make_groups(), curves));
    if (code == NX_SUCCESS)
        code = set_buffers(session);
    if (code == NX_SUCCESS && !defect(HIL_DEFECT_DATES_UNCHECKED))
        code = hil_netx_api("nx_secure_tls_session_time_function_set",
                            nx_secure_tls_session_time_function_set(session, on_time));
    if (code == NX_SUCCESS)
        code = hil_netx_api("nx_secure_tls_session_certificate_callback_set",
                            nx_secure_tls_session_certificate_callback_set(session, on_certificate));
    if (code == NX_SUCCESS)
        code = set_name(session);
    if (code == NX_SUCCESS)
        code = add_trusted(session, trusted);
    if (code == NX_SUCCESS)
        code = add_own(session, certificate);
    return code;
}

UINT hil_netx_tls_setup(struct NXD_MQTT_CLIENT_STRUCT *client, NX_SECURE_TLS_SESSION *session,
                        NX_SECURE_X509_CERT *certificate, NX_SECURE_X509_CERT *trusted) {
#if NX_SECURE_TLS_TLS_1_3_ENABLED
    bool with_13 = config->max_version >= 13 || defect(HIL_NETX_TLS13_ONLY) || defect(HIL_NETX_TLS13_FORCED);
#else
    bool with_13 = false;
#endif
    bool only_13 = with_13 && (config->min_version >= 13 || defect(HIL_NETX_TLS13_ONLY));
    UINT code;
    (void)client;
    der_used = store_used = 0;
    make_table(with_13);
    nx_secure_tls_initialize();
    code = hil_netx_api("nx_secure_tls_session_create",
                        nx_secure_tls_session_create(session, &table, metadata, sizeof metadata));
    if (code != NX_SUCCESS)
        return code;
    code = fill_session(session, with_13, only_13, certificate, trusted);
    if (code != NX_SUCCESS)
        (void)hil_netx_api("nx_secure_tls_session_delete", nx_secure_tls_session_delete(session));
    return code;
}
