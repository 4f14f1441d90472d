/* NetX: what the shim for NetX Duo needs of the board, and what it offers to a product of its own.
 *
 * A board with NetX Duo links net/netx.c (hil/net.h over nx_tcp_*), stacks/netx.c (hil/tls.h over
 * nx_secure_*), stacks/netx_setup.c and stacks/netx_pem.c, and implements the three functions below. A
 * product that has its own NetX MQTT client links stacks/netx_mqtt.c instead of the first two and keeps its
 * code: level `events`.
 */
#ifndef HIL_NETX_H
#define HIL_NETX_H

#include "hil/tls.h"

#include <nx_api.h>
#include <nx_secure_tls_api.h>

/* --- given by the board --- */

NX_IP *hil_netx_ip(void);            /* the instance made with nx_ip_create */
NX_PACKET_POOL *hil_netx_pool(void); /* packets to send from */

/* The IPv4 address of a name, in host byte order (nxd_dns_host_by_name_get). NX_SUCCESS or the code of what
 * failed. */
UINT hil_netx_resolve(const char *host, ULONG *address, ULONG ticks);

/* --- net/netx.c --- */

/* The connected socket; nx_secure_tls_session_start wants it. */
NX_TCP_SOCKET *hil_netx_socket(void);

/* Around a call that blocks: a ThreadX timer keeps watchdog and heartbeat going meanwhile (hil/service.h). It
 * stands aside as long as hil_netx_printing is set: it may strike in the midst of a line of this thread. */
void hil_netx_wait_begin(void);
void hil_netx_wait_end(void);
extern volatile bool hil_netx_printing;

static inline ULONG hil_netx_ticks(uint32_t ms) {
    return (ULONG)(((uint64_t)ms * NX_IP_PERIODIC_RATE + 999u) / 1000u);
}

/* --- stacks/netx_setup.c: the set-up of one TLS session --- */

/* Metadata for 1.3 is 11,544 bytes in 6.4.2, for 1.2 10,128. The packet buffer takes a whole handshake
 * message; NetX wants at least 4,000 bytes. */
#ifndef HIL_NETX_METADATA_SIZE
#define HIL_NETX_METADATA_SIZE 12288u
#endif
#ifndef HIL_NETX_PACKET_BUFFER_SIZE
#define HIL_NETX_PACKET_BUFFER_SIZE 24576u
#endif
#ifndef HIL_NETX_REMOTE_CERTS
#define HIL_NETX_REMOTE_CERTS     4 /* certificates of the broker's chain, the root too if it sends it */
#define HIL_NETX_REMOTE_CERT_SIZE 6144u
#endif
#define HIL_NETX_STORE_CERTS 6 /* more trusted CAs than one, and intermediates of our own */

/* Defects of stories 000, 001 and (the last three) 003. The names are in stacks/netx.c. */
enum {
    HIL_NETX_CERT_AS_TRUSTED = 1u << 16,   /* nx_secure_tls_trusted_certificate_add for our own certificate */
    HIL_NETX_NO_AEAD = 1u << 17,           /* the table of a build without NX_SECURE_ENABLE_AEAD_CIPHER */
    HIL_NETX_SHA384_SUITE = 1u << 18,      /* ECDHE-RSA-AES256-GCM-SHA384 added to the table by hand */
    HIL_NETX_ECC_UNINITIALISED = 1u << 19, /* nx_secure_tls_ecc_initialize is not called */
    HIL_NETX_PKCS8_KEY = 1u << 20,
    HIL_NETX_PEM_KEY = 1u << 21,
    HIL_NETX_WRONG_KEY_TYPE = 1u << 22,
    HIL_NETX_SMALL_BUFFER = 1u << 23,      /* packet buffer of 2,048 bytes */
    HIL_NETX_SMALL_CERT_BUFFER = 1u << 24, /* remote certificates get 256 bytes each */
    HIL_NETX_TLS13_ONLY = 1u << 25,        /* built with NX_SECURE_TLS_DISABLE_PROTOCOL_VERSION_DOWNGRADE */
    HIL_NETX_TLS13_FORCED = 1u << 26,      /* TLS 1.3 where 1.2 was asked for (`tls.max`) */
    HIL_NETX_ECC_ENGINE = 1u << 27, /* the crypto engine fails each ECDSA verification (only in the model) */
    HIL_NETX_PRIMARY_ONLY = 1u << 28, /* of the roots given only the first becomes a trusted certificate */
    HIL_NETX_BACKUP_ONLY = 1u << 29   /* all but the first */
};

/* What the set-up uses next. The blobs (PEM or DER) and the name must stay alive until the session is
 * deleted, as NetX keeps pointers into them. */
void hil_netx_setup_config(const struct hil_tls_config *config);

struct NXD_MQTT_CLIENT_STRUCT;

/* A set-up callback as nxd_mqtt_client_secure_connect calls it, before TCP opens: makes the session, its
 * curves, buffers, time and name functions, trusted CAs and our own certificate. Each call's code is
 * reported. A failure behind session_create deletes the session, or the next attempt would end in 0x7; the
 * code comes back raw. `certificate` is used for our own certificate, `trusted` for the first CA. */
UINT hil_netx_tls_setup(struct NXD_MQTT_CLIENT_STRUCT *client, NX_SECURE_TLS_SESSION *session,
                        NX_SECURE_X509_CERT *certificate, NX_SECURE_X509_CERT *trusted);

/* Reports an API call with the code unaltered, in hexadecimal as NetX's headers have it. Returns it. */
UINT hil_netx_api(const char *name, UINT code);

/* The alert the peer sent, -1: none. nx_secure_tls_session_alert_value_get no longer answers behind a failure
 * (0x101), the session's field still does. */
int hil_netx_alert(const NX_SECURE_TLS_SESSION *session);

/* --- stacks/netx_mqtt.c: for a product that connects with NetX's own MQTT client --- */

struct NXD_ADDRESS_STRUCT;
#define HIL_NETX_REFUSED 0x10080u /* plus the CONNACK code */

/* nxd_mqtt_client_secure_connect with our set-up callback; prints its code, the code of session_start behind
 * it, the alert received and what CONNACK said. Returns the code unaltered. */
UINT hil_netx_secure_connect(struct NXD_MQTT_CLIENT_STRUCT *client, struct NXD_ADDRESS_STRUCT *server,
                             UINT port, const struct hil_tls_config *config, UINT keepalive,
                             UINT clean_session, ULONG wait_option);

#endif
