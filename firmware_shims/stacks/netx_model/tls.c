/* One nx_secure TLS client session on wolfSSL, held to what NetX offers, checks and answers.
 *
 * The library makes the records; what NetX decides differently is decided here: the ClientHello is made from
 * NetX's tables (suites, groups, signature algorithms, extensions and their order), certificates are judged
 * by x509.c, alerts get NetX's numbers, and errors NetX's codes.
 */
#include "host.h"
#include "model.h"

#include "../../include/hil/netx.h"
#include "../tls_common.h"

#include <wolfssl/ssl.h>
#include <wolfssl/internal.h>
#include <wolfssl/wolfcrypt/sha512.h>

#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 10
#define CERT_STRUCT                                                                                          \
    720u /* bytes of NetX's own structure, carved from the packet buffer for each certificate */
#define METADATA_13        11544u
#define METADATA_12        10128u
#define CODE_MISSING_CURVE 0x2000Fu /* NX_CRYPTO: no such ECC curve */
#define TICKS_FOREVER      0x7FFFFFFFu
#define RECEIVE_MAX        16384
#define HANDSHAKE_WAITS    3u /* the library has one bound a record; a chattering peer must end as well */

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

static NX_SECURE_TLS_SESSION *created;
static NX_SECURE_TLS_SESSION *current; /* whose handshake or call is under way */
static bool no_downgrade;
static uint8_t seed[32];

VOID nx_model_no_downgrade(UINT on) {
    no_downgrade = on != 0;
}

VOID nx_model_seed(const UCHAR *given) {
    memcpy(seed, given, sizeof seed);
}

time_t nx_model_time(time_t *timer);
struct tm *nx_model_gmtime(const time_t *timer, struct tm *out);

time_t nx_model_time(time_t *timer) {
    time_t now = hil_clock_now();
    if (timer != NULL)
        *timer = now;
    return now;
}

struct tm *nx_model_gmtime(const time_t *timer, struct tm *out) {
    return hil_clock_gmtime(*timer, out);
}

int nx_model_generate_seed(unsigned char *output, unsigned int size) {
    uint8_t block[WC_SHA512_DIGEST_SIZE];
    while (size > 0) {
        uint8_t material[HIL_SEED_MATERIAL];
        unsigned int n = size < sizeof block ? size : (unsigned int)sizeof block;
        hil_seed_material(seed, material);
        if (wc_Sha512Hash(material, sizeof material, block) != 0)
            return -1;
        memcpy(output, block, n);
        output += n;
        size -= n;
    }
    return 0;
}

/* --- transport --- */

static void bound(struct nx_model_tls *tls, ULONG ticks, uint32_t times) {
    uint64_t ms = (uint64_t)ticks * 1000u / NX_IP_PERIODIC_RATE * times;
    tls->start = nx_model_ms();
    tls->limit = ms < TICKS_FOREVER ? (uint32_t)ms : TICKS_FOREVER;
}

static uint32_t time_left(const struct nx_model_tls *tls) {
    uint32_t gone = nx_model_ms() - tls->start;
    return gone < tls->limit ? tls->limit - gone : 0;
}

/* Follows the records: one that does not fit into the packet buffer is NetX's error, not the library's. */
static bool fits(struct nx_model_tls *tls, const uint8_t *data, size_t len) {
    while (len > 0) {
        if (tls->body_left > 0) {
            size_t n = len < tls->body_left ? len : tls->body_left;
            tls->body_left -= n;
            data += n;
            len -= n;
            continue;
        }
        tls->head[tls->head_len++] = *data++;
        len--;
        if (tls->head_len < sizeof tls->head)
            continue;
        tls->head_len = 0;
        tls->body_left = (size_t)tls->head[3] << 8 | tls->head[4];
        if (tls->head[0] >= 20 && tls->head[0] <= 23 &&
            tls->body_left > current->nx_secure_tls_packet_buffer_size) {
            tls->verdict = NX_SECURE_TLS_PACKET_BUFFER_TOO_SMALL;
            return false;
        }
    }
    return true;
}

static int on_recv(WOLFSSL *ssl, char *data, int cap, void *user) {
    struct nx_model_tls *tls = user;
    (void)ssl;
    tls->net_rc = nx_model_recv(data, (size_t)cap, time_left(tls));
    if (tls->net_rc > 0)
        return fits(tls, (const uint8_t *)data, (size_t)tls->net_rc) ? tls->net_rc : WOLFSSL_CBIO_ERR_GENERAL;
    if (tls->net_rc == HIL_NET_TIMEOUT)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    return tls->net_rc == HIL_NET_RESET ? WOLFSSL_CBIO_ERR_CONN_RST : WOLFSSL_CBIO_ERR_CONN_CLOSE;
}

