#include "stub_netx.h"

#include "check.h"
#include "hil/netx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char stub_calls[8192];
struct stub_netx_seen stub_seen;

static struct {
    char name[64];
    unsigned nth;
    UINT code;
} failing[4];
static unsigned failing_count;
static UCHAR incoming[4][2048];
static size_t incoming_len[4], incoming_count, incoming_at;
static NX_IP ip;
static NX_PACKET_POOL pool = {100};

unsigned stub_netx_count(const char *name) {
    char line[80];
    unsigned count = 0;
    snprintf(line, sizeof line, "%s\n", name);
    for (const char *at = stub_calls; (at = strstr(at, line)) != NULL; at++)
        count += at == stub_calls || at[-1] == '\n';
    return count;
}

void stub_netx_clear(void) {
    stub_calls[0] = '\0';
    failing_count = 0;
    incoming_count = incoming_at = 0;
    memset(&stub_seen, 0, sizeof stub_seen);
}

void stub_netx_fail(const char *name, unsigned nth, UINT code) {
    snprintf(failing[failing_count].name, sizeof failing[0].name, "%s", name);
    failing[failing_count].nth = nth;
    failing[failing_count++].code = code;
}

void stub_netx_receive(const void *data, size_t len) {
    memcpy(incoming[incoming_count], data, len);
    incoming_len[incoming_count++] = len;
}

/* Touches every byte, for the sanitizer. */
static void readable(const UCHAR *data, size_t len) {
    volatile UCHAR sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = (UCHAR)(sum + data[i]);
}

static UINT called(const char *name) {
    size_t used = strlen(stub_calls);
    snprintf(stub_calls + used, sizeof stub_calls - used, "%s\n", name);
    for (unsigned i = 0; i < failing_count; i++)
        if (strcmp(failing[i].name, name) == 0 && stub_netx_count(name) == failing[i].nth)
            return failing[i].code;
    return NX_SUCCESS;
}

/* --- board --- */

NX_IP *hil_netx_ip(void) {
    return &ip;
}

NX_PACKET_POOL *hil_netx_pool(void) {
    return &pool;
}

UINT hil_netx_resolve(const char *host, ULONG *address, ULONG ticks) {
    (void)host;
    (void)ticks;
    *address = 0x7F000001;
    return called("hil_netx_resolve");
}

/* --- ThreadX, packets, TCP --- */

UINT tx_timer_create(TX_TIMER *timer, CHAR *name, VOID (*function)(ULONG), ULONG input, ULONG initial,
                     ULONG period, UINT activate) {
    (void)timer;
    (void)name;
    (void)initial;
    (void)period;
    (void)activate;
    function(input); /* it strikes at once */
    return called("tx_timer_create");
}

UINT tx_timer_delete(TX_TIMER *timer) {
    (void)timer;
    return called("tx_timer_delete");
}

UINT nx_packet_allocate(NX_PACKET_POOL *from, NX_PACKET **packet, ULONG type, ULONG wait_option) {
    (void)from;
    (void)type;
    (void)wait_option;
    UINT code = called("nx_packet_allocate");
    *packet = NULL;
    if (code == NX_SUCCESS) {
        *packet = calloc(1, sizeof **packet);
        CHECK(*packet != NULL);
        stub_seen.packets++;
    }
    return code;
}

UINT nx_secure_tls_packet_allocate(NX_SECURE_TLS_SESSION *session, NX_PACKET_POOL *from, NX_PACKET **packet,
                                   ULONG wait_option) {
    (void)session;
    return nx_packet_allocate(from, packet, 0, wait_option);
}

UINT nx_packet_data_append(NX_PACKET *packet, VOID *data, ULONG size, NX_PACKET_POOL *from,
                           ULONG wait_option) {
    (void)from;
    (void)wait_option;
    UINT code = called("nx_packet_data_append");
    if (code == NX_SUCCESS) {
        CHECK(packet != NULL);
        packet->nx_model_data = realloc(packet->nx_model_data, packet->nx_packet_length + size);
        CHECK(packet->nx_model_data != NULL);
        memcpy(packet->nx_model_data + packet->nx_packet_length, data, size);
        packet->nx_packet_length += size;
    }
    return code;
}

