/* NetX's MQTT client: connect, publish at QoS 0 and disconnect, with its codes and its order: the TLS set-up
 * runs before TCP opens, and whatever went wrong in the handshake becomes 0x10005. */
#include "nxd_mqtt_client.h"

#include <stdbool.h>
#include <string.h>

#define PACKET_MAX 1024u
#define REFUSED    0x10080u

struct packet {
    UCHAR bytes[PACKET_MAX];
    size_t len;
    bool full;
};

static void put(struct packet *p, const void *data, size_t len) {
    if (len > sizeof p->bytes - p->len) {
        p->full = true;
        return;
    }
    memcpy(p->bytes + p->len, data, len);
    p->len += len;
}

static void put16(struct packet *p, size_t value) {
    const UCHAR bytes[] = {(UCHAR)(value >> 8), (UCHAR)value};
    put(p, bytes, 2);
}

static void put_text(struct packet *p, const CHAR *text, UINT len) {
    put16(p, len);
    put(p, text, len);
}

/* Fixed header, then the body, through TLS. */
static UINT send_packet(NXD_MQTT_CLIENT *client, UCHAR type, const struct packet *body, ULONG wait_option) {
    UCHAR head[3] = {type};
    size_t used = 2;
    NX_PACKET *packet = NULL;
    if (body->full)
        return NX_INVALID_PARAMETERS;
    head[1] = (UCHAR)(body->len < 128 ? body->len : body->len % 128 | 0x80u);
    if (body->len >= 128)
        head[used++] = (UCHAR)(body->len / 128);
    UINT code = nx_secure_tls_packet_allocate(&client->nxd_mqtt_tls_session,
                                              client->nxd_mqtt_client_packet_pool_ptr, &packet, wait_option);
    if (code != NX_SUCCESS)
        return code;
    union {
        const UCHAR *in;
        UCHAR *out;
    } bytes = {.in = body->bytes}; /* only read */
    code = nx_packet_data_append(packet, head, (ULONG)used, NULL, wait_option);
    if (code == NX_SUCCESS && body->len > 0)
        code = nx_packet_data_append(packet, bytes.out, (ULONG)body->len, NULL, wait_option);
    if (code == NX_SUCCESS)
        code = nx_secure_tls_session_send(&client->nxd_mqtt_tls_session, packet, wait_option);
    if (code != NX_SUCCESS)
        (void)nx_packet_release(packet);
    return code;
}

static void end(NXD_MQTT_CLIENT *client) {
    (void)nx_secure_tls_session_end(&client->nxd_mqtt_tls_session, NX_NO_WAIT);
    (void)nx_secure_tls_session_delete(&client->nxd_mqtt_tls_session);
    (void)nx_tcp_socket_disconnect(&client->nxd_mqtt_client_socket, NX_IP_PERIODIC_RATE);
    (void)nx_tcp_client_socket_unbind(&client->nxd_mqtt_client_socket);
    client->nx_model_connected = 0;
}

UINT nxd_mqtt_client_create(NXD_MQTT_CLIENT *client, CHAR *name, CHAR *id, UINT id_length, NX_IP *ip,
                            NX_PACKET_POOL *pool, VOID *stack, ULONG stack_size, UINT priority, VOID *memory,
                            ULONG memory_size) {
    (void)stack;
    (void)stack_size;
    (void)priority;
    (void)memory;
    (void)memory_size;
    if (client == NULL || ip == NULL || pool == NULL)
        return NX_PTR_ERROR;
    memset(client, 0, sizeof *client);
    client->nxd_mqtt_client_id = id;
    client->nxd_mqtt_client_id_length = id_length;
    client->nxd_mqtt_client_ip_ptr = ip;
    client->nxd_mqtt_client_packet_pool_ptr = pool;
    return nx_tcp_socket_create(ip, &client->nxd_mqtt_client_socket, name, NX_IP_NORMAL, NX_FRAGMENT_OKAY,
                                NX_IP_TIME_TO_LIVE, 8192, NULL, NULL);
}

UINT nxd_mqtt_client_login_set(NXD_MQTT_CLIENT *client, CHAR *user, UINT user_length, CHAR *password,
                               UINT password_length) {
    client->nxd_mqtt_client_username = user;
    client->nxd_mqtt_client_username_length = user_length;
    client->nxd_mqtt_client_password = password;
    client->nxd_mqtt_client_password_length = password_length;
    return NX_SUCCESS;
}