/* The number NetX would send instead of the library's, or the library's. */
static uint8_t alert_number(uint8_t level, uint8_t number) {
    if (current == NULL || level != alert_fatal)
        return number;
    const struct nx_model_tls *tls = current->nx_model_tls;
    bool about_certificate = number >= 42 && number <= 48;
    if (tls->verdict != NX_SUCCESS)
        return (uint8_t)nx_model_alert_for(tls->verdict);
    return about_certificate && !tls->judged ? 80 : number; /* NetX could not have parsed it */
}

static int on_send(WOLFSSL *ssl, char *data, int len, void *user) {
    struct nx_model_tls *tls = user;
    if (ssl->version.minor < TLSv1_3_MINOR)
        ssl->pssAlgo =
            0; /* NetX signs CertificateVerify with PKCS#1 v1.5; the library would take what comes first */
    if (len == 7 && data[0] == alert) /* in the clear: type, version, length, level, number */
        data[6] = (char)alert_number((uint8_t)data[5], (uint8_t)data[6]);
    tls->net_rc = nx_host_send(data, (size_t)len, time_left(tls));
    if (tls->net_rc >= 0)
        return tls->net_rc;
    if (nx_host_readable() != 0) /* what explains the reset is there to be read */
        return len;
    return tls->net_rc == HIL_NET_RESET ? WOLFSSL_CBIO_ERR_CONN_RST : WOLFSSL_CBIO_ERR_CONN_CLOSE;
}

/* Alerts under TLS 1.3's encryption pass here. */
int __real_BuildTls13Message(WOLFSSL *ssl, byte *output, int size, const byte *input, int input_size,
                             int type, int hash, int size_only, int async);
int __wrap_BuildTls13Message(WOLFSSL *ssl, byte *output, int size, const byte *input, int input_size,
                             int type, int hash, int size_only, int async);
int __wrap_BuildTls13Message(WOLFSSL *ssl, byte *output, int size, const byte *input, int input_size,
                             int type, int hash, int size_only, int async) {
    byte changed[2];
    if (type == alert && input_size == 2 && input != NULL) {
        changed[0] = input[0];
        changed[1] = alert_number(input[0], input[1]);
        input = changed;
    }
    return __real_BuildTls13Message(ssl, output, size, input, input_size, type, hash, size_only, async);
}

/* --- ClientHello --- */

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

