/* The shim for NetX against recorded NetX functions: order and arguments of the set-up, every code handed on,
 * every packet released, keys and certificates in all forms the bench gives them. */
#include "check.h"
#include "hil/net.h"
#include "hil/netx.h"
#include "hil/shim.h"
#include "hil/service.h"
#include "netx_pem.h"
#include "script.h"
#include "settings.h"
#include "stub_board.h"
#include "stub_netx.h"

#include <stdint.h>

/* Shapes of keys and certificates: what the shim looks at are tags and versions. */
static const uint8_t RSA_KEY[] = {0x30, 0x0A, 0x02, 0x01, 0x00, 0x02, 0x05, 1, 2, 3, 4, 5};
static const uint8_t EC_KEY[] = {0x30, 0x0A, 0x02, 0x01, 0x01, 0x04, 0x05, 1, 2, 3, 4, 5};
static const uint8_t CERT[] = {0x30, 0x03, 0x02, 0x01, 0x07};
/* The same two as PEM. */
static const char EC_PEM[] =
    "-----BEGIN EC PRIVATE KEY-----\nMAoCAQEEBQECAwQF\n-----END EC PRIVATE KEY-----\n";
static const char TWO_PEM[] =
    "subject=/CN=one\n-----BEGIN CERTIFICATE-----\nMAMC\r\nAQc=\n-----END CERTIFICATE-----\n"
    "-----BEGIN CERTIFICATE-----\nMAMCAQc=\n-----END CERTIFICATE-----\n";

bool hil_script_valid(const char *script) {
    return script != NULL;
}

static unsigned heartbeats;

void hil_heartbeat(void) {
    heartbeats++;
}

void hil_service(void) {
    hil_heartbeat();
}

static struct hil_tls_config config;
static NX_SECURE_TLS_SESSION session;
static NX_SECURE_X509_CERT own, trusted;
static const uint8_t SEED[32];

static struct hil_blob blob(const void *data, size_t len) {
    return (struct hil_blob){data, len};
}

static void fresh(void) {
    stub_netx_clear();
    stub_clear();
    config = (struct hil_tls_config){
        .host = "broker.test",
        .min_version = 12,
        .max_version = 13,
        .ca = blob(TWO_PEM, sizeof TWO_PEM - 1),
        .cert = blob(CERT, sizeof CERT),
        .key = blob(EC_KEY, sizeof EC_KEY),
        .epoch = 1700000000,
        .seed = SEED,
        .timeout_ms = 1000,
    };
    hil_netx_setup_config(&config);
}

static UINT setup(void) {
    return hil_netx_tls_setup(NULL, &session, &own, &trusted);
}

static void order(void) {
    fresh();
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK(strcmp(stub_calls, "nx_secure_tls_initialize\n"
                             "nx_secure_tls_session_create\n"
                             "nx_secure_tls_ecc_initialize\n"
                             "nx_secure_tls_session_packet_buffer_set\n"
                             "nx_secure_tls_remote_certificate_allocate\n"
                             "nx_secure_tls_remote_certificate_allocate\n"
                             "nx_secure_tls_remote_certificate_allocate\n"
                             "nx_secure_tls_remote_certificate_allocate\n"
                             "nx_secure_tls_session_time_function_set\n"
                             "nx_secure_tls_session_certificate_callback_set\n"
                             "nx_secure_x509_dns_name_initialize\n"
                             "nx_secure_tls_session_sni_extension_set\n"
                             "nx_secure_x509_certificate_initialize\n"
                             "nx_secure_tls_trusted_certificate_add\n"
                             "nx_secure_x509_certificate_initialize\n"
                             "nx_secure_tls_trusted_certificate_add\n"
                             "nx_secure_x509_certificate_initialize\n"
                             "nx_secure_tls_local_certificate_add\n") == 0);
    CHECK_EQ(stub_seen.suites, 10);
    CHECK_EQ(stub_seen.first_suite, 0x1301);
    CHECK_EQ(stub_seen.groups, 3);
    CHECK(strcmp(stub_seen.sni, "broker.test") == 0);
    CHECK_EQ(stub_seen.key_type, NX_SECURE_X509_KEY_TYPE_EC_DER);
    CHECK_EQ(stub_seen.key_len, sizeof EC_KEY);
    CHECK(memcmp(stub_seen.key, EC_KEY, sizeof EC_KEY) == 0);
    CHECK(stub_seen.packet_buffer >= 4000);
    CHECK(strstr(stub_out, "name=nx_secure_tls_session_create rc=0x0 ") != NULL);
}

