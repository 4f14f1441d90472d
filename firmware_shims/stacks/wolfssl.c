/* TLS over wolfSSL 5.5. Verification is off by default in this library: everything a good client checks is
 * asked for here. Defects leave single checks or extensions out; those that the API does not know are set in
 * the session's own fields (wolfssl/internal.h) before the ClientHello is made.
 */
#include "hil/tls.h"

#include "hil/board.h"
#include "hil/net.h"
#include "hil/service.h"
#include "hil/shim.h"
#include "tls_common.h"

#include <wolfssl/ssl.h>
#include <wolfssl/internal.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/sha512.h>

#include <string.h>

#define SUITES_13 "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256"
#define SUITES_12                                                                                            \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"               \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define DEFAULT_GROUPS "secp256r1,x25519,secp384r1,secp521r1"
#define DEFAULT_SIGALGS                                                                                      \
    "ecdsa_secp256r1_sha256,rsa_pss_rsae_sha256,rsa_pkcs1_sha256,ecdsa_secp384r1_sha384,rsa_pss_rsae_"       \
    "sha384,"                                                                                                \
    "rsa_pkcs1_sha384,ecdsa_secp521r1_sha512,rsa_pss_rsae_sha512,rsa_pkcs1_sha512,ed25519"
#define LIST_MAX        16
#define HANDSHAKE_WAITS 3u /* a whole handshake may take this many times the bound of one wait */

static WOLFSSL_CTX *ctx;
static WOLFSSL *ssl;
static WOLFSSL_SESSION *kept; /* of the last connection, for resumption */
static bool keep_session;
static uint32_t wait_start, wait_ms; /* bound of the present call */
static int net_rc;                   /* what the transport said last */
static uint8_t seed[32];

/* --- clock and entropy, named in the configuration header --- */

time_t XTIME(time_t *timer) {
    time_t now = hil_clock_now();
    if (timer != NULL)
        *timer = now;
    return now;
}

struct tm *XGMTIME(const time_t *timer, struct tm *out) {
    return hil_clock_gmtime(*timer, out);
}