static UINT send_connect(NXD_MQTT_CLIENT *client, UINT keepalive, UINT clean_session, ULONG wait_option) {
    struct packet body = {.len = 0};
    UCHAR flags = clean_session != 0 ? 0x02 : 0;
    if (client->nxd_mqtt_client_username_length > 0)
        flags = (UCHAR)(flags | 0x80u | (client->nxd_mqtt_client_password_length > 0 ? 0x40u : 0u));
    put_text(&body, "MQTT", 4);
    put(&body, "\x04", 1);
    put(&body, &flags, 1);
    put16(&body, keepalive);
    put_text(&body, client->nxd_mqtt_client_id, client->nxd_mqtt_client_id_length);
    if ((flags & 0x80u) != 0)
        put_text(&body, client->nxd_mqtt_client_username, client->nxd_mqtt_client_username_length);
    if ((flags & 0x40u) != 0)
        put_text(&body, client->nxd_mqtt_client_password, client->nxd_mqtt_client_password_length);
    return send_packet(client, 0x10, &body, wait_option);
}

static UINT read_connack(NXD_MQTT_CLIENT *client, ULONG wait_option) {
    UCHAR bytes[4] = {0};
    ULONG copied = 0;
    NX_PACKET *packet = NULL;
    if (nx_secure_tls_session_receive(&client->nxd_mqtt_tls_session, &packet, wait_option) != NX_SUCCESS)
        return NXD_MQTT_COMMUNICATION_FAILURE;
    (void)nx_packet_data_extract_offset(packet, 0, bytes, sizeof bytes, &copied);
    (void)nx_packet_release(packet);
    if (copied < 4 || bytes[0] != 0x20 || bytes[1] != 2)
        return NXD_MQTT_COMMUNICATION_FAILURE;
    return bytes[3] == 0 ? NXD_MQTT_SUCCESS : REFUSED + bytes[3];
}

UINT nxd_mqtt_client_secure_connect(NXD_MQTT_CLIENT *client, NXD_ADDRESS *server, UINT port,
                                    UINT (*tls_setup)(NXD_MQTT_CLIENT *, NX_SECURE_TLS_SESSION *,
                                                      NX_SECURE_X509_CERT *, NX_SECURE_X509_CERT *),
                                    UINT keepalive, UINT clean_session, ULONG wait_option) {
    if (client->nx_model_connected != 0)
        return NXD_MQTT_ALREADY_CONNECTED;
    UINT code = tls_setup(client, &client->nxd_mqtt_tls_session, &client->nxd_mqtt_tls_certificate,
                          &client->nxd_mqtt_tls_trusted_certificate);
    if (code != NX_SUCCESS)
        return code; /* raw */
    client->nxd_mqtt_client_use_tls = 1;
    (void)nx_tcp_client_socket_bind(&client->nxd_mqtt_client_socket, NX_ANY_PORT, wait_option);
    if (nx_tcp_client_socket_connect(&client->nxd_mqtt_client_socket, server->nxd_ip_address.v4, port,
                                     wait_option) != NX_SUCCESS) {
        (void)nx_secure_tls_session_delete(&client->nxd_mqtt_tls_session);
        (void)nx_tcp_client_socket_unbind(&client->nxd_mqtt_client_socket);
        return NXD_MQTT_CONNECT_FAILURE;
    }
    if (nx_secure_tls_session_start(&client->nxd_mqtt_tls_session, &client->nxd_mqtt_client_socket,
                                    (UINT)wait_option) != NX_SUCCESS ||
        send_connect(client, keepalive, clean_session, wait_option) != NX_SUCCESS) {
        end(client);
        return NXD_MQTT_CONNECT_FAILURE;
    }
    client->nx_model_connected = 1;
    code = read_connack(client, wait_option);
    if (code != NXD_MQTT_SUCCESS)
        end(client);
    return code;
}

UINT nxd_mqtt_client_publish(NXD_MQTT_CLIENT *client, CHAR *topic, UINT topic_length, CHAR *message,
                             UINT message_length, UINT retain, UINT qos, ULONG wait_option) {
    struct packet body = {.len = 0};
    if (client->nx_model_connected == 0)
        return NXD_MQTT_NOT_CONNECTED;
    if (qos != 0)
        return NX_INVALID_PARAMETERS; /* not modelled */
    put_text(&body, topic, topic_length);
    put(&body, message, message_length);
    return send_packet(client, retain != 0 ? 0x31 : 0x30, &body, wait_option) == NX_SUCCESS
               ? NXD_MQTT_SUCCESS
               : NXD_MQTT_COMMUNICATION_FAILURE;
}

UINT nxd_mqtt_client_disconnect(NXD_MQTT_CLIENT *client) {
    const struct packet none = {.len = 0};
    if (client->nx_model_connected == 0)
        return NXD_MQTT_NOT_CONNECTED;
    (void)send_packet(client, 0xE0, &none, NX_IP_PERIODIC_RATE);
    end(client);
    return NXD_MQTT_SUCCESS;
}

UINT nxd_mqtt_client_delete(NXD_MQTT_CLIENT *client) {
    if (client->nx_model_connected != 0)
        (void)nxd_mqtt_client_disconnect(client);
    return nx_tcp_socket_delete(&client->nxd_mqtt_client_socket);
}
