/* TLS over NetX Secure (NetX Duo 6.x): one session on the socket of net/netx.c. The set-up is the callback a
 * product would give to nxd_mqtt_client_secure_connect (netx_setup.c).
 *
 * A handshake blocks in nx_secure_tls_session_start; the heartbeat goes on meanwhile (hil_netx_wait_begin).
 */
#include "hil/netx.h"

#include "hil/board.h"
#include "hil/net.h"
#include "hil/service.h"
#include "hil/shim.h"
#include "tls_common.h"

#include <string.h>

#ifdef NX_MODEL
#include <nx_model.h>
#endif

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* Every NetX application has these; see netx_setup.c. */
static NX_SECURE_TLS_SESSION session __attribute__((section(".bss.netx")));
static NX_SECURE_X509_CERT own __attribute__((section(".bss.netx"))),
    trusted __attribute__((section(".bss.netx")));
static bool live;
static NX_PACKET *rest; /* received, and read up to `rest_at` */
static ULONG rest_at;

const char *hil_tls_stack(void) {
    return "netx-" TEXT(NETXDUO_MAJOR_VERSION) "." TEXT(NETXDUO_MINOR_VERSION) "." TEXT(
        NETXDUO_PATCH_VERSION);
}

const char *hil_tls_caps(void) {
#if NX_SECURE_TLS_TLS_1_3_ENABLED
    return "tls1.2,tls1.3";
#else
    return "tls1.2";
#endif
}

static const struct hil_defect_name OWN_DEFECTS[] = {
    {"cert_as_trusted", HIL_NETX_CERT_AS_TRUSTED},
    {"no_aead", HIL_NETX_NO_AEAD},
    {"sha384_suite", HIL_NETX_SHA384_SUITE},
    {"ecc_uninitialised", HIL_NETX_ECC_UNINITIALISED},
    {"pkcs8_key", HIL_NETX_PKCS8_KEY},
    {"pem_key", HIL_NETX_PEM_KEY},
    {"wrong_key_type", HIL_NETX_WRONG_KEY_TYPE},
    {"small_buffer", HIL_NETX_SMALL_BUFFER},
    {"small_cert_buffer", HIL_NETX_SMALL_CERT_BUFFER},
    {"tls13_only", HIL_NETX_TLS13_ONLY},
    {"tls13_forced", HIL_NETX_TLS13_FORCED},
    {"primary_root_only", HIL_NETX_PRIMARY_ONLY},
    {"backup_root_only", HIL_NETX_BACKUP_ONLY},
#ifdef NX_MODEL
    {"ecc_engine", HIL_NETX_ECC_ENGINE},
#endif
};

const struct hil_defect_name *hil_own_defects(size_t *count) {
    *count = sizeof OWN_DEFECTS / sizeof *OWN_DEFECTS;
    return OWN_DEFECTS;
}

uint32_t hil_tls_defects(void) {
    uint32_t all = (uint32_t)HIL_DEFECT_NAME_UNCHECKED | HIL_DEFECT_DATES_UNCHECKED | HIL_DEFECT_NO_SNI;
    for (size_t i = 0; i < sizeof OWN_DEFECTS / sizeof *OWN_DEFECTS; i++)
        all |= OWN_DEFECTS[i].bit;
    return all;
}

/* --- results --- */

static const char *version_name(void) {
    if (session.nx_secure_tls_session_ciphersuite == NX_NULL)
        return "";
#if NX_SECURE_TLS_TLS_1_3_ENABLED
    if (session.nx_secure_tls_1_3 != 0)
        return "1.3";
#endif
    return "1.2";
}

static const char *suite_name(void) {
    static char name[] = "0x0000";
    if (session.nx_secure_tls_session_ciphersuite == NX_NULL)
        return "";
    for (unsigned i = 0; i < 4; i++)
        name[2 + i] =
            "0123456789abcdef"[session.nx_secure_tls_session_ciphersuite->nx_secure_tls_ciphersuite >>
                                   (12 - 4 * i) &
                               0xFu];
    return name;
}

/* HIL_NET_* for a code of send or receive. */
static int failure(const char *name, UINT code, struct hil_tls_result *result) {
    if (code == NX_NO_PACKET)
        return HIL_NET_TIMEOUT;
    result->rc = (int)hil_netx_api(name, code);
    result->alert = hil_netx_alert(&session);
    if (code == NX_SECURE_TLS_CLOSE_NOTIFY_RECEIVED) {
        result->alert = 0;
        return HIL_NET_CLOSED;
    }
    /* Once the socket is no longer established NetX calls the session uninitialised. */
    return code == NX_NOT_CONNECTED || code == NX_SECURE_TLS_SESSION_UNINITIALIZED ? HIL_NET_CLOSED
                                                                                   : HIL_NET_ERROR;
}