/* SHA-512 over the connection's seed material and a block number: the DRBG's only source. */
int hil_wolfssl_seed(unsigned char *output, unsigned int size) {
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

static uint32_t time_left(void) {
    uint32_t gone = hil_board_ms() - wait_start;
    return gone < wait_ms ? wait_ms - gone : 0;
}

/* The library passes over warnings and the like; a peer that sends nothing else must not keep it for ever.
 * What waits when the time has just run out is still read. */
static bool overdue(void) {
    return hil_board_ms() - wait_start > wait_ms + HIL_SERVICE_MS;
}

static int on_recv(WOLFSSL *session, char *data, int cap, void *user) {
    (void)session;
    (void)user;
    net_rc = overdue() ? HIL_NET_TIMEOUT : hil_service_recv(data, (size_t)cap, time_left());
    if (net_rc > 0)
        return net_rc;
    if (net_rc == HIL_NET_TIMEOUT)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    return net_rc == HIL_NET_RESET ? WOLFSSL_CBIO_ERR_CONN_RST : WOLFSSL_CBIO_ERR_CONN_CLOSE;
}

static int on_send(WOLFSSL *session, char *data, int len, void *user) {
    (void)session;
    (void)user;
    net_rc = hil_service_send(data, (size_t)len, time_left());
    if (net_rc >= 0)
        return net_rc;
    return net_rc == HIL_NET_RESET ? WOLFSSL_CBIO_ERR_CONN_RST : WOLFSSL_CBIO_ERR_CONN_CLOSE;
}

/* --- what this stack is --- */

const char *hil_tls_stack(void) {
    return "wolfssl-" LIBWOLFSSL_VERSION_STRING;
}

const char *hil_tls_caps(void) {
    return "tls1.2,tls1.3,resume";
}

uint32_t hil_tls_defects(void) {
    return (uint32_t)HIL_DEFECT_VERIFY_OFF | HIL_DEFECT_NAME_UNCHECKED | HIL_DEFECT_DATES_UNCHECKED |
           HIL_DEFECT_NO_SNI | HIL_DEFECT_ECDSA_SIGALGS_ONLY | HIL_DEFECT_NO_RSA_PSS | HIL_DEFECT_NO_GROUPS;
}

static bool defect(const struct hil_tls_config *config, enum hil_defect which) {
    return (config->defects & (uint32_t)which) != 0;
}

/* --- configuration --- */

/* True when the certificate names the address as iPAddress: the library also takes a dNSName that looks like
 * it. */
static bool has_ip(const WOLFSSL_BUFFER_INFO *der, const uint8_t ip[4]) {
    DecodedCert *cert = XMALLOC(sizeof *cert, NULL, DYNAMIC_TYPE_DCERT);
    bool found = false;
    if (cert == NULL)
        return false;
    InitDecodedCert(cert, der->buffer, der->length, NULL);
    if (ParseCert(cert, CERT_TYPE, NO_VERIFY, NULL) == 0)
        for (const DNS_entry *name = cert->altNames; name != NULL && !found; name = name->next)
            found = name->type == ASN_IP_TYPE && name->len == 4 && memcmp(name->name, ip, 4) == 0;
    FreeDecodedCert(cert);
    XFREE(cert, NULL, DYNAMIC_TYPE_DCERT);
    return found;
}

/* Called for the leaf, and for whatever failed. 0 refuses. */
static int on_verify(int ok, WOLFSSL_X509_STORE_CTX *store) {
    const struct hil_tls_config *config = store->userCtx;
    uint8_t ip[4];
    bool dates = store->error == ASN_BEFORE_DATE_E || store->error == ASN_AFTER_DATE_E;
    if (dates && defect(config, HIL_DEFECT_DATES_UNCHECKED))
        ok = 1;
    if (ok != 0 && store->error_depth == 0 && !defect(config, HIL_DEFECT_NAME_UNCHECKED) &&
        hil_host_is_ip(config->host, ip) && !has_ip(&store->certs[0], ip))
        return 0;
    return ok;
}

static int format_of(struct hil_blob blob) {
    return hil_blob_is_pem(blob) ? WOLFSSL_FILETYPE_PEM : WOLFSSL_FILETYPE_ASN1;
}

/* 0, or the code of the call that failed. */
static int api(const char *name, int rc) {
    hil_event_api(name, rc, 0);
    return rc == WOLFSSL_SUCCESS ? 0 : rc == 0 ? -1 : rc;
}

static int load_credentials(const struct hil_tls_config *config) {
    int rc = 0;
    if (config->ca.data != NULL)
        /* Only the chain's verification judges dates: a clock that was never set must fail there, with its
         * alert. */
        rc =
            api("wolfSSL_CTX_load_verify_buffer",
                wolfSSL_CTX_load_verify_buffer_ex(ctx, config->ca.data, (long)config->ca.len,
                                                  format_of(config->ca), 0, WOLFSSL_LOAD_FLAG_DATE_ERR_OKAY));
    if (rc == 0 && config->cert.data != NULL)
        rc = api("wolfSSL_CTX_use_certificate_chain_buffer",
                 wolfSSL_CTX_use_certificate_chain_buffer_format(
                     ctx, config->cert.data, (long)config->cert.len, format_of(config->cert)));
    if (rc == 0 && config->key.data != NULL)
        rc = api("wolfSSL_CTX_use_PrivateKey_buffer",
                 wolfSSL_CTX_use_PrivateKey_buffer(ctx, config->key.data, (long)config->key.len,
                                                   format_of(config->key)));
    return rc;
}

static int set_suites(const struct hil_tls_config *config) {
    char list[512];
    const char *names = config->suites;
    size_t len = 0;
    if (names == NULL || *names == '\0')
        names = config->max_version < 13    ? SUITES_12
                : config->min_version >= 13 ? SUITES_13
                                            : SUITES_13 ":" SUITES_12;
    for (; *names != '\0' && len < sizeof list - 1; names++)
        list[len++] = *names == ',' ? ':' : *names;
    list[len] = '\0';
    return api("wolfSSL_CTX_set_cipher_list", wolfSSL_CTX_set_cipher_list(ctx, list));
}

static int set_groups(const struct hil_tls_config *config) {
    uint16_t codes[LIST_MAX];
    bool given = config->groups != NULL && *config->groups != '\0';
    if (defect(config, HIL_DEFECT_NO_GROUPS)) {
        ssl->options.userCurves = 1; /* the caller has chosen, and chose none */
        return 0;
    }
    int count = hil_group_list(given ? config->groups : DEFAULT_GROUPS, codes, LIST_MAX), rc = 0;
    if (count <= 0)
        return api("wolfSSL_UseSupportedCurve", BAD_FUNC_ARG);
    for (int i = 0; i < count && rc == 0; i++)
        if (wolfSSL_UseSupportedCurve(ssl, codes[i]) != WOLFSSL_SUCCESS)
            rc = api("wolfSSL_UseSupportedCurve", BAD_FUNC_ARG);
    if (rc == 0 && config->max_version >= 13) {
        rc = wolfSSL_UseKeyShare(ssl, codes[0]);
        if (rc == WOLFSSL_SUCCESS)
            return 0;
        return api("wolfSSL_UseKeyShare", rc);
    }
    return rc;
}

/* renegotiation_info in the hello (RFC 5746), though this build never renegotiates. The library offers it in
 * its API only together with renegotiation itself. */
static int set_renegotiation_info(const struct hil_tls_config *config) {
    if (config->min_version >= 13)
        return 0;
    int rc = TLSX_UseSecureRenegotiation(&ssl->extensions, ssl->heap);
    TLSX *extension = TLSX_Find(ssl->extensions, TLSX_RENEGOTIATION_INFO);
    if (rc != WOLFSSL_SUCCESS || extension == NULL)
        return api("TLSX_UseSecureRenegotiation", rc);
    ssl->secure_renegotiation = extension->data;
    return 0;
}

static bool sigalg_left_out(const struct hil_tls_config *config, uint16_t code) {
    bool pss = (code >= 0x0804 && code <= 0x0806) || (code >= 0x0809 && code <= 0x080B);
    bool rsa = pss || (code & 0xFF) == 0x01;
    return (defect(config, HIL_DEFECT_ECDSA_SIGALGS_ONLY) && rsa) ||
           (defect(config, HIL_DEFECT_NO_RSA_PSS) && pss);
}

static int set_sigalgs(const struct hil_tls_config *config) {
    uint16_t codes[LIST_MAX];
    bool given = config->sigalgs != NULL && *config->sigalgs != '\0';
    int count = hil_sigalg_list(given ? config->sigalgs : DEFAULT_SIGALGS, codes, LIST_MAX);
    word16 len = 0;
    if (count <= 0)
        return api("hil_sigalg_list", BAD_FUNC_ARG);
    for (int i = 0; i < count; i++) {
        if (sigalg_left_out(config, codes[i]))
            continue;
        ssl->suites->hashSigAlgo[len++] = (byte)(codes[i] >> 8);
        ssl->suites->hashSigAlgo[len++] = (byte)codes[i];
    }
    ssl->suites->hashSigAlgoSz = len;
    return 0;
}

static int make_context(const struct hil_tls_config *config) {
    bool old = config->max_version < 13;
    ctx = wolfSSL_CTX_new(old ? wolfTLSv1_2_client_method() : wolfSSLv23_client_method());
    if (ctx == NULL)
        return api("wolfSSL_CTX_new", MEMORY_E);
    wolfSSL_CTX_SetIORecv(ctx, on_recv);
    wolfSSL_CTX_SetIOSend(ctx, on_send);
    int rc = 0;
    if (config->min_version >= 13)
        rc = wolfSSL_CTX_SetMinVersion(ctx, WOLFSSL_TLSV1_3) == WOLFSSL_SUCCESS ? 0 : -1;
    else
        rc = wolfSSL_CTX_SetMinVersion(ctx, WOLFSSL_TLSV1_2) == WOLFSSL_SUCCESS ? 0 : -1;
    if (rc != 0)
        return api("wolfSSL_CTX_SetMinVersion", rc);
    if (defect(config, HIL_DEFECT_VERIFY_OFF))
        wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, NULL);
    else
        wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER, on_verify);
    if ((rc = set_suites(config)) != 0)
        return rc;
    return load_credentials(config);
}