UINT nx_packet_data_extract_offset(NX_PACKET *packet, ULONG offset, VOID *buffer, ULONG size, ULONG *copied) {
    ULONG left = packet->nx_packet_length - offset;
    *copied = left < size ? left : size;
    memcpy(buffer, packet->nx_model_data + offset, *copied);
    return called("nx_packet_data_extract_offset");
}

UINT nx_packet_length_get(NX_PACKET *packet, ULONG *length) {
    *length = packet->nx_packet_length;
    return NX_SUCCESS;
}

UINT nx_packet_release(NX_PACKET *packet) {
    stub_seen.packets--;
    free(packet->nx_model_data);
    free(packet);
    return called("nx_packet_release");
}

static UINT receive(const char *name, NX_PACKET **packet) {
    UINT code = called(name);
    *packet = NULL;
    if (code != NX_SUCCESS)
        return code;
    if (incoming_at == incoming_count)
        return NX_NO_PACKET;
    (void)nx_packet_allocate(&pool, packet, 0, 0);
    (void)nx_packet_data_append(*packet, incoming[incoming_at], (ULONG)incoming_len[incoming_at], &pool, 0);
    incoming_at++;
    return NX_SUCCESS;
}

static UINT send_packet(const char *name, NX_PACKET *packet) {
    UINT code = called(name);
    if (code != NX_SUCCESS)
        return code;
    memcpy(stub_seen.bytes, packet->nx_model_data, packet->nx_packet_length);
    stub_seen.sent = packet->nx_packet_length;
    return nx_packet_release(packet);
}

UINT nx_ip_status_check(NX_IP *instance, ULONG needed, ULONG *actual, ULONG wait_option) {
    (void)instance;
    (void)wait_option;
    *actual = needed;
    return called("nx_ip_status_check");
}

UINT nx_ip_address_get(NX_IP *instance, ULONG *address, ULONG *mask) {
    (void)instance;
    *address = 0x0A4D0102;
    *mask = 0xFFFFFF00;
    return called("nx_ip_address_get");
}

UINT nx_tcp_socket_create(NX_IP *instance, NX_TCP_SOCKET *socket, CHAR *name, ULONG type_of_service,
                          ULONG fragment, UINT time_to_live, ULONG window, VOID (*urgent)(NX_TCP_SOCKET *),
                          VOID (*disconnect)(NX_TCP_SOCKET *)) {
    (void)instance;
    (void)socket;
    (void)name;
    (void)type_of_service;
    (void)fragment;
    (void)time_to_live;
    (void)window;
    (void)urgent;
    (void)disconnect;
    return called("nx_tcp_socket_create");
}

UINT nx_tcp_client_socket_bind(NX_TCP_SOCKET *socket, UINT port, ULONG wait_option) {
    (void)socket;
    (void)port;
    (void)wait_option;
    return called("nx_tcp_client_socket_bind");
}

UINT nx_tcp_client_socket_connect(NX_TCP_SOCKET *socket, ULONG address, UINT port, ULONG wait_option) {
    (void)socket;
    (void)port;
    (void)wait_option;
    stub_seen.sent = address;
    return called("nx_tcp_client_socket_connect");
}

UINT nx_tcp_client_socket_unbind(NX_TCP_SOCKET *socket) {
    (void)socket;
    return called("nx_tcp_client_socket_unbind");
}

UINT nx_tcp_socket_bytes_available(NX_TCP_SOCKET *socket, ULONG *bytes) {
    (void)socket;
    *bytes = incoming_at < incoming_count;
    return NX_SUCCESS;
}

