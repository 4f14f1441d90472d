/* TLS 1.2 over mbedTLS 2.28. */
#include "hil/tls.h"

#include "hil/board.h"
#include "hil/net.h"
#include "hil/service.h"
#include "hil/shim.h"
#include "mbedtls_hello.h"
#include "mbedtls_hooks.h"
#include "mbedtls_platform.h"
#include "tls_common.h"

#include <mbedtls/hmac_drbg.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/oid.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_internal.h>
#include <mbedtls/version.h>

#include <string.h>

#define LIST_MAX        16
#define HANDSHAKE_WAITS 3u /* a whole handshake may take this many times the bound of one wait */
#define SAN_IP          (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7)

static const int DEFAULT_SUITES[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                                     MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                                     MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                                     MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                                     MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                                     MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                                     0};
#define DEFAULT_GROUPS "secp256r1,x25519,secp384r1,secp521r1"
static const uint16_t ECDSA_ONLY[] = {0x0403, 0x0503, 0x0603};
/* What signature_algorithms is made of, strongest demand last: the hello has both key types for each hash. */
static const int HASHES[] = {MBEDTLS_MD_SHA256, MBEDTLS_MD_SHA384, MBEDTLS_MD_SHA512, MBEDTLS_MD_NONE};
static const mbedtls_x509_crt_profile PROFILE = {
    MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA256) | MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA384) |
        MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA512),
    0xFFFFFFF,
    MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP256R1) | MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP384R1) |
        MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP521R1),
    2048};

static mbedtls_ssl_context ssl;
static mbedtls_ssl_config conf;
static mbedtls_x509_crt ca, own;
static mbedtls_pk_context key;
static mbedtls_hmac_drbg_context drbg;
static mbedtls_ssl_session kept;
static bool live, have_kept, keep_session;
static int suites[LIST_MAX + 1];
static mbedtls_ecp_group_id groups[LIST_MAX + 1];
static struct hil_hello_edit edit;
static const struct hil_tls_config *current; /* during hil_tls_open only */
static uint32_t wait_start, wait_ms;
static int net_rc, alert_sent;

static uint32_t time_left(void) {
    uint32_t gone = hil_board_ms() - wait_start;
    return gone < wait_ms ? wait_ms - gone : 0;
}

/* The library passes over warnings and the like; a peer that sends nothing else must not keep it for ever.
 * What waits when the time has just run out is still read. */
static bool overdue(void) {
    return hil_board_ms() - wait_start > wait_ms + HIL_SERVICE_MS;
}

static void bound(uint32_t timeout_ms) {
    wait_start = hil_board_ms();
    wait_ms = timeout_ms;
}

static int on_send(void *user, const unsigned char *data, size_t len) {
    (void)user;
    if (len == 7 && data[0] == MBEDTLS_SSL_MSG_ALERT) /* in the clear: type, version, length, level, number */
        alert_sent = data[6];
    net_rc = hil_service_send(data, len, time_left());
    if (net_rc >= 0)
        return net_rc;
    return net_rc == HIL_NET_RESET ? MBEDTLS_ERR_NET_CONN_RESET : MBEDTLS_ERR_NET_SEND_FAILED;
}

__attribute__((weak)) int hil_mbedtls_before_read(size_t cap) {
    (void)cap;
    return HIL_MBEDTLS_READ;
}

__attribute__((weak)) void hil_mbedtls_set_up(struct mbedtls_ssl_context *context) {
    (void)context;
}

static int on_recv(void *user, unsigned char *data, size_t cap) {
    (void)user;
    int instead = hil_mbedtls_before_read(cap);
    if (instead != HIL_MBEDTLS_READ)
        return instead;
    net_rc = overdue() ? HIL_NET_TIMEOUT : hil_service_recv(data, cap, time_left());
    if (net_rc > 0)
        return net_rc;
    switch (net_rc) {
    case HIL_NET_TIMEOUT:
        return MBEDTLS_ERR_SSL_WANT_READ;
    case HIL_NET_CLOSED:
        return 0; /* becomes MBEDTLS_ERR_SSL_CONN_EOF */
    case HIL_NET_RESET:
        return MBEDTLS_ERR_NET_CONN_RESET;
    default:
        return MBEDTLS_ERR_NET_RECV_FAILED;
    }
}

const char *hil_tls_stack(void) {
    return "mbedtls-" MBEDTLS_VERSION_STRING;
}

const char *hil_tls_caps(void) {
    return "tls1.2,resume";
}