static void versions(void) {
    fresh();
    config.max_version = 12;
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_seen.version, NX_SECURE_TLS_VERSION_TLS_1_2);
    CHECK_EQ(stub_seen.suites, 7);
    CHECK_EQ(stub_seen.first_suite, 0xC02B);
    fresh(); /* the library decides about 1.3 alone when it is built; this one was not */
    config.min_version = 13;
    CHECK_EQ(setup(), NX_SECURE_TLS_UNSUPPORTED_TLS_VERSION);
    CHECK_EQ(stub_netx_count("nx_secure_tls_session_delete"), 1);
    fresh();
    config.max_version = 12;
    config.defects = HIL_NETX_TLS13_FORCED;
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_seen.version, 0);
}

static void lists(void) {
    fresh();
    config.suites = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_RSA_WITH_AES_128_CBC_SHA256,TLS_UNKNOWN";
    config.groups = "secp384r1,secp256r1";
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_seen.suites, 2);
    CHECK_EQ(stub_seen.first_suite, 0xC02F);
    CHECK_EQ(stub_seen.groups, 2);
}

/* Each call of the set-up may fail: its code comes back as it is and is printed, and behind session_create
 * the session is deleted, exactly once. */
static void failures(void) {
    static const char *const NAMES[] = {
        "nx_secure_tls_ecc_initialize",
        "nx_secure_tls_session_packet_buffer_set",
        "nx_secure_tls_remote_certificate_allocate",
        "nx_secure_tls_session_time_function_set",
        "nx_secure_tls_session_certificate_callback_set",
        "nx_secure_x509_dns_name_initialize",
        "nx_secure_tls_session_sni_extension_set",
        "nx_secure_x509_certificate_initialize",
        "nx_secure_tls_trusted_certificate_add",
        "nx_secure_tls_local_certificate_add",
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        char line[120];
        fresh();
        stub_netx_fail(NAMES[i], 1, 0x18A);
        CHECK_EQ(setup(), 0x18A);
        CHECK_EQ(stub_netx_count("nx_secure_tls_session_delete"), 1);
        snprintf(line, sizeof line, "name=%s rc=0x18a ", NAMES[i]);
        CHECK(strstr(stub_out, line) != NULL);
    }
    fresh();
    stub_netx_fail("nx_secure_x509_certificate_initialize", 3, 0x18A); /* our own */
    CHECK_EQ(setup(), 0x18A);
    CHECK(strstr(stub_out, "what=client_certificate name=nx_secure_x509_certificate_initialize rc=0x18a ") !=
          NULL);
    fresh();
    stub_netx_fail("nx_secure_tls_session_create", 1, NX_INVALID_PARAMETERS);
    CHECK_EQ(setup(), NX_INVALID_PARAMETERS);
    CHECK_EQ(stub_netx_count("nx_secure_tls_session_delete"), 0);
}

static void defects(void) {
    fresh();
    config.defects = HIL_NETX_CERT_AS_TRUSTED;
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_netx_count("nx_secure_tls_trusted_certificate_add"), 3);
    CHECK_EQ(stub_netx_count("nx_secure_tls_local_certificate_add"), 0);
    fresh();
    config.defects = HIL_NETX_ECC_UNINITIALISED | HIL_DEFECT_NO_SNI | HIL_DEFECT_DATES_UNCHECKED;
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_netx_count("nx_secure_tls_ecc_initialize"), 0);
    CHECK_EQ(stub_netx_count("nx_secure_tls_session_sni_extension_set"), 0);
    CHECK_EQ(stub_netx_count("nx_secure_tls_session_time_function_set"), 0);
    fresh();
    config.max_version = 12;
    config.defects = HIL_NETX_SHA384_SUITE | HIL_NETX_SMALL_CERT_BUFFER | HIL_NETX_SMALL_BUFFER;
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_seen.first_suite, 0xC030);
    CHECK_EQ(stub_seen.suites, 8);
    CHECK_EQ(stub_seen.cert_buffer, 256);
    CHECK_EQ(stub_seen.packet_buffer, 2048);
    fresh();
    config.defects = HIL_NETX_NO_AEAD;
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_seen.suites, 7);
    config.max_version = 12;
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_seen.suites, 4);
    CHECK_EQ(stub_seen.first_suite, 0xC023);
}