UINT nx_tcp_socket_disconnect(NX_TCP_SOCKET *socket, ULONG wait_option) {
    (void)socket;
    return called(wait_option == NX_NO_WAIT ? "reset" : "nx_tcp_socket_disconnect");
}

UINT nx_tcp_socket_delete(NX_TCP_SOCKET *socket) {
    (void)socket;
    return called("nx_tcp_socket_delete");
}

UINT nx_tcp_socket_send(NX_TCP_SOCKET *socket, NX_PACKET *packet, ULONG wait_option) {
    (void)socket;
    (void)wait_option;
    return send_packet("nx_tcp_socket_send", packet);
}

UINT nx_tcp_socket_receive(NX_TCP_SOCKET *socket, NX_PACKET **packet, ULONG wait_option) {
    (void)socket;
    (void)wait_option;
    return receive("nx_tcp_socket_receive", packet);
}

/* --- NetX Secure --- */

VOID nx_secure_tls_initialize(VOID) {
    (void)called("nx_secure_tls_initialize");
}

UINT nx_secure_tls_session_create(NX_SECURE_TLS_SESSION *session, const NX_SECURE_TLS_CRYPTO *table,
                                  VOID *metadata, ULONG metadata_size) {
    (void)metadata;
    (void)metadata_size;
    memset(session, 0, sizeof *session);
    stub_seen.suites = table->nx_secure_tls_ciphersuite_lookup_table_size;
    stub_seen.first_suite = table->nx_secure_tls_ciphersuite_lookup_table[0].nx_secure_tls_ciphersuite;
    session->nx_secure_tls_session_ciphersuite = &table->nx_secure_tls_ciphersuite_lookup_table[0];
    session->nx_secure_tls_1_3 = 1;
    return called("nx_secure_tls_session_create");
}

UINT nx_secure_tls_ecc_initialize(NX_SECURE_TLS_SESSION *session, const USHORT *groups, USHORT group_count,
                                  const NX_CRYPTO_METHOD **curves) {
    (void)session;
    (void)groups;
    (void)curves;
    stub_seen.groups = group_count;
    return called("nx_secure_tls_ecc_initialize");
}

UINT nx_secure_tls_session_protocol_version_override(NX_SECURE_TLS_SESSION *session, USHORT version) {
    session->nx_secure_tls_1_3 = 0;
    stub_seen.version = version;
    return called("nx_secure_tls_session_protocol_version_override");
}

UINT nx_secure_tls_session_packet_buffer_set(NX_SECURE_TLS_SESSION *session, UCHAR *buffer, ULONG size) {
    (void)session;
    (void)buffer;
    stub_seen.packet_buffer = size;
    return called("nx_secure_tls_session_packet_buffer_set");
}

UINT nx_secure_tls_local_certificate_add(NX_SECURE_TLS_SESSION *session, NX_SECURE_X509_CERT *certificate) {
    (void)session;
    (void)certificate;
    return called("nx_secure_tls_local_certificate_add");
}

UINT nx_secure_tls_trusted_certificate_add(NX_SECURE_TLS_SESSION *session, NX_SECURE_X509_CERT *certificate) {
    (void)session;
    (void)certificate;
    return called("nx_secure_tls_trusted_certificate_add");
}

UINT nx_secure_tls_remote_certificate_allocate(NX_SECURE_TLS_SESSION *session,
                                               NX_SECURE_X509_CERT *certificate, UCHAR *buffer, UINT size) {
    (void)session;
    (void)certificate;
    (void)buffer;
    stub_seen.cert_buffer = size;
    return called("nx_secure_tls_remote_certificate_allocate");
}

UINT nx_secure_tls_session_time_function_set(NX_SECURE_TLS_SESSION *session, ULONG (*function)(VOID)) {
    (void)session;
    stub_seen.time = function;
    return called("nx_secure_tls_session_time_function_set");
}

