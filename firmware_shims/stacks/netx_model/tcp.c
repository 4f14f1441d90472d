/* Packets, one TCP client socket and timers, as NetX Duo and ThreadX have them. */
#include "host.h"
#include "nx_api.h"
#include "nx_model.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PACKET_STEP 1536u

static NX_PACKET_POOL pool = {1000};
static NX_IP ip = {&pool};
static TX_TIMER *timers;
static bool in_timer;

NX_IP *nx_model_ip(VOID) {
    return &ip;
}

NX_PACKET_POOL *nx_model_pool(VOID) {
    return &pool;
}

uint32_t nx_model_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

static uint32_t to_ms(ULONG ticks) {
    return ticks >= NX_WAIT_FOREVER / 10u ? 0x7FFFFFFFu : (uint32_t)(ticks * 1000u / NX_IP_PERIODIC_RATE);
}

/* --- timers --- */

UINT tx_timer_create(TX_TIMER *timer, CHAR *name, VOID (*function)(ULONG), ULONG input, ULONG initial,
                     ULONG period, UINT activate) {
    (void)name;
    (void)activate;
    (void)tx_timer_delete(timer);
    timer->tx_model_function = function;
    timer->tx_model_input = input;
    timer->tx_model_period = to_ms(period);
    timer->tx_model_next = nx_model_ms() + to_ms(initial);
    timer->tx_model_link = timers;
    timers = timer;
    return TX_SUCCESS;
}

UINT tx_timer_delete(TX_TIMER *timer) {
    for (TX_TIMER **at = &timers; *at != NULL; at = &(*at)->tx_model_link)
        if (*at == timer) {
            *at = timer->tx_model_link;
            return TX_SUCCESS;
        }
    return NX_PTR_ERROR;
}

void nx_model_run_timers(void) {
    if (in_timer)
        return;
    in_timer = true;
    for (TX_TIMER *timer = timers; timer != NULL; timer = timer->tx_model_link)
        if ((int32_t)(nx_model_ms() - (uint32_t)timer->tx_model_next) >= 0) {
            timer->tx_model_next = nx_model_ms() + timer->tx_model_period;
            timer->tx_model_function(timer->tx_model_input);
        }
    in_timer = false;
}

int nx_model_recv(void *data, size_t cap, uint32_t timeout_ms) {
    uint32_t start = nx_model_ms();
    for (;;) {
        uint32_t gone = nx_model_ms() - start, left = gone < timeout_ms ? timeout_ms - gone : 0;
        int rc = nx_host_recv(data, cap, left < NX_MODEL_SLICE_MS ? left : NX_MODEL_SLICE_MS);
        nx_model_run_timers();
        if (rc != HIL_NET_TIMEOUT || nx_model_ms() - start >= timeout_ms)
            return rc;
    }
}

/* --- packets --- */

UINT nx_packet_allocate(NX_PACKET_POOL *from, NX_PACKET **packet, ULONG type, ULONG wait_option) {
    (void)type;
    (void)wait_option;
    *packet = NULL;
    if (from == NULL)
        return NX_PTR_ERROR;
    if (from->nx_model_available == 0)
        return NX_NO_PACKET;
    NX_PACKET *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NX_NO_PACKET;
    made->nx_model_pool = from;
    from->nx_model_available--;
    *packet = made;
    return NX_SUCCESS;
}

UINT nx_packet_data_append(NX_PACKET *packet, VOID *data, ULONG size, NX_PACKET_POOL *from,
                           ULONG wait_option) {
    (void)from;
    (void)wait_option;
    if (size == 0)
        return NX_SIZE_ERROR;
    if (packet->nx_packet_length + size > packet->nx_model_capacity) {
        ULONG capacity = (packet->nx_packet_length + size + PACKET_STEP - 1) / PACKET_STEP * PACKET_STEP;
        UCHAR *grown = realloc(packet->nx_model_data, capacity);
        if (grown == NULL)
            return NX_NO_PACKET;
        packet->nx_model_data = grown;
        packet->nx_model_capacity = capacity;
    }
    memcpy(packet->nx_model_data + packet->nx_packet_length, data, size);
    packet->nx_packet_length += size;
    return NX_SUCCESS;
}

UINT nx_packet_data_extract_offset(NX_PACKET *packet, ULONG offset, VOID *buffer, ULONG size, ULONG *copied) {
    *copied = 0;
    if (offset >= packet->nx_packet_length)
        return NX_PACKET_OFFSET_ERROR;
    ULONG left = packet->nx_packet_length - offset;
    *copied = left < size ? left : size;
    memcpy(buffer, packet->nx_model_data + offset, *copied);
    return NX_SUCCESS;
}

UINT nx_packet_length_get(NX_PACKET *packet, ULONG *length) {
    *length = packet->nx_packet_length;
    return NX_SUCCESS;
}

UINT nx_packet_release(NX_PACKET *packet) {
    if (packet == NULL)
        return NX_PTR_ERROR;
    packet->nx_model_pool->nx_model_available++;
    free(packet->nx_model_data);
    free(packet);
    return NX_SUCCESS;
}

