/* A product that has its own NetX MQTT client: its connect, with what nxd_mqtt_client_secure_connect hides.
 *
 * Link with -Wl,--wrap=_nxe_secure_tls_session_start (-Wl,--wrap=_nx_secure_tls_session_start when the
 * library is built with NX_DISABLE_ERROR_CHECKING): secure_connect answers 0x10005 whatever the handshake's
 * code was.
 */
#include "hil/netx.h"

#include "hil/shim.h"
#include "tls_common.h"

#include <nxd_mqtt_client.h>

#ifdef NX_DISABLE_ERROR_CHECKING
#define START(prefix) prefix##_nx_secure_tls_session_start
#else
#define START(prefix) prefix##_nxe_secure_tls_session_start
#endif

UINT START(__real_)(NX_SECURE_TLS_SESSION *session, NX_TCP_SOCKET *socket, UINT wait_option);
UINT START(__wrap_)(NX_SECURE_TLS_SESSION *session, NX_TCP_SOCKET *socket, UINT wait_option);

/* Runs in place of the function secure_connect calls: the code goes on as it came, and is printed with the
 * alert that the session still holds. */
UINT START(__wrap_)(NX_SECURE_TLS_SESSION *session, NX_TCP_SOCKET *socket, UINT wait_option) {
    UINT code;
    hil_netx_wait_begin();
    code = START(__real_)(session, socket, wait_option);
    hil_netx_wait_end();
    (void)hil_netx_api("nx_secure_tls_session_start", code);
    int alert = hil_netx_alert(session);
    if (alert >= 0)
        hil_event("tls", "state=failed rc=%lu alert=%d", (unsigned long)code, alert);
    else
        hil_event("tls", "state=%s rc=%lu alert=", code == NX_SUCCESS ? "ok" : "failed", (unsigned long)code);
    return code;
}

UINT hil_netx_secure_connect(NXD_MQTT_CLIENT *client, NXD_ADDRESS *server, UINT port,
                             const struct hil_tls_config *config, UINT keepalive, UINT clean_session,
                             ULONG wait_option) {
    hil_clock_set(config->epoch, config->epoch_ms);
    hil_netx_setup_config(config);
    UINT code = hil_netx_api("nxd_mqtt_client_secure_connect",
                             nxd_mqtt_client_secure_connect(client, server, port, hil_netx_tls_setup,
                                                            keepalive, clean_session, wait_option));
    if (code == NXD_MQTT_SUCCESS)
        hil_event("mqtt", "state=connack code=0");
    else if (code > HIL_NETX_REFUSED && code <= HIL_NETX_REFUSED + 5) /* the broker's own answer */
        hil_event("mqtt", "state=refused code=%lu", (unsigned long)(code - HIL_NETX_REFUSED));
    return code;
}