UINT nx_secure_tls_session_certificate_callback_set(NX_SECURE_TLS_SESSION *session,
                                                    ULONG (*function)(NX_SECURE_TLS_SESSION *,
                                                                      NX_SECURE_X509_CERT *)) {
    (void)session;
    stub_seen.certificate = function;
    return called("nx_secure_tls_session_certificate_callback_set");
}

UINT nx_secure_tls_session_sni_extension_set(NX_SECURE_TLS_SESSION *session, NX_SECURE_X509_DNS_NAME *name) {
    (void)session;
    memcpy(stub_seen.sni, name->nx_secure_x509_dns_name, name->nx_secure_x509_dns_name_length);
    return called("nx_secure_tls_session_sni_extension_set");
}

UINT nx_secure_tls_session_start(NX_SECURE_TLS_SESSION *session, NX_TCP_SOCKET *socket, UINT wait_option) {
    (void)socket;
    stub_seen.wait = wait_option;
    UINT code = called("nx_secure_tls_session_start");
    if (code == NX_SECURE_TLS_ALERT_RECEIVED) {
        session->nx_secure_tls_received_alert_level = 2;
        session->nx_secure_tls_received_alert_value = 40;
    }
    return code;
}

UINT nx_secure_tls_session_send(NX_SECURE_TLS_SESSION *session, NX_PACKET *packet, ULONG wait_option) {
    (void)session;
    (void)wait_option;
    return send_packet("nx_secure_tls_session_send", packet);
}

UINT nx_secure_tls_session_receive(NX_SECURE_TLS_SESSION *session, NX_PACKET **packet, ULONG wait_option) {
    (void)wait_option;
    UINT code = receive("nx_secure_tls_session_receive", packet);
    if (code == NX_SECURE_TLS_ALERT_RECEIVED) {
        session->nx_secure_tls_received_alert_level = 2;
        session->nx_secure_tls_received_alert_value = 116;
    }
    return code;
}

UINT nx_secure_tls_session_end(NX_SECURE_TLS_SESSION *session, UINT wait_option) {
    (void)session;
    (void)wait_option;
    return called("nx_secure_tls_session_end");
}

UINT nx_secure_tls_session_delete(NX_SECURE_TLS_SESSION *session) {
    (void)session;
    return called("nx_secure_tls_session_delete");
}

UINT nx_secure_x509_certificate_initialize(NX_SECURE_X509_CERT *certificate, UCHAR *data, USHORT length,
                                           UCHAR *buffer, USHORT buffer_size, const UCHAR *key,
                                           USHORT key_length, UINT key_type) {
    (void)certificate;
    (void)buffer;
    (void)buffer_size;
    readable(data, length);
    if (key != NULL) {
        readable(key, key_length);
        stub_seen.key = key;
        stub_seen.key_len = key_length;
        stub_seen.key_type = key_type;
    }
    return called("nx_secure_x509_certificate_initialize");
}

UINT nx_secure_x509_common_name_dns_check(NX_SECURE_X509_CERT *certificate, const UCHAR *name, UINT length) {
    (void)certificate;
    readable(name, length);
    return called("nx_secure_x509_common_name_dns_check");
}

UINT nx_secure_x509_extended_key_usage_extension_parse(NX_SECURE_X509_CERT *certificate, UINT usage) {
    (void)certificate;
    (void)usage;
    return called("nx_secure_x509_extended_key_usage_extension_parse");
}

UINT nx_secure_x509_key_usage_extension_parse(NX_SECURE_X509_CERT *certificate, USHORT *bits) {
    (void)certificate;
    *bits = NX_SECURE_X509_KEY_USAGE_DIGITAL_SIGNATURE;
    return called("nx_secure_x509_key_usage_extension_parse");
}

UINT nx_secure_x509_dns_name_initialize(NX_SECURE_X509_DNS_NAME *name, const UCHAR *text, USHORT length) {
    memcpy(name->nx_secure_x509_dns_name, text, length);
    name->nx_secure_x509_dns_name_length = length;
    return called("nx_secure_x509_dns_name_initialize");
}