/* --- the interface and its socket --- */

UINT nx_ip_status_check(NX_IP *instance, ULONG needed, ULONG *actual, ULONG wait_option) {
    (void)instance;
    *actual = 0;
    if (nx_host_up(to_ms(wait_option)) != HIL_NET_OK)
        return NX_NOT_SUCCESSFUL;
    *actual = needed;
    return NX_SUCCESS;
}

UINT nx_ip_address_get(NX_IP *instance, ULONG *address, ULONG *mask) {
    struct in_addr own;
    (void)instance;
    *mask = 0xFF000000u;
    *address = inet_pton(AF_INET, nx_host_address(), &own) == 1 ? ntohl(own.s_addr) : 0;
    return NX_SUCCESS;
}

UINT nx_tcp_socket_create(NX_IP *instance, NX_TCP_SOCKET *socket, CHAR *name, ULONG type_of_service,
                          ULONG fragment, UINT time_to_live, ULONG window, VOID (*urgent)(NX_TCP_SOCKET *),
                          VOID (*disconnect)(NX_TCP_SOCKET *)) {
    (void)name;
    (void)type_of_service;
    (void)fragment;
    (void)time_to_live;
    (void)window;
    (void)urgent;
    (void)disconnect;
    if (instance == NULL || socket == NULL)
        return NX_PTR_ERROR;
    memset(socket, 0, sizeof *socket);
    socket->nx_tcp_socket_ip_ptr = instance;
    return NX_SUCCESS;
}

UINT nx_tcp_client_socket_bind(NX_TCP_SOCKET *socket, UINT port, ULONG wait_option) {
    (void)port;
    (void)wait_option;
    if (socket->nx_model_bound != 0)
        return NX_ALREADY_BOUND;
    socket->nx_model_bound = 1;
    return NX_SUCCESS;
}

UINT nx_tcp_client_socket_connect(NX_TCP_SOCKET *socket, ULONG address, UINT port, ULONG wait_option) {
    char text[INET_ADDRSTRLEN];
    struct in_addr to = {.s_addr = htonl((uint32_t)address)};
    if (socket->nx_model_bound == 0)
        return NX_NOT_BOUND;
    if (socket->nx_model_connected != 0)
        return NX_NOT_CLOSED;
    inet_ntop(AF_INET, &to, text, sizeof text);
    if (nx_host_connect("", text, (uint16_t)port, to_ms(wait_option)) != HIL_NET_OK)
        return NX_NOT_CONNECTED;
    socket->nx_tcp_socket_client_type = NX_TRUE;
    socket->nx_model_connected = 1;
    return NX_SUCCESS;
}

UINT nx_tcp_client_socket_unbind(NX_TCP_SOCKET *socket) {
    if (socket->nx_model_connected != 0)
        return NX_NOT_CLOSED;
    socket->nx_model_bound = 0;
    return NX_SUCCESS;
}

UINT nx_tcp_socket_bytes_available(NX_TCP_SOCKET *socket, ULONG *bytes) {
    if (socket->nx_model_connected == 0)
        return NX_NOT_CONNECTED;
    *bytes = nx_host_readable() != 0 ? 1u : 0u;
    return NX_SUCCESS;
}

UINT nx_tcp_socket_disconnect(NX_TCP_SOCKET *socket, ULONG wait_option) {
    if (socket->nx_model_connected == 0)
        return NX_NOT_CONNECTED;
    nx_host_close(wait_option == NX_NO_WAIT);
    socket->nx_model_connected = 0;
    return NX_SUCCESS;
}

UINT nx_tcp_socket_delete(NX_TCP_SOCKET *socket) {
    return socket->nx_model_bound != 0 ? NX_STILL_BOUND : NX_SUCCESS;
}

UINT nx_tcp_socket_send(NX_TCP_SOCKET *socket, NX_PACKET *packet, ULONG wait_option) {
    if (socket->nx_model_connected == 0)
        return NX_NOT_CONNECTED;
    int rc = nx_host_send(packet->nx_model_data, packet->nx_packet_length, to_ms(wait_option));
    if (rc < 0)
        return rc == HIL_NET_TIMEOUT ? NX_WINDOW_OVERFLOW : NX_NOT_CONNECTED;
    return nx_packet_release(packet);
}

UINT nx_tcp_socket_receive(NX_TCP_SOCKET *socket, NX_PACKET **packet, ULONG wait_option) {
    UCHAR bytes[PACKET_STEP];
    *packet = NULL;
    if (socket->nx_model_connected == 0)
        return NX_NOT_CONNECTED;
    int rc = nx_model_recv(bytes, sizeof bytes, to_ms(wait_option));
    if (rc <= 0)
        return rc == HIL_NET_TIMEOUT ? NX_NO_PACKET : NX_NOT_CONNECTED;
    UINT code =
        nx_packet_allocate(socket->nx_tcp_socket_ip_ptr->nx_ip_default_packet_pool, packet, NX_TCP_PACKET, 0);
    return code != NX_SUCCESS ? code : nx_packet_data_append(*packet, bytes, (ULONG)rc, NULL, 0);
}