static int make_session(const struct hil_tls_config *config) {
    uint8_t ip[4];
    int rc = 0;
    ssl = wolfSSL_new(ctx);
    if (ssl == NULL)
        return api("wolfSSL_new", MEMORY_E);
    if (!defect(config, HIL_DEFECT_NO_SNI) && !hil_host_is_ip(config->host, ip))
        rc = wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, config->host, (word16)strlen(config->host));
    if (rc != 0 && rc != WOLFSSL_SUCCESS)
        return api("wolfSSL_UseSNI", rc);
    if (!defect(config, HIL_DEFECT_NAME_UNCHECKED) && !defect(config, HIL_DEFECT_VERIFY_OFF) &&
        (rc = api("wolfSSL_check_domain_name", wolfSSL_check_domain_name(ssl, config->host))) != 0)
        return rc;
    union {
        const struct hil_tls_config *in;
        void *out;
    } user = {.in = config}; /* only read, and only during the handshake */
    wolfSSL_SetCertCbCtx(ssl, user.out);
    keep_session = config->resume;
    if (config->resume) {
        wolfSSL_UseSessionTicket(ssl);
        if (kept != NULL)
            hil_event_api("wolfSSL_set_session", wolfSSL_set_session(ssl, kept), 0);
    }
    if ((rc = set_groups(config)) != 0 || (rc = set_renegotiation_info(config)) != 0)
        return rc;
    return set_sigalgs(config);
}

