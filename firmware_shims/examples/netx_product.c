/* A product with NetX's own MQTT client and the shim linked in: what story 000 does, with its codes said.
 *
 * On the board this is the code around nxd_mqtt_client_secure_connect (docs/boards/h563-netx.md). Settings
 * and certificates come through the shim's commands (SET, PUT, RUN), as a bench gives them; a product has
 * them as arrays.
 */
#include "hil/board.h"
#include "hil/netx.h"
#include "hil/shim.h"
#include "settings.h"

#include <nxd_mqtt_client.h>

#include <string.h>

#define WAIT_MS 60000u

static NXD_MQTT_CLIENT client;
static CHAR stack[4096], name[] = "hil";

static CHAR *text(char *setting) {
    return setting;
}

/* Connects, publishes once, disconnects. Prints `done`. */
static void run(void) {
    struct hil_settings *s = &hil_settings;
    const struct hil_tls_config config = {
        .host = s->host,
        .min_version = s->tls_min,
        .max_version = s->tls_max,
        .ca = hil_settings_slot(HIL_SLOT_CA),
        .cert = hil_settings_slot(HIL_SLOT_CERT),
        .key = hil_settings_slot(HIL_SLOT_KEY),
        .epoch = s->epoch,
        .epoch_ms = s->epoch_ms,
        .seed = s->seed,
        .defects = s->defects,
        .timeout_ms = s->timeout,
    };
    NXD_ADDRESS server = {.nxd_ip_version = NX_IP_VERSION_V4};
    ULONG wait = hil_netx_ticks(s->timeout);
    UINT code = hil_netx_api("nxd_mqtt_client_create",
                             nxd_mqtt_client_create(&client, name, text(s->client_id),
                                                    (UINT)strlen(s->client_id), hil_netx_ip(),
                                                    hil_netx_pool(), stack, sizeof stack, 2, NX_NULL, 0));
    if (code == NX_SUCCESS && s->username[0] != '\0')
        code = hil_netx_api("nxd_mqtt_client_login_set",
                            nxd_mqtt_client_login_set(&client, text(s->username), (UINT)strlen(s->username),
                                                      text(s->password), (UINT)strlen(s->password)));
    if (code == NX_SUCCESS)
        code =
            hil_netx_resolve(s->address[0] != '\0' ? s->address : s->host, &server.nxd_ip_address.v4, wait);
    if (code == NX_SUCCESS)
        code = hil_netx_secure_connect(&client, &server, s->port, &config, s->keepalive, s->clean, wait);
    if (code == NX_SUCCESS)
        code = hil_netx_api("nxd_mqtt_client_publish",
                            nxd_mqtt_client_publish(&client, text(s->topic), (UINT)strlen(s->topic),
                                                    text(s->payload), (UINT)strlen(s->payload), 0, 0, wait));
    if (code == NX_SUCCESS)
        code = hil_netx_api("nxd_mqtt_client_disconnect", nxd_mqtt_client_disconnect(&client));
    (void)hil_netx_api("nxd_mqtt_client_delete", nxd_mqtt_client_delete(&client));
    hil_event("done", "result=%s stage=%s rc=%lu", code == NX_SUCCESS ? "ok" : "failed",
              code == NX_SUCCESS ? "script" : "mqtt", (unsigned long)code);
}

int main(void) {
    if (hil_board_init() != 0)
        return 1;
    hil_shim_init();
    hil_settings_init();
    hil_event("boot", "build=example board=%s stack=%s proto=1 level=events caps=%s,mqtt3.1.1 reset=power",
              hil_board_name(), hil_tls_stack(), hil_tls_caps());
    hil_event("ready", NULL);
    for (;;) {
        int rc = hil_command_poll(&hil_settings_commands, WAIT_MS);
        if (rc < 0)
            return 0;
        if (rc > 0)
            run();
    }
}