static void keys(void) {
    fresh();
    config.key = blob(EC_PEM, sizeof EC_PEM - 1);
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_seen.key_type, NX_SECURE_X509_KEY_TYPE_EC_DER);
    CHECK_EQ(stub_seen.key_len, sizeof EC_KEY);
    CHECK(memcmp(stub_seen.key, EC_KEY, sizeof EC_KEY) == 0);
    fresh();
    config.key = blob(RSA_KEY, sizeof RSA_KEY);
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_seen.key_type, NX_SECURE_X509_KEY_TYPE_RSA_PKCS1_DER);
    config.defects = HIL_NETX_WRONG_KEY_TYPE;
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_seen.key_type, NX_SECURE_X509_KEY_TYPE_EC_DER);
    fresh();
    config.key = blob(EC_PEM, sizeof EC_PEM - 1);
    config.defects = HIL_NETX_PEM_KEY;
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK(stub_seen.key == (const UCHAR *)EC_PEM);
    CHECK_EQ(stub_seen.key_len, sizeof EC_PEM - 1);
    fresh();
    config.defects = HIL_NETX_PKCS8_KEY;
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_seen.key_len, 2 + 3 + 21 + 2 + sizeof EC_KEY);
    CHECK(stub_seen.key[4] == 0 && stub_seen.key[stub_seen.key_len - 1] == 5);
    fresh();
    config.key = blob("neither", 7);
    CHECK_EQ(setup(), NX_SUCCESS); /* NetX itself refuses it */
    CHECK_EQ(stub_seen.key_len, 7);
    fresh();
    config.key = (struct hil_blob){NULL, 0};
    config.cert = (struct hil_blob){NULL, 0};
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_netx_count("nx_secure_tls_local_certificate_add"), 0);
    fresh();
    config.ca = blob("garbage", 7);
    stub_netx_fail("nx_secure_x509_certificate_initialize", 1, NX_SECURE_X509_INVALID_CERTIFICATE);
    CHECK_EQ(setup(), NX_SECURE_X509_INVALID_CERTIFICATE);
}

/* Roots and our own intermediates share a store: what does not fit is not left out in silence. */
static void more_than_there_is_room_for(void) {
    static const uint8_t ONE[] = {0x30, 0x03, 0x02, 0x01, 0x07};
    uint8_t many[8 * sizeof ONE];
    for (size_t i = 0; i < 8; i++)
        memcpy(many + i * sizeof ONE, ONE, sizeof ONE);
    fresh();
    config.ca = blob(many, 7 * sizeof ONE); /* the caller's own place, and all of the store */
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK_EQ(stub_netx_count("nx_secure_tls_trusted_certificate_add"), 7);
    fresh();
    config.ca = blob(many, 8 * sizeof ONE);
    CHECK_EQ(setup(), NX_SECURE_TLS_INSUFFICIENT_CERT_SPACE);
    CHECK(strstr(stub_out, "name=nx_secure_tls_trusted_certificate_add rc=0x12d ") != NULL);
    CHECK_EQ(stub_netx_count("nx_secure_tls_session_delete"), 1);
    fresh();
    config.cert = blob(many, 7 * sizeof ONE); /* the roots have taken some places */
    CHECK_EQ(setup(), NX_SECURE_TLS_INSUFFICIENT_CERT_SPACE);
    CHECK(strstr(stub_out, "name=nx_secure_tls_local_certificate_add rc=0x12d ") != NULL);
}

static void callbacks(void) {
    fresh();
    config.epoch = 0;
    hil_net_close(1);
    CHECK_EQ(setup(), NX_SUCCESS);
    CHECK(stub_seen.time() != 0); /* 0 would switch the dates off */
    CHECK_EQ(stub_seen.certificate(&session, &own), NX_SUCCESS);
    stub_netx_fail("nx_secure_x509_common_name_dns_check", 2, NX_SECURE_X509_CERTIFICATE_DNS_MISMATCH);
    CHECK_EQ(stub_seen.certificate(&session, &own), NX_SECURE_X509_CERTIFICATE_DNS_MISMATCH);
    config.defects = HIL_DEFECT_NAME_UNCHECKED;
    CHECK_EQ(stub_seen.certificate(&session, &own), NX_SUCCESS);
    stub_netx_fail("nx_secure_x509_extended_key_usage_extension_parse", 3,
                   NX_SECURE_X509_EXT_KEY_USAGE_NOT_FOUND);
    CHECK_EQ(stub_seen.certificate(&session, &own), NX_SECURE_X509_EXT_KEY_USAGE_NOT_FOUND);
    stub_netx_fail("nx_secure_x509_extended_key_usage_extension_parse", 4,
                   NX_SECURE_X509_EXTENSION_NOT_FOUND);
    CHECK_EQ(stub_seen.certificate(&session, &own), NX_SUCCESS);
}

