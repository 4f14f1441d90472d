/* What TLS 1.3 shows without keys: lengths. A sealed record is its plaintext, one byte of type and the tag,
 * when nothing is padded or put together; so an alert, an empty Certificate and Finished have lengths of
 * their own. */
#include "tls.h"

const char *hil_tls_guess(const struct hil_tls *t, const struct hil_conn *c, int side, uint8_t type,
                          uint32_t len) {
    const struct hil_tls_side *s = &t->side[side];
    const struct hil_tls_side *peer = &t->side[side ^ 1];
    bool client = side == c->client;
    if (t->version != 0x0304) {
        return type == HIL_TYPE_ALERT                       ? "alert"
               : type == HIL_TYPE_HANDSHAKE && !s->finished ? "finished"
                                                            : NULL;
    }
    uint32_t around = 1U + (t->info.tag_len != 0 ? t->info.tag_len : 16U);
    if (len <= around) {
        return NULL;
    }
    uint32_t inner = len - around;
    uint32_t finished = 4U + (uint32_t)hil_hash_len(t->info.prf);
    if (!s->finished) {
        if (inner == 2) {
            return "alert";
        }
        if (inner == finished) {
            return "finished";
        }
        if (client) {
            if (inner == 8 && s->sealed == 0) {
                return "empty_certificate";
            }
            return inner == 8 + finished && s->sealed == 0 ? "empty_certificate_finished" : NULL;
        }
        if (s->sealed == 0) {
            return inner <= 64 ? "encrypted_extensions" : "server_flight";
        }
        return NULL;
    }
    if (inner == 2) {
        /* Right after the client's Finished, before any data of the server: a refusal. Later it may be MQTT.
         */
        if (!client && peer->finished && s->app_sealed == 0) {
            return "alert";
        }
        return client && s->app_sealed == 0 ? "alert" : "mqtt_2_bytes";
    }
    if (inner == 4) {
        return "mqtt_4_bytes";
    }
    if (inner == 5 && !client && s->app_sealed == 0) {
        return "mqtt_5_bytes";
    }
    /* Tickets come before anything else of the server; no CONNACK is that long. */
    if (!client && s->app_sealed == s->tickets && (inner > 100 || (inner > 40 && peer->app_sealed == 0))) {
        return "new_session_ticket";
    }
    return NULL;
}
