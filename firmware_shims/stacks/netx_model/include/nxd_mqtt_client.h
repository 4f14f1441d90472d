/* NetX's MQTT client (3.1.1), as far as a product's connect needs it (../mqtt.c). Declarations of our own for
 * the stand-in: names, codes and meaning are the vendor's. */
#ifndef NETX_MODEL_NXD_MQTT_CLIENT_H
#define NETX_MODEL_NXD_MQTT_CLIENT_H

#include "nx_secure_tls_api.h"

#define NXD_MQTT_SUCCESS               0x0u
#define NXD_MQTT_ALREADY_CONNECTED     0x10001u
#define NXD_MQTT_NOT_CONNECTED         0x10002u
#define NXD_MQTT_CONNECT_FAILURE       0x10005u
#define NXD_MQTT_COMMUNICATION_FAILURE 0x10007u
#define NXD_MQTT_CLEAN_SESSION         1u

typedef struct NXD_MQTT_CLIENT_STRUCT {
    CHAR *nxd_mqtt_client_id;
    UINT nxd_mqtt_client_id_length;
    CHAR *nxd_mqtt_client_username;
    UINT nxd_mqtt_client_username_length;
    CHAR *nxd_mqtt_client_password;
    UINT nxd_mqtt_client_password_length;
    NX_IP *nxd_mqtt_client_ip_ptr;
    NX_PACKET_POOL *nxd_mqtt_client_packet_pool_ptr;
    NX_TCP_SOCKET nxd_mqtt_client_socket;
    UINT nxd_mqtt_client_use_tls;
    NX_SECURE_X509_CERT nxd_mqtt_tls_certificate, nxd_mqtt_tls_trusted_certificate;
    NX_SECURE_TLS_SESSION nxd_mqtt_tls_session;
    UINT nx_model_connected;
} NXD_MQTT_CLIENT;

UINT nxd_mqtt_client_create(NXD_MQTT_CLIENT *client, CHAR *name, CHAR *id, UINT id_length, NX_IP *ip,
                            NX_PACKET_POOL *pool, VOID *stack, ULONG stack_size, UINT priority, VOID *memory,
                            ULONG memory_size);
UINT nxd_mqtt_client_login_set(NXD_MQTT_CLIENT *client, CHAR *user, UINT user_length, CHAR *password,
                               UINT password_length);
UINT nxd_mqtt_client_secure_connect(NXD_MQTT_CLIENT *client, NXD_ADDRESS *server, UINT port,
                                    UINT (*tls_setup)(NXD_MQTT_CLIENT *, NX_SECURE_TLS_SESSION *,
                                                      NX_SECURE_X509_CERT *, NX_SECURE_X509_CERT *),
                                    UINT keepalive, UINT clean_session, ULONG wait_option);
UINT nxd_mqtt_client_publish(NXD_MQTT_CLIENT *client, CHAR *topic, UINT topic_length, CHAR *message,
                             UINT message_length, UINT retain, UINT qos, ULONG wait_option);
UINT nxd_mqtt_client_disconnect(NXD_MQTT_CLIENT *client);
UINT nxd_mqtt_client_delete(NXD_MQTT_CLIENT *client);

#endif