static void handshake(void) {
    struct hil_tls_result result = {.alert = -1, .alert_sent = -1};
    fresh();
    CHECK_EQ(hil_tls_open(&config, &result), 0);
    CHECK_EQ(stub_seen.wait, 100); /* ticks */
    CHECK(strcmp(result.version, "1.3") == 0 && strcmp(result.suite, "0x1301") == 0);
    CHECK_EQ(stub_netx_count("tx_timer_create"), 1);
    CHECK_EQ(stub_netx_count("tx_timer_delete"), 1);
    CHECK(heartbeats > 0);
    hil_tls_close(true, false);
    CHECK_EQ(stub_netx_count("nx_secure_tls_session_end"), 1);
    CHECK_EQ(stub_netx_count("nx_secure_tls_session_delete"), 1);
    fresh();
    stub_netx_fail("nx_secure_tls_session_start", 1, NX_SECURE_TLS_ALERT_RECEIVED);
    CHECK_EQ(hil_tls_open(&config, &result), -1);
    CHECK_EQ(result.rc, 0x114);
    CHECK_EQ(result.alert, 40);
    CHECK(strstr(stub_out, "name=nx_secure_tls_session_start rc=0x114 ") != NULL);
    CHECK_EQ(stub_netx_count("nx_secure_tls_session_delete"), 1);
    hil_tls_close(false, true); /* the client does it once more */
    CHECK_EQ(stub_netx_count("nx_secure_tls_session_delete"), 1);
    fresh();
    stub_netx_fail("nx_secure_tls_session_packet_buffer_set", 1, NX_INVALID_PARAMETERS);
    CHECK_EQ(hil_tls_open(&config, &result), -1);
    CHECK_EQ(result.rc, 0x4D);
    CHECK_EQ(stub_netx_count("nx_secure_tls_session_start"), 0);
}

static void data(void) {
    struct hil_tls_result result = {.alert = -1, .alert_sent = -1};
    char buffer[8];
    fresh();
    CHECK_EQ(hil_tls_open(&config, &result), 0);
    CHECK_EQ(hil_tls_send("hello", 5, 100, &result), 5);
    CHECK(stub_seen.sent == 5 && memcmp(stub_seen.bytes, "hello", 5) == 0);
    stub_netx_receive("0123456789", 10);
    stub_netx_receive("x", 1);
    CHECK_EQ(hil_tls_recv(buffer, 8, 100, &result), 8);
    CHECK(hil_tls_pending() == 1);
    CHECK_EQ(hil_tls_recv(buffer, 8, 100, &result), 2);
    CHECK(buffer[0] == '8' && buffer[1] == '9' && hil_tls_pending() == 0);
    CHECK_EQ(hil_tls_recv(buffer, 8, 100, &result), 1);
    CHECK_EQ(stub_seen.packets, 0);
    /* Errors: a packet that could not be sent is ours to release, and the alert behind it is looked for. */
    stub_netx_fail("nx_secure_tls_session_send", 2, NX_NOT_CONNECTED);
    stub_netx_fail("nx_secure_tls_session_receive", 3, NX_SECURE_TLS_ALERT_RECEIVED);
    CHECK_EQ(hil_tls_send("more", 4, 100, &result), HIL_NET_CLOSED);
    CHECK_EQ(result.alert, 116);
    CHECK_EQ(result.rc, 0x38);
    CHECK_EQ(stub_seen.packets, 0);
    stub_netx_fail("nx_packet_allocate", stub_netx_count("nx_packet_allocate") + 1, NX_NO_PACKET);
    CHECK_EQ(hil_tls_send("more", 4, 100, &result), HIL_NET_TIMEOUT);
    stub_netx_fail("nx_packet_data_append", stub_netx_count("nx_packet_data_append") + 1, NX_NO_PACKET);
    CHECK_EQ(hil_tls_send("more", 4, 100, &result), HIL_NET_TIMEOUT);
    CHECK_EQ(stub_seen.packets, 0);
    hil_tls_close(false, true);
    CHECK_EQ(hil_tls_recv(buffer, 8, 100, &result), HIL_NET_CLOSED);
    /* The peer has closed: there is not even a packet to be had. */
    fresh();
    CHECK_EQ(hil_tls_open(&config, &result), 0);
    stub_netx_fail("nx_packet_allocate", 1, NX_SECURE_TLS_SESSION_UNINITIALIZED);
    stub_netx_fail("nx_secure_tls_session_receive", 1, NX_SECURE_TLS_ALERT_RECEIVED);
    result.alert = -1;
    CHECK_EQ(hil_tls_send("more", 4, 100, &result), HIL_NET_CLOSED);
    CHECK_EQ(result.rc, 0x101);
    CHECK_EQ(result.alert, 116);
    hil_tls_close(false, true);
}

