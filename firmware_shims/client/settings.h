/* Settings: what SET and PUT have given, with the defaults of docs/shim-protocol.md. One instance, static. */
#ifndef HIL_SETTINGS_H
#define HIL_SETTINGS_H

#include "hil/shim.h"
#include "hil/tls.h"
#include "mqtt.h"

/* Bytes of one certificate or key slot; boards with little RAM may say less. */
#ifndef HIL_SLOT_MAX
#define HIL_SLOT_MAX 8192u
#endif

enum hil_slot { HIL_SLOT_CA, HIL_SLOT_CERT, HIL_SLOT_KEY, HIL_SLOT_CA_ALT, HIL_SLOT_KEY_ALT, HIL_SLOT_COUNT };

struct hil_settings {
    char host[128];
    char address[16];
    uint32_t port;
    int tls_min, tls_max; /* 12, 13; tls_min 0: plain TCP */
    char suites[256], groups[128], sigalgs[256];
    uint32_t epoch, epoch_ms; /* Unix seconds, and the board time at which they were set */
    uint8_t seed[32];
    uint32_t level;
    char client_id[64], username[128], password[640];
    uint32_t keepalive, clean;
    char will[384]; /* as given */
    char topic[256], payload[512], filter[256];
    char script[512];
    uint32_t reconnect, backoff_base, backoff_cap;
    uint32_t resume, timeout, uart_log;
    uint32_t defects;
    char jwt_audience[128], jwt_alg[8]; /* "": no token; by the key */
    uint32_t jwt_lifetime, jwt_faults;  /* faults: jwt_password.h */
};

extern struct hil_settings hil_settings;

void hil_settings_init(void);

/* For hil_command_poll. */
extern const struct hil_commands hil_settings_commands;

struct hil_blob hil_settings_slot(enum hil_slot slot);

/* False when no will is set. The slices point into `hil_settings`. */
bool hil_settings_will(struct hil_mqtt_will *will);

static inline bool hil_defect_on(enum hil_defect defect) {
    return (hil_settings.defects & (uint32_t)defect) != 0;
}

/* Comma list of the defects this firmware can switch on, for `boot`. Returns its length. */
size_t hil_settings_defect_names(char *out, size_t cap);

#endif