uint32_t hil_tls_defects(void) {
    return (uint32_t)HIL_DEFECT_VERIFY_OFF | HIL_DEFECT_NAME_UNCHECKED | HIL_DEFECT_DATES_UNCHECKED |
           HIL_DEFECT_NO_SNI | HIL_DEFECT_ECDSA_SIGALGS_ONLY | HIL_DEFECT_NO_GROUPS;
}

static bool defect(enum hil_defect which) {
    return (current->defects & (uint32_t)which) != 0;
}

static bool has_ip(const mbedtls_x509_crt *crt, const uint8_t ip[4]) {
    for (const mbedtls_x509_sequence *name = &crt->subject_alt_names; name != NULL; name = name->next)
        if (name->buf.tag == SAN_IP && name->buf.len == 4 && memcmp(name->buf.p, ip, 4) == 0)
            return true;
    return false;
}

/* What the library leaves to its user: IP addresses, and no identity from the common name (RFC 9525). */
static int on_verify(void *user, mbedtls_x509_crt *crt, int depth, uint32_t *flags) {
    uint8_t ip[4];
    (void)user;
    if (depth == 0) {
        if (hil_host_is_ip(current->host, ip)) {
            *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_CN_MISMATCH;
            if (!has_ip(crt, ip))
                *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
        } else if ((crt->ext_types & MBEDTLS_X509_EXT_SUBJECT_ALT_NAME) == 0) {
            *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
        }
    }
    if (defect(HIL_DEFECT_NAME_UNCHECKED))
        *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_CN_MISMATCH;
    if (defect(HIL_DEFECT_DATES_UNCHECKED))
        *flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
    return 0;
}

static int api(const char *name, int rc) {
    hil_event_api(name, rc, 1);
    return rc;
}

/* PEM is given with its NUL, as the library demands. */
static size_t parse_len(struct hil_blob blob) {
    return blob.len + (hil_blob_is_pem(blob) ? 1u : 0);
}

static int load_credentials(const struct hil_tls_config *config) {
    int rc = 0;
    if (config->ca.data != NULL) {
        rc = api("mbedtls_x509_crt_parse",
                 mbedtls_x509_crt_parse(&ca, config->ca.data, parse_len(config->ca)));
        if (rc > 0) /* that many certificates of the bundle were unreadable */
            rc = MBEDTLS_ERR_X509_CERT_UNKNOWN_FORMAT;
    }
    if (rc == 0 && config->cert.data != NULL)
        rc = api("mbedtls_x509_crt_parse",
                 mbedtls_x509_crt_parse(&own, config->cert.data, parse_len(config->cert)));
    if (rc == 0 && config->key.data != NULL)
        rc = api("mbedtls_pk_parse_key",
                 mbedtls_pk_parse_key(&key, config->key.data, parse_len(config->key), NULL, 0));
    if (rc == 0 && config->cert.data != NULL && config->key.data != NULL)
        rc = api("mbedtls_ssl_conf_own_cert", mbedtls_ssl_conf_own_cert(&conf, &own, &key));
    return rc;
}

static int set_suites(const char *names) {
    char name[64];
    int count = 0;
    if (names == NULL || *names == '\0') {
        mbedtls_ssl_conf_ciphersuites(&conf, DEFAULT_SUITES);
        return 0;
    }
    while (*names != '\0' && count < LIST_MAX) {
        size_t len = strcspn(names, ",:");
        if (len >= sizeof name)
            return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
        for (size_t i = 0; i < len; i++) /* IANA's TLS_… is this library's TLS-… */
            name[i] = names[i] == '_' ? '-' : names[i];
        name[len] = '\0';
        if ((suites[count] = mbedtls_ssl_get_ciphersuite_id(name)) == 0)
            return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
        count++;
        names += len + (names[len] != '\0' ? 1 : 0);
    }
    suites[count] = 0;
    mbedtls_ssl_conf_ciphersuites(&conf, suites);
    return 0;
}

static int set_groups(const char *names) {
    uint16_t codes[LIST_MAX];
    int count = hil_group_list(names != NULL && *names != '\0' ? names : DEFAULT_GROUPS, codes, LIST_MAX);
    if (count <= 0)
        return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    for (int i = 0; i < count; i++) {
        const mbedtls_ecp_curve_info *info = mbedtls_ecp_curve_info_from_tls_id(codes[i]);
        if (info == NULL)
            return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
        groups[i] = info->grp_id;
    }
    groups[count] = MBEDTLS_ECP_DP_NONE;
    mbedtls_ssl_conf_curves(&conf, groups);
    return 0;
}