/* --- results --- */

/* Negotiated version; "" as long as the server has not spoken. */
static const char *version_name(void) {
    if (ssl->options.serverState < SERVER_HELLO_COMPLETE)
        return "";
    switch (wolfSSL_version(ssl)) {
    case TLS1_2_VERSION:
        return "1.2";
    case TLS1_3_VERSION:
        return "1.3";
    default:
        return "";
    }
}

static void fill(struct hil_tls_result *result, int rc) {
    WOLFSSL_ALERT_HISTORY history;
    result->rc = rc;
    if (ssl == NULL || wolfSSL_get_alert_history(ssl, &history) != WOLFSSL_SUCCESS)
        return;
    result->alert = history.last_rx.code;
    result->alert_sent = history.last_tx.code;
}

static void bound(uint32_t timeout_ms) {
    wait_start = hil_board_ms();
    wait_ms = timeout_ms;
}

int hil_tls_open(const struct hil_tls_config *config, struct hil_tls_result *result) {
    int rc;
    result->alert = result->alert_sent = -1;
    hil_clock_set(config->epoch, config->epoch_ms);
    memcpy(seed, config->seed, sizeof seed);
    bound(config->timeout_ms * HANDSHAKE_WAITS);
    if ((rc = wolfSSL_Init()) != WOLFSSL_SUCCESS) {
        fill(result, api("wolfSSL_Init", rc));
        return -1;
    }
    if ((rc = make_context(config)) != 0 || (rc = make_session(config)) != 0) {
        fill(result, rc);
        return -1;
    }
    rc = wolfSSL_connect(ssl);
    if (rc != WOLFSSL_SUCCESS)
        rc = wolfSSL_get_error(ssl, rc);
    hil_event_api("wolfSSL_connect", rc, 0);
    result->version = version_name();
    if (rc != WOLFSSL_SUCCESS) {
        fill(result, rc);
        return -1;
    }
    fill(result, 0);
    result->suite = wolfSSL_get_cipher_name(ssl);
    result->resumed = wolfSSL_session_reused(ssl) == 1;
    return 0;
}

/* Maps the error of a read or write; `rc` is the stack's. */
static int failure(const char *name, int rc, struct hil_tls_result *result) {
    int error = wolfSSL_get_error(ssl, rc);
    if (error == WOLFSSL_ERROR_WANT_READ || error == WOLFSSL_ERROR_WANT_WRITE)
        return HIL_NET_TIMEOUT;
    hil_event_api(name, error, 0);
    fill(result, error);
    if (error == WOLFSSL_ERROR_ZERO_RETURN)
        return HIL_NET_CLOSED;
    if (net_rc == HIL_NET_CLOSED || net_rc == HIL_NET_RESET)
        return net_rc;
    return HIL_NET_ERROR;
}

int hil_tls_send(const void *data, size_t len, uint32_t timeout_ms, struct hil_tls_result *result) {
    bound(timeout_ms);
    int rc = wolfSSL_write(ssl, data, (int)len);
    if (rc > 0)
        return rc;
    int net = failure("wolfSSL_write", rc, result);
    if (result->alert < 0 && hil_net_readable() != 0) {
        uint8_t byte; /* the alert that explains it may have come before the reset */
        bound(0);
        (void)wolfSSL_read(ssl, &byte, 1);
        fill(result, result->rc);
    }
    return net;
}

int hil_tls_recv(void *data, size_t cap, uint32_t timeout_ms, struct hil_tls_result *result) {
    bound(timeout_ms);
    int rc = wolfSSL_read(ssl, data, (int)cap);
    return rc > 0 ? rc : failure("wolfSSL_read", rc, result);
}

int hil_tls_pending(void) {
    return ssl != NULL && wolfSSL_pending(ssl) > 0;
}

void hil_tls_close(bool notify, bool forget) {
    if (ssl != NULL && notify) {
        bound(HIL_SERVICE_MS);
        hil_event_api("wolfSSL_shutdown", wolfSSL_shutdown(ssl), 0);
    }
    if (kept != NULL && (forget || keep_session)) {
        wolfSSL_SESSION_free(kept);
        kept = NULL;
    }
    if (ssl != NULL && keep_session && !forget && wolfSSL_is_init_finished(ssl))
        kept = wolfSSL_get1_session(ssl);
    if (ssl != NULL)
        wolfSSL_free(ssl);
    if (ctx != NULL)
        wolfSSL_CTX_free(ctx);
    ssl = NULL;
    ctx = NULL;
}
