/* libhil-jwt.so, a Mosquitto 2 plug-in: takes tokens as a cloud service does (token.h), so that a device's
 * JWT can be tested without the cloud. The user name is ignored; a client that is refused is closed without
 * CONNACK, as the services do, or answered 5 (not authorised) with `answer connack`.
 *
 *   plugin …/libhil-jwt.so
 *   plugin_opt_devices FILE       client ids and their public keys (keys.h); needed
 *   plugin_opt_audience ID        what aud has to be; needed
 *   plugin_opt_answer close       or connack
 *   plugin_opt_skew 600           seconds
 *   plugin_opt_lifetime 86400     seconds
 *   plugin_opt_clock_offset 0     seconds the service's clock is ahead: for tests
 *
 * The broker's log gets one line a decision, with the cause id of causes.toml:
 *   hil-jwt: client ID refused: jwt.padding: '=' in the header, character 37
 *   hil-jwt: client ID accepted: exp in 3599 s
 */
#include "keys.h"

#include <errno.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct service {
    mosquitto_plugin_id_t *id;
    struct hil_keys *keys;
    char *audience;
    int64_t skew, lifetime, offset;
    int refusal; /* what the callback returns: MOSQ_ERR_AUTH sends CONNACK 5, another error only closes */
};

static int64_t now(const struct service *service) {
    return (int64_t)time(NULL) + service->offset;
}

static void decide(const struct service *service, const char *client, const char *password,
                   struct hil_token_result *result) {
    struct hil_keys_device device = {service->keys, client};
    struct hil_token_rules rules = {.audience = service->audience,
                                    .now = now(service),
                                    .skew = service->skew,
                                    .lifetime = service->lifetime,
                                    .verify = hil_keys_verify,
                                    .context = &device};
    if (!hil_keys_known(service->keys, client)) {
        memset(result, 0, sizeof *result);
        result->fault = HIL_TOKEN_DEVICE;
        hil_keys_nearest(service->keys, client, result->why, sizeof result->why);
        return;
    }
    (void)hil_token_check((const uint8_t *)password, password != NULL ? strlen(password) : 0, &rules, result);
}

static int on_auth(int event, void *data, void *context) {
    const struct service *service = context;
    struct mosquitto_evt_basic_auth *auth = data;
    struct hil_token_result result;
    char shown[256];
    if (event != MOSQ_EVT_BASIC_AUTH) {
        return MOSQ_ERR_PLUGIN_DEFER;
    }
    const char *client = mosquitto_client_id(auth->client);
    client = client != NULL ? client : "";
    hil_token_printable((const uint8_t *)client, strlen(client), shown, sizeof shown);
    decide(service, client, auth->password, &result);
    if (result.fault != HIL_TOKEN_GOOD) {
        mosquitto_log_printf(MOSQ_LOG_NOTICE, "hil-jwt: client %s refused: %s: %s", shown,
                             hil_token_cause(result.fault), result.why);
        return service->refusal;
    }
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "hil-jwt: client %s accepted: exp in %lld s", shown,
                         (long long)(result.expires - now(service)));
    return MOSQ_ERR_SUCCESS;
}

static bool seconds(const struct mosquitto_opt *option, int64_t least, int64_t *out) {
    char *end = NULL;
    errno = 0;
    long long value = strtoll(option->value, &end, 10);
    if (errno != 0 || end == option->value || *end != '\0' || value < least || value > INT32_MAX) {
        mosquitto_log_printf(MOSQ_LOG_ERR, "hil-jwt: plugin_opt_%s: no number of seconds", option->key);
        return false;
    }
    *out = value;
    return true;
}

static bool option(struct service *service, const struct mosquitto_opt *given) {
    char why[512];
    if (strcmp(given->key, "devices") == 0 && service->keys == NULL) {
        service->keys = hil_keys_load(given->value, why, sizeof why);
        if (service->keys == NULL) {
            mosquitto_log_printf(MOSQ_LOG_ERR, "hil-jwt: %s", why);
        }
        return service->keys != NULL;
    }
    if (strcmp(given->key, "audience") == 0 && service->audience == NULL) {
        service->audience = strdup(given->value);
        return service->audience != NULL;
    }
    if (strcmp(given->key, "answer") == 0) {
        bool closes = strcmp(given->value, "close") == 0;
        service->refusal = closes ? MOSQ_ERR_CONN_REFUSED : MOSQ_ERR_AUTH;
        if (closes || strcmp(given->value, "connack") == 0) {
            return true;
        }
    }
    if (strcmp(given->key, "skew") == 0) {
        return seconds(given, 0, &service->skew);
    }
    if (strcmp(given->key, "lifetime") == 0) {
        return seconds(given, 1, &service->lifetime);
    }
    if (strcmp(given->key, "clock_offset") == 0) {
        return seconds(given, -INT32_MAX, &service->offset);
    }
    mosquitto_log_printf(MOSQ_LOG_ERR,
                         "hil-jwt: plugin_opt_%s: unknown, given twice, or not close or connack", given->key);
    return false;
}

static void end(struct service *service) {
    if (service != NULL) {
        hil_keys_free(service->keys);
        free(service->audience);
        free(service);
    }
}

int mosquitto_plugin_version(int supported_version_count, const int *supported_versions) {
    for (int i = 0; i < supported_version_count; i++) {
        if (supported_versions[i] == 5) {
            return 5;
        }
    }
    return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata, struct mosquitto_opt *options,
                          int option_count) {
    struct service *service = calloc(1, sizeof *service);
    bool good = service != NULL;
    if (good) {
        *service = (struct service){
            .id = identifier, .skew = 600, .lifetime = 86400, .refusal = MOSQ_ERR_CONN_REFUSED};
    }
    for (int i = 0; good && i < option_count; i++) {
        good = option(service, &options[i]);
    }
    if (good && (service->keys == NULL || service->audience == NULL)) {
        mosquitto_log_printf(MOSQ_LOG_ERR, "hil-jwt: plugin_opt_devices and plugin_opt_audience are needed");
        good = false;
    }
    if (!good || mosquitto_callback_register(identifier, MOSQ_EVT_BASIC_AUTH, on_auth, NULL, service) !=
                     MOSQ_ERR_SUCCESS) {
        end(service);
        return MOSQ_ERR_INVAL;
    }
    *userdata = service;
    return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count) {
    struct service *service = userdata;
    (void)options;
    (void)option_count;
    if (service != NULL) {
        (void)mosquitto_callback_unregister(service->id, MOSQ_EVT_BASIC_AUTH, on_auth, NULL);
    }
    end(service);
    return MOSQ_ERR_SUCCESS;
}