/* The part of the hello that the library has no setting for. */
static int plan_hello(const struct hil_tls_config *config) {
    uint8_t ip[4];
    memset(&edit, 0, sizeof edit);
    edit.no_sni = defect(HIL_DEFECT_NO_SNI) || hil_host_is_ip(config->host, ip); /* RFC 6066: no literals */
    edit.no_groups = defect(HIL_DEFECT_NO_GROUPS);
    if (defect(HIL_DEFECT_ECDSA_SIGALGS_ONLY)) {
        memcpy(edit.sigalgs, ECDSA_ONLY, sizeof ECDSA_ONLY);
        edit.sigalg_count = 3;
    } else if (config->sigalgs != NULL && *config->sigalgs != '\0') {
        /* No more than the library's own list, whose place it takes. */
        edit.sigalg_count =
            hil_sigalg_list(config->sigalgs, edit.sigalgs, 2 * (int)(sizeof HASHES / sizeof *HASHES - 1));
    }
    return edit.sigalg_count < 0 ? MBEDTLS_ERR_SSL_BAD_INPUT_DATA : 0;
}

static int configure(const struct hil_tls_config *config) {
    int rc = mbedtls_ssl_config_defaults(&conf, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                         MBEDTLS_SSL_PRESET_DEFAULT);
    if (rc == 0 && config->min_version > 12)
        rc = MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION; /* 1.3 is not in this library */
    if (rc != 0)
        return api("mbedtls_ssl_config_defaults", rc);
    mbedtls_ssl_conf_min_version(&conf, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_rng(&conf, mbedtls_hmac_drbg_random, &drbg);
    mbedtls_ssl_conf_authmode(&conf, defect(HIL_DEFECT_VERIFY_OFF) ? MBEDTLS_SSL_VERIFY_NONE
                                                                   : MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_verify(&conf, on_verify, NULL);
    mbedtls_ssl_conf_cert_profile(&conf, &PROFILE);
    mbedtls_ssl_conf_sig_hashes(&conf, HASHES);
    mbedtls_ssl_conf_legacy_renegotiation(&conf, MBEDTLS_SSL_LEGACY_BREAK_HANDSHAKE);
    mbedtls_ssl_conf_session_tickets(&conf, config->resume ? MBEDTLS_SSL_SESSION_TICKETS_ENABLED
                                                           : MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    if ((rc = set_suites(config->suites)) != 0)
        return api("mbedtls_ssl_conf_ciphersuites", rc);
    if ((rc = set_groups(config->groups)) != 0)
        return api("mbedtls_ssl_conf_curves", rc);
    if ((rc = plan_hello(config)) != 0)
        return api("hil_sigalg_list", rc);
    if ((rc = load_credentials(config)) != 0)
        return rc;
    /* Without any anchor the library would refuse to start; an empty list verifies nothing, and says so. */
    mbedtls_ssl_conf_ca_chain(&conf, &ca, NULL);
    if ((rc = mbedtls_ssl_setup(&ssl, &conf)) != 0)
        return api("mbedtls_ssl_setup", rc);
    hil_mbedtls_set_up(&ssl);
    mbedtls_ssl_set_bio(&ssl, NULL, on_send, on_recv, NULL);
    if ((rc = api("mbedtls_ssl_set_hostname", mbedtls_ssl_set_hostname(&ssl, config->host))) != 0)
        return rc;
    if (config->resume && have_kept)
        (void)api("mbedtls_ssl_set_session", mbedtls_ssl_set_session(&ssl, &kept));
    hil_mbedtls_edit_hello(&ssl, &edit);
    return 0;
}

static void fill(struct hil_tls_result *result, int rc) {
    result->rc = rc;
    result->alert_sent = alert_sent;
    if (rc == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
        result->alert = ssl.in_msg[1];
    else if (rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        result->alert = 0;
}

/* Handshake with its bound: WANT_READ means that it has run out. Step by step, since whether the session was
 * resumed is forgotten with the last one. */
static int handshake(bool *resumed) {
    int rc = 0;
    while (rc == 0 && ssl.state != MBEDTLS_SSL_HANDSHAKE_OVER) {
        rc = mbedtls_ssl_handshake_step(&ssl);
        if (ssl.handshake != NULL)
            *resumed = ssl.handshake->resume != 0;
    }
    if (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE)
        rc = MBEDTLS_ERR_SSL_TIMEOUT;
    return api("mbedtls_ssl_handshake", rc);
}

int hil_tls_open(const struct hil_tls_config *config, struct hil_tls_result *result) {
    static uint8_t seed[32]; /* the DRBG comes back for more */
    result->alert = result->alert_sent = alert_sent = -1;
    current = config;
    live = true;
    keep_session = config->resume;
    hil_clock_set(config->epoch, config->epoch_ms);
    memcpy(seed, config->seed, sizeof seed);
    bound(config->timeout_ms * HANDSHAKE_WAITS);
    mbedtls_ssl_init(&ssl);
    mbedtls_ssl_config_init(&conf);
    mbedtls_x509_crt_init(&ca);
    mbedtls_x509_crt_init(&own);
    mbedtls_pk_init(&key);
    mbedtls_hmac_drbg_init(&drbg);
    int rc = mbedtls_hmac_drbg_seed(&drbg, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), hil_mbedtls_entropy,
                                    seed, (const unsigned char *)"hil", 3);
    if (rc != 0)
        (void)api("mbedtls_hmac_drbg_seed", rc);
    if (rc == 0)
        rc = configure(config);
    if (rc == 0) {
        bool resumed = false;
        rc = handshake(&resumed);
        result->version = ssl.state > MBEDTLS_SSL_SERVER_HELLO ? "1.2" : "";
        result->suite = mbedtls_ssl_get_ciphersuite(&ssl);
        result->resumed = rc == 0 && resumed;
        uint32_t flags = mbedtls_ssl_get_verify_result(&ssl);
        result->verify_flags = flags == 0xFFFFFFFFu ? 0 : flags; /* all ones: it never came to that */
        if (result->verify_flags != 0)
            hil_event("api", "name=mbedtls_ssl_get_verify_result rc=0x%02lx",
                      (unsigned long)result->verify_flags);
    }
    fill(result, rc);
    current = NULL;
    return rc == 0 ? 0 : -1;
}

static int failure(const char *name, int rc, struct hil_tls_result *result) {
    if (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE)
        return HIL_NET_TIMEOUT;
    (void)api(name, rc);
    fill(result, rc);
    if (rc == 0 || rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || rc == MBEDTLS_ERR_SSL_CONN_EOF)
        return HIL_NET_CLOSED;
    if (net_rc == HIL_NET_CLOSED || net_rc == HIL_NET_RESET)
        return net_rc;
    return HIL_NET_ERROR;
}

int hil_tls_send(const void *data, size_t len, uint32_t timeout_ms, struct hil_tls_result *result) {
    const unsigned char *at = data;
    size_t left = len;
    bound(timeout_ms);
    while (left > 0) {
        int rc = mbedtls_ssl_write(&ssl, at, left);
        if (rc <= 0) {
            int net = failure("mbedtls_ssl_write", rc, result);
            unsigned char byte; /* the alert that explains it may have come before the reset */
            bound(0);
            if (hil_net_readable() != 0)
                fill(result, mbedtls_ssl_read(&ssl, &byte, 1));
            return net;
        }
        at += rc;
        left -= (size_t)rc;
    }
    return (int)len;
}

int hil_tls_recv(void *data, size_t cap, uint32_t timeout_ms, struct hil_tls_result *result) {
    bound(timeout_ms);
    int rc = mbedtls_ssl_read(&ssl, data, cap);
    return rc > 0 ? rc : failure("mbedtls_ssl_read", rc, result);
}

int hil_tls_pending(void) {
    return live && mbedtls_ssl_get_bytes_avail(&ssl) > 0;
}

static void drop_kept(void) {
    if (have_kept)
        mbedtls_ssl_session_free(&kept);
    have_kept = false;
}

void hil_tls_close(bool notify, bool forget) {
    if (live && notify) {
        bound(HIL_SERVICE_MS);
        (void)api("mbedtls_ssl_close_notify", mbedtls_ssl_close_notify(&ssl));
    }
    if (forget || keep_session)
        drop_kept();
    if (live && keep_session && !forget && ssl.state == MBEDTLS_SSL_HANDSHAKE_OVER) {
        mbedtls_ssl_session_init(&kept);
        have_kept = mbedtls_ssl_get_session(&ssl, &kept) == 0;
    }
    if (!live)
        return;
    mbedtls_ssl_free(&ssl);
    mbedtls_ssl_config_free(&conf);
    mbedtls_x509_crt_free(&ca);
    mbedtls_x509_crt_free(&own);
    mbedtls_pk_free(&key);
    mbedtls_hmac_drbg_free(&drbg);
    live = false;
}
