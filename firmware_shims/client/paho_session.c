/* The Paho-style read path in the session's place for it, over hil_link: stack, then net. */
#include "paho.h"
#include "paho_defects.h"
#include "session_state.h"

#include "hil/board.h"
#include "hil/net.h"
#include "hil/service.h"
#include "hil/shim.h"
#include "link.h"
#include "settings.h"

#define POLL_MS 2u

static const struct hil_defect_name OWN_DEFECTS[] = {
    {"read_gated", HIL_PAHO_READ_GATED},    {"connack_255", HIL_PAHO_CONNACK_255},
    {"no_yield", HIL_PAHO_NO_YIELD},        {"ip_for_name", HIL_PAHO_IP_FOR_NAME},
    {"recv_zero", HIL_W5500_RECV_ZERO},     {"over_report", HIL_W5500_OVER_REPORT},
    {"small_input", HIL_W5500_SMALL_INPUT},
};

const struct hil_defect_name *hil_own_defects(size_t *count) {
    *count = sizeof OWN_DEFECTS / sizeof *OWN_DEFECTS;
    return OWN_DEFECTS;
}

static bool on(uint32_t defect) {
    return (hil_settings.defects & defect) != 0;
}

const char *hil_link_name(void) {
    return on(HIL_PAHO_IP_FOR_NAME) ? hil_settings.address : hil_settings.host;
}

bool hil_session_yields(void) {
    return !on(HIL_PAHO_NO_YIELD);
}

/* The network layer's read: whatever TLS has, waiting at most timeout_ms. With the story's gate the chip is
 * asked first, and what TLS has decrypted already stays where it is. */
static int mqttread(void *ctx, uint8_t *data, size_t len, uint32_t timeout_ms) {
    uint32_t start = hil_board_ms();
    (void)ctx;
    if (on(HIL_PAHO_READ_GATED | HIL_PAHO_CONNACK_255)) {
        while (hil_net_readable() == 0) {
            uint32_t gone = hil_board_ms() - start;
            if (gone >= timeout_ms)
                return 0;
            hil_service_sleep(POLL_MS);
        }
    }
    return hil_link_recv(data, len, timeout_ms);
}

static uint8_t readbuf[HIL_MQTT_RX_MAX];
static struct hil_paho client = {.mqttread = mqttread, .ms = hil_board_ms};

/* The client's answer to CONNACK is MQTTConnect's result. True: it goes no further. */
static bool connack(void) {
    bool present = false;
    uint8_t code = HIL_PAHO_CONNACK_UNSET;
    bool good = hil_paho_connack(client.buf, client.need, client.careless, &present, &code);
    hil_event_api("MQTTConnect", good ? code : -1, 0);
    if (!good || !client.careless)
        return false;
    hil_session.packet = (struct hil_mqtt_packet){
        .type = HIL_MQTT_CONNACK, .size = client.need, .code = code, .session_present = present};
    return true;
}

void hil_session_fetch_fresh(void) {
    hil_paho_init(&client, readbuf, sizeof readbuf);
}

int hil_session_fetch(uint32_t wait_ms) {
    client.careless = on(HIL_PAHO_CONNACK_255);
    int rc = hil_paho_read_packet(&client, wait_ms);
    switch (rc) {
    case 0:
        return 0;
    case 1:
        break;
    case HIL_PAHO_LENGTH:
        return HIL_MQTT_E_MALFORMED;
    case HIL_PAHO_TOO_LARGE:
        return HIL_MQTT_E_TOO_LARGE;
    default:
        return HIL_FETCH_LOST;
    }
    if (client.buf[0] >> 4 == HIL_MQTT_CONNACK && connack())
        return 1;
    size_t used = 0; /* whole packets only: what the standard forbids is found as everywhere else */
    return hil_mqtt_decode(&hil_session.decoder, client.buf, client.need, &used, &hil_session.packet);
}