static void release(void) {
    if (rest != NX_NULL)
        (void)nx_packet_release(rest);
    rest = NX_NULL;
    if (live)
        (void)hil_netx_api("nx_secure_tls_session_delete", nx_secure_tls_session_delete(&session));
    live = false;
}

int hil_tls_open(const struct hil_tls_config *config, struct hil_tls_result *result) {
    UINT code;
    result->alert = result->alert_sent = -1;
    hil_clock_set(config->epoch, config->epoch_ms);
#ifdef NX_MODEL
    nx_model_seed(config->seed);
#endif
    hil_netx_setup_config(config);
    code = hil_netx_tls_setup(NX_NULL, &session, &own, &trusted);
    if (code != NX_SUCCESS) {
        result->rc = (int)code;
        return -1;
    }
    live = true;
    hil_netx_wait_begin();
    code = nx_secure_tls_session_start(&session, hil_netx_socket(), (UINT)hil_netx_ticks(config->timeout_ms));
    hil_netx_wait_end();
    (void)hil_netx_api("nx_secure_tls_session_start", code);
    result->rc = (int)code;
    result->alert = hil_netx_alert(&session);
    result->version = version_name();
    result->suite = suite_name();
    if (code != NX_SUCCESS)
        release();
    return code == NX_SUCCESS ? 0 : -1;
}

int hil_tls_send(const void *data, size_t len, uint32_t timeout_ms, struct hil_tls_result *result) {
    union {
        const void *in;
        void *out;
    } bytes = {.in = data}; /* NetX reads them, though its prototype does not say so */
    ULONG wait = hil_netx_ticks(timeout_ms);
    NX_PACKET *packet = NX_NULL;
    const char *call = "nx_secure_tls_packet_allocate";
    UINT code = nx_secure_tls_packet_allocate(&session, hil_netx_pool(), &packet, wait);
    if (code == NX_SUCCESS) {
        call = "nx_packet_data_append";
        code = nx_packet_data_append(packet, bytes.out, (ULONG)len, hil_netx_pool(), wait);
        if (code == NX_SUCCESS) {
            call = "nx_secure_tls_session_send";
            code = nx_secure_tls_session_send(&session, packet, wait);
        }
        if (code != NX_SUCCESS)
            (void)nx_packet_release(packet); /* it is ours as long as sending failed */
    }
    hil_service();
    if (code == NX_SUCCESS)
        return (int)len;
    int net = failure(call, code, result);
    if (net != HIL_NET_TIMEOUT && result->alert < 0 && rest == NX_NULL) {
        rest_at = 0; /* what explains it may have come before the reset */
        if (nx_secure_tls_session_receive(&session, &rest, NX_NO_WAIT) != NX_SUCCESS)
            rest = NX_NULL;
        result->alert = hil_netx_alert(&session);
    }
    return net;
}

/* Hands out of `rest`, and releases it when it is empty. */
static int from_rest(void *data, size_t cap) {
    ULONG length = 0, copied = 0;
    (void)nx_packet_length_get(rest, &length);
    if (rest_at < length)
        (void)nx_packet_data_extract_offset(rest, rest_at, data, (ULONG)cap, &copied);
    rest_at += copied;
    if (rest_at >= length || copied == 0) {
        (void)nx_packet_release(rest);
        rest = NX_NULL;
    }
    return (int)copied;
}

int hil_tls_recv(void *data, size_t cap, uint32_t timeout_ms, struct hil_tls_result *result) {
    uint32_t start = hil_board_ms(), gone = 0;
    if (!live)
        return HIL_NET_CLOSED;
    for (;;) {
        if (rest != NX_NULL) {
            int got = from_rest(data, cap);
            if (got > 0)
                return got;
        }
        uint32_t left = gone < timeout_ms ? timeout_ms - gone : 0;
        rest_at = 0;
        UINT code = nx_secure_tls_session_receive(
            &session, &rest, hil_netx_ticks(left < HIL_SERVICE_MS ? left : HIL_SERVICE_MS));
        if (code != NX_SUCCESS)
            rest = NX_NULL;
        hil_service();
        gone = hil_board_ms() - start;
        if (code == NX_SUCCESS)
            continue;
        if (code != NX_NO_PACKET || gone >= timeout_ms)
            return failure("nx_secure_tls_session_receive", code, result);
    }
}

int hil_tls_pending(void) {
    return rest != NX_NULL;
}

void hil_tls_close(bool notify, bool forget) {
    (void)forget; /* NetX resumes nothing */
    if (live && notify)
        (void)hil_netx_api("nx_secure_tls_session_end",
                           nx_secure_tls_session_end(&session, (UINT)hil_netx_ticks(HIL_SERVICE_MS)));
    release();
}