static void endings(void) {
    struct hil_tls_result result = {.alert = -1, .alert_sent = -1};
    char buffer[8];
    fresh();
    CHECK_EQ(hil_tls_open(&config, &result), 0);
    stub_netx_fail("nx_secure_tls_session_receive", 1, NX_SECURE_TLS_CLOSE_NOTIFY_RECEIVED);
    CHECK_EQ(hil_tls_recv(buffer, 8, 100, &result), HIL_NET_CLOSED);
    CHECK_EQ(result.alert, 0);
    stub_netx_fail("nx_secure_tls_session_receive", 2, NX_NOT_CONNECTED);
    CHECK_EQ(hil_tls_recv(buffer, 8, 100, &result), HIL_NET_CLOSED);
    stub_netx_receive("kept", 4); /* left over when the session ends */
    CHECK_EQ(hil_tls_recv(buffer, 1, 100, &result), 1);
    hil_tls_close(false, true);
    CHECK_EQ(stub_seen.packets, 0);
}

static void tcp(void) {
    char buffer[4];
    fresh();
    CHECK_EQ(hil_net_up(100), HIL_NET_OK);
    CHECK(strcmp(hil_net_address(), "10.77.1.2") == 0);
    CHECK_EQ(hil_net_connect("broker.test", "10.77.0.1", 8883, 100), HIL_NET_OK);
    CHECK_EQ(stub_seen.sent, 0x0A4D0001);
    CHECK_EQ(hil_net_send("plain", 5, 100), 5);
    stub_netx_receive("abcdef", 6);
    CHECK_EQ(hil_net_readable(), 1);
    CHECK_EQ(hil_net_recv(buffer, 4, 100), 4);
    CHECK_EQ(hil_net_readable(), 1);
    CHECK_EQ(hil_net_recv(buffer, 4, 100), 2);
    CHECK_EQ(hil_net_recv(buffer, 4, 100), HIL_NET_TIMEOUT);
    stub_netx_fail("nx_tcp_socket_send", 2, NX_NOT_CONNECTED);
    CHECK_EQ(hil_net_send("plain", 5, 100), HIL_NET_RESET);
    CHECK_EQ(stub_seen.packets, 0);
    hil_net_close(0);
    CHECK_EQ(stub_netx_count("nx_tcp_socket_disconnect"), 1);
    CHECK_EQ(stub_netx_count("nx_tcp_client_socket_unbind"), 1);
    CHECK_EQ(stub_netx_count("nx_tcp_socket_delete"), 1);
    CHECK_EQ(hil_net_recv(buffer, 4, 100), HIL_NET_CLOSED);
    hil_net_close(0);
    CHECK_EQ(stub_netx_count("nx_tcp_socket_delete"), 1);
    fresh();
    stub_netx_fail("nx_tcp_client_socket_connect", 1, NX_NOT_CONNECTED);
    CHECK_EQ(hil_net_connect("", "10.77.0.1", 8883, 100), HIL_NET_REFUSED); /* at once */
    CHECK_EQ(hil_net_detail(), NX_NOT_CONNECTED);
    CHECK_EQ(stub_netx_count("nx_tcp_socket_delete"), 1);
    CHECK_EQ(hil_net_connect("broker.test", "", 8883, 100), HIL_NET_OK);
    CHECK_EQ(stub_seen.sent, 0x7F000001);
    stub_netx_fail("hil_netx_resolve", 2, 0xA3);
    CHECK_EQ(hil_net_connect("broker.test", "", 8883, 100), HIL_NET_NAME);
    CHECK_EQ(hil_net_connect("broker.test", "1.2.3", 8883, 100), HIL_NET_NAME);
    CHECK_EQ(hil_net_connect("broker.test", "1.2.3.256", 8883, 100), HIL_NET_NAME);
    stub_netx_fail("nx_tcp_client_socket_bind", stub_netx_count("nx_tcp_client_socket_bind") + 1, 0x45);
    CHECK_EQ(hil_net_connect("", "10.77.0.1", 8883, 100), HIL_NET_ERROR);
    hil_net_close(1);
}

