/* Names of the events (docs/wire-events.md). */
#ifndef HIL_WIRE_EVENTS_H
#define HIL_WIRE_EVENTS_H

/* clang-format off */
#define HIL_EVENTS(X) \
    X(capture) X(open) X(syn) X(synack) X(fin) \
    X(rst) X(gap) X(record) X(client_hello) X(server_hello) \
    X(encrypted_extensions) X(certificate) X(server_key_exchange) X(certificate_request) X(server_hello_done) \
    X(client_key_exchange) X(finished) X(key_update) X(hello_request) X(end_of_early_data) \
    X(certificate_status) X(certificate_verify) X(new_session_ticket) X(handshake) X(ccs) \
    X(alert) X(sealed) X(app) X(mqtt) X(data) \
    X(close) X(arp) X(icmp) X(dns) X(end)
/* clang-format on */

enum hil_ev {
#define X(name) HIL_EV_##name,
    HIL_EVENTS(X)
#undef X
        HIL_EV_COUNT
};

extern const char *const hil_ev_name[HIL_EV_COUNT];

#endif
