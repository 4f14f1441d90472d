/* Handshake messages: type, a byte for the version and the way it is read, body. The parsers by themselves,
 * then the message in a connection, where it meets the events. */
#include "fixture.h"
#include "flow.h"
#include "tls.h"

static void parsers(struct hil_span b, uint16_t version) {
    struct hil_client_hello ch;
    struct hil_server_hello sh;
    struct hil_encrypted_extensions ee;
    struct hil_certificate_request cr;
    struct hil_server_key_exchange ske;
    struct hil_span context;
    struct hil_span list;
    struct hil_span der;
    (void)hil_parse_client_hello(b, &ch);
    (void)hil_parse_ssl2_hello(b, &ch);
    (void)hil_parse_server_hello(b, &sh);
    (void)hil_parse_encrypted_extensions(b, &ee);
    (void)hil_parse_certificate_request(b, version, &cr);
    (void)hil_parse_server_key_exchange(b, version, "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA", &ske);
    (void)hil_parse_server_key_exchange(b, version, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", &ske);
    if (hil_parse_certificate(b, version == 0x0304, &context, &list) == NULL) {
        while (hil_next_certificate(&list, version == 0x0304, &der) > 0) {
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static struct hil_decoder d;
    if (n < 2) {
        return 0;
    }
    uint16_t version = (uint16_t)(0x0301 + p[1] % 4);
    struct hil_span b = {p + 2, n - 2};
    parsers(b, version);
    fixture_init(&d);
    struct hil_segment s = fixture_segment(0, 0, HIL_SYN, p, 0, 8883);
    hil_conn_segment(&d, &s);
    struct hil_conn *c = hil_conn_find(&d, &s.src, s.sport, &s.dst, s.dport);
    struct hil_tls *t = c != NULL ? hil_flow_tls(&d, c) : NULL;
    if (t != NULL) {
        t->version = p[1] >= 128 ? version : 0;
        t->suite = 0xc02b;
        hil_tls_message(&d, c, p[1] >> 6 & 1, p[0], b, 1);
        hil_tls_message(&d, c, 1, p[0], b, 2);
    }
    hil_conn_finish(&d);
    fixture_free(&d);
    return 0;
}