/* The reader of PEM and DER: never past its input, never past its output. */
static void der(void) {
    uint8_t out[64];
    size_t at = 0;
    CHECK_EQ(hil_der_next(blob(TWO_PEM, sizeof TWO_PEM - 1), &at, out, sizeof out), 5);
    CHECK(memcmp(out, CERT, 5) == 0);
    CHECK_EQ(hil_der_next(blob(TWO_PEM, sizeof TWO_PEM - 1), &at, out, 4), -1); /* does not fit */
    at = 0;
    for (size_t len = 0; len < sizeof TWO_PEM; len++) { /* cut anywhere, from memory that ends there */
        char *cut = malloc(len + 1);
        memcpy(cut, TWO_PEM, len);
        at = 0;
        for (int i = 0; i < 4; i++) {
            int got = hil_der_next(blob(cut, len), &at, out, sizeof out);
            CHECK(got == 5 || got == 0 || got == -1);
        }
        free(cut);
    }
    static const uint8_t BAD[][6] = {{0x30, 0x80, 0, 0},       {0x30, 0x82, 0xFF, 0xFF},
                                     {0x30, 0x83, 0, 0, 1, 1}, {0x30, 0x7F, 1, 2, 3, 4},
                                     {0x31, 0x00, 0, 0},       {0x30}};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        at = 0;
        CHECK_EQ(hil_der_next(blob(BAD[i], i == 5 ? 1 : 6), &at, out, sizeof out), -1);
    }
    static const char *const WORSE[] = {"-----BEGIN X-----", "-----BEGIN X-----\n!\n-----END X-----",
                                        "-----BEGIN X-----\n-----END X-----", "-----BEGIN "};
    for (size_t i = 0; i < sizeof WORSE / sizeof *WORSE; i++) {
        at = 0;
        CHECK_EQ(hil_der_next(blob(WORSE[i], strlen(WORSE[i])), &at, out, sizeof out), -1);
    }
    at = 0;
    CHECK_EQ(hil_der_next((struct hil_blob){NULL, 0}, &at, out, sizeof out), 0);
    uint8_t two[10];
    memcpy(two, CERT, 5);
    memcpy(two + 5, CERT, 5);
    at = 0;
    CHECK_EQ(hil_der_next(blob(two, 10), &at, out, sizeof out), 5);
    CHECK_EQ(hil_der_next(blob(two, 10), &at, out, sizeof out), 5);
    CHECK_EQ(hil_der_next(blob(two, 10), &at, out, sizeof out), 0);
    CHECK_EQ(hil_der_pkcs8(RSA_KEY, sizeof RSA_KEY, true, out, 33), -1);
    CHECK_EQ(hil_der_pkcs8(RSA_KEY, sizeof RSA_KEY, true, out, 34), 34);
    uint8_t big[400], packed[512];
    memset(big, 7, sizeof big);
    CHECK_EQ(hil_der_pkcs8(big, sizeof big, true, packed, sizeof packed), 4 + 3 + 15 + 4 + 400);
    CHECK_EQ(hil_der_pkcs8(big, 0xF001, true, packed, sizeof packed), -1);
}

static void names(void) {
    char list[400];
    CHECK(hil_settings_defect_names(list, sizeof list) < 399);
    CHECK(strstr(list, "no_sni") != NULL && strstr(list, ",tls13_forced") != NULL);
    CHECK(hil_settings_commands.set(NULL, "defect", "pkcs8_key,no_sni") == NULL);
    CHECK_EQ(hil_settings.defects, HIL_NETX_PKCS8_KEY | HIL_DEFECT_NO_SNI);
    CHECK(strcmp(hil_settings_commands.set(NULL, "defect", "verify_off"), "bad_value") == 0);
    CHECK(strncmp(hil_tls_stack(), "netx-6.4.", 9) == 0);
}

int main(void) {
    hil_settings_init();
    order();
    versions();
    lists();
    failures();
    defects();
    keys();
    more_than_there_is_room_for();
    callbacks();
    handshake();
    data();
    endings();
    tcp();
    der();
    names();
    return 0;
}
