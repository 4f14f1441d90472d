/* NetX Duo, as far as the shim uses it: packets and one TCP client socket, over a socket of this machine
 * (../tcp.c). Declarations of our own for the stand-in: names, codes and meaning are the vendor's, fields
 * that begin with nx_model_ are ours. */
#ifndef NETX_MODEL_NX_API_H
#define NETX_MODEL_NX_API_H

#include "tx_api.h"

#define NETXDUO_MAJOR_VERSION 6
#define NETXDUO_MINOR_VERSION 4
#define NETXDUO_PATCH_VERSION 2

#define NX_NULL             0
#define NX_TRUE             1
#define NX_FALSE            0
#define NX_NO_WAIT          0ul
#define NX_WAIT_FOREVER     0xFFFFFFFFul
#define NX_IP_PERIODIC_RATE 100
#define NX_ANY_PORT         0
#define NX_IP_NORMAL        0ul
#define NX_FRAGMENT_OKAY    0ul
#define NX_IP_TIME_TO_LIVE  0x80u
#define NX_TCP_PACKET       56ul
#define NX_IP_VERSION_V4    4u

#define NX_IP_ADDRESS_RESOLVED 0x0002ul

#define NX_SUCCESS             0x00u
#define NX_NO_PACKET           0x01u
#define NX_PTR_ERROR           0x07u
#define NX_SIZE_ERROR          0x09u
#define NX_INVALID_PACKET      0x12u
#define NX_ALREADY_BOUND       0x22u
#define NX_NOT_BOUND           0x24u
#define NX_NOT_CLOSED          0x35u
#define NX_NOT_CONNECTED       0x38u
#define NX_WINDOW_OVERFLOW     0x39u
#define NX_DISCONNECT_FAILED   0x41u
#define NX_STILL_BOUND         0x42u
#define NX_NOT_SUCCESSFUL      0x43u
#define NX_INVALID_PARAMETERS  0x4Du
#define NX_PACKET_OFFSET_ERROR 0x53u

typedef struct NX_PACKET_POOL_STRUCT {
    ULONG nx_model_available;
} NX_PACKET_POOL;

typedef struct NX_PACKET_STRUCT {
    ULONG nx_packet_length;
    ULONG nx_model_capacity;
    NX_PACKET_POOL *nx_model_pool;
    UCHAR *nx_model_data;
} NX_PACKET;

typedef struct NX_IP_STRUCT {
    NX_PACKET_POOL *nx_ip_default_packet_pool;
} NX_IP;

typedef struct NX_TCP_SOCKET_STRUCT {
    NX_IP *nx_tcp_socket_ip_ptr;
    UINT nx_tcp_socket_client_type;
    UINT nx_model_bound, nx_model_connected;
} NX_TCP_SOCKET;

typedef struct NXD_ADDRESS_STRUCT {
    ULONG nxd_ip_version;
    union {
        ULONG v4;
        ULONG v6[4];
    } nxd_ip_address;
} NXD_ADDRESS;

UINT nx_ip_status_check(NX_IP *ip, ULONG needed, ULONG *actual, ULONG wait_option);
UINT nx_ip_address_get(NX_IP *ip, ULONG *address, ULONG *mask);

UINT nx_packet_allocate(NX_PACKET_POOL *pool, NX_PACKET **packet, ULONG type, ULONG wait_option);
UINT nx_packet_data_append(NX_PACKET *packet, VOID *data, ULONG size, NX_PACKET_POOL *pool,
                           ULONG wait_option);
UINT nx_packet_data_extract_offset(NX_PACKET *packet, ULONG offset, VOID *buffer, ULONG size, ULONG *copied);
UINT nx_packet_length_get(NX_PACKET *packet, ULONG *length);
UINT nx_packet_release(NX_PACKET *packet);

UINT nx_tcp_socket_create(NX_IP *ip, NX_TCP_SOCKET *socket, CHAR *name, ULONG type_of_service, ULONG fragment,
                          UINT time_to_live, ULONG window, VOID (*urgent)(NX_TCP_SOCKET *),
                          VOID (*disconnect)(NX_TCP_SOCKET *));
UINT nx_tcp_client_socket_bind(NX_TCP_SOCKET *socket, UINT port, ULONG wait_option);
/* `address` in host byte order. NX_NOT_CONNECTED for a refusal and for silence alike: time tells them apart.
 */
UINT nx_tcp_client_socket_connect(NX_TCP_SOCKET *socket, ULONG address, UINT port, ULONG wait_option);
UINT nx_tcp_client_socket_unbind(NX_TCP_SOCKET *socket);
UINT nx_tcp_socket_bytes_available(NX_TCP_SOCKET *socket, ULONG *bytes);
UINT nx_tcp_socket_disconnect(NX_TCP_SOCKET *socket, ULONG wait_option);
UINT nx_tcp_socket_delete(NX_TCP_SOCKET *socket);
UINT nx_tcp_socket_send(NX_TCP_SOCKET *socket, NX_PACKET *packet, ULONG wait_option);
UINT nx_tcp_socket_receive(NX_TCP_SOCKET *socket, NX_PACKET **packet, ULONG wait_option);

#endif