int __real_TLSX_PopulateExtensions(WOLFSSL *ssl, byte server);
int __wrap_TLSX_PopulateExtensions(WOLFSSL *ssl, byte server);
int __wrap_TLSX_PopulateExtensions(WOLFSSL *ssl, byte server) {
    TLSX *ordered = NULL, **end = &ordered;
    int rc = __real_TLSX_PopulateExtensions(ssl, server);
    if (rc != 0)
        return rc;
    if (current != NULL && current->nx_model_group_count == 0) { /* nx_secure_tls_ecc_initialize is missing */
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

static bool offers_13(const NX_SECURE_TLS_SESSION *session) {
    return session->nx_secure_tls_1_3 != 0;
}

static void set_suites(NX_SECURE_TLS_SESSION *session, WOLFSSL *ssl) {
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
static void set_signatures(NX_SECURE_TLS_SESSION *session, WOLFSSL *ssl) {
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

static bool set_groups(NX_SECURE_TLS_SESSION *session, WOLFSSL *ssl) {
    ssl->options.userCurves = 1;
    for (USHORT i = 0; i < session->nx_model_group_count; i++)
        if (wolfSSL_UseSupportedCurve(ssl, session->nx_model_groups[i]) != WOLFSSL_SUCCESS)
            return false;
    return !offers_13(session) || wolfSSL_UseKeyShare(ssl, session->nx_model_groups[0]) == WOLFSSL_SUCCESS;
}

static bool set_renegotiation_info(WOLFSSL *ssl) {
    if (TLSX_UseSecureRenegotiation(&ssl->extensions, ssl->heap) != WOLFSSL_SUCCESS)
        return false;
    TLSX *extension = TLSX_Find(ssl->extensions, TLSX_RENEGOTIATION_INFO);
    if (extension != NULL)
        ssl->secure_renegotiation = extension->data;
    return extension != NULL;
}

/* --- what NetX decides --- */

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
static int on_verify(int ok, WOLFSSL_X509_STORE_CTX *store) {
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
    tls->verdict = count > 0 ? judge(current, chain, count) : NX_SECURE_TLS_CERTIFICATE_NOT_FOUND;
    return tls->verdict == NX_SUCCESS;
}

/* RSA in TLS 1.3 would need RSA-PSS. */
static int on_pss(WOLFSSL *ssl, const byte *in, unsigned int in_size, byte *out, unsigned int *out_size,
                  int hash, int mgf, const byte *key, unsigned int key_size, void *user) {
    struct nx_model_tls *tls = current->nx_model_tls;
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
static int on_rsa_sign(WOLFSSL *ssl, const byte *in, unsigned int in_size, byte *out, word32 *out_size,
                       const byte *key, unsigned int key_size, void *user) {
    (void)ssl;
    (void)in;
    (void)in_size;
    (void)out;
    (void)out_size;
    (void)key;
    (void)key_size;
    (void)user;
    current->nx_model_tls->verdict = CODE_MISSING_CURVE;
    return BAD_FUNC_ARG;
}

/* Finished is made over SHA-256, whatever the suite says: this is what breaks a SHA-384 suite. */
static int on_finished(WOLFSSL *ssl, const byte *side, const byte *hash, word32 hash_size, byte *out,
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

/* --- API: set-up --- */

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

/* --- API: the session --- */

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
        wolfSSL_CTX_SetRsaSignCb(ctx, on_rsa_sign);
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
    wolfSSL_CTX_SetIORecv(tls->ctx, on_recv);
    wolfSSL_CTX_SetIOSend(tls->ctx, on_send);
    wolfSSL_CTX_set_verify(tls->ctx, WOLFSSL_VERIFY_PEER, on_verify);
    wolfSSL_CTX_SetRsaPssSignCb(tls->ctx, on_pss);
    wolfSSL_CTX_SetTlsFinishedCb(tls->ctx, on_finished);
    if (!load_own(session, tls->ctx) || (tls->ssl = wolfSSL_new(tls->ctx)) == NULL)
        return false;
    wolfSSL_SetIOReadCtx(tls->ssl, tls);
    wolfSSL_SetIOWriteCtx(tls->ssl, tls);
    wolfSSL_SetCertCbCtx(tls->ssl, tls);
    if (name != NULL && wolfSSL_UseSNI(tls->ssl, WOLFSSL_SNI_HOST_NAME, name->nx_secure_x509_dns_name,
                                       name->nx_secure_x509_dns_name_length) != WOLFSSL_SUCCESS)
        return false;
    set_suites(session, tls->ssl);
    set_signatures(session, tls->ssl);
    return set_groups(session, tls->ssl) && (offers_13(session) || set_renegotiation_info(tls->ssl));
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
        bound(tls, NX_IP_PERIODIC_RATE, 1);
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
    current = session;
    if (!make(session)) {
        current = NULL;
        return NX_NOT_SUCCESSFUL;
    }
    tls->handshake = true;
    bound(tls, wait_option, HANDSHAKE_WAITS);
    UINT code = NX_SUCCESS;
    int rc = wolfSSL_connect(tls->ssl);
    note_suite(session);
    if (rc != WOLFSSL_SUCCESS)
        code = explain(session, rc);
    tls->handshake = false;
    tls->dead = code != NX_SUCCESS;
    current = NULL;
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
    current = session;
    bound(tls, wait_option, 1);
    int rc = wolfSSL_write(tls->ssl, packet->nx_model_data, (int)packet->nx_packet_length);
    UINT code = rc > 0 ? nx_packet_release(packet) : explain(session, rc);
    if (code == NX_NO_PACKET)
        code = NX_SECURE_TLS_TCP_SEND_FAILED;
    current = NULL;
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
    current = session;
    bound(tls, wait_option, 1);
    int rc = wolfSSL_read(tls->ssl, bytes, sizeof bytes);
    UINT code = rc > 0 ? nx_packet_allocate(nx_model_pool(), packet, NX_TCP_PACKET, 0) : explain(session, rc);
    if (rc > 0 && code == NX_SUCCESS)
        code = nx_packet_data_append(*packet, bytes, (ULONG)rc, NULL, 0);
    else if (code != NX_NO_PACKET)
        tls->dead = true;
    current = NULL;
    return code;
}

UINT nx_secure_tls_session_end(NX_SECURE_TLS_SESSION *session, UINT wait_option) {
    if (!alive(session) || session->nx_model_tls->ssl == NULL)
        return NX_SECURE_TLS_SESSION_UNINITIALIZED;
    current = session;
    bound(session->nx_model_tls, wait_option, 1);
    int rc = wolfSSL_shutdown(session->nx_model_tls->ssl);
    current = NULL;
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
