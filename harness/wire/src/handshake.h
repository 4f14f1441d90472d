/* Handshake messages: bodies (without the 4-byte header) into structures whose spans point into the message.
 * Every parser returns NULL, or what is malformed; what was read before the fault is filled in. */
#ifndef HIL_WIRE_HANDSHAKE_H
#define HIL_WIRE_HANDSHAKE_H

#include "bytes.h"

enum {
    HIL_HS_HELLO_REQUEST = 0,
    HIL_HS_CLIENT_HELLO = 1,
    HIL_HS_SERVER_HELLO = 2,
    HIL_HS_NEW_SESSION_TICKET = 4,
    HIL_HS_END_OF_EARLY_DATA = 5,
    HIL_HS_ENCRYPTED_EXTENSIONS = 8,
    HIL_HS_CERTIFICATE = 11,
    HIL_HS_SERVER_KEY_EXCHANGE = 12,
    HIL_HS_CERTIFICATE_REQUEST = 13,
    HIL_HS_SERVER_HELLO_DONE = 14,
    HIL_HS_CERTIFICATE_VERIFY = 15,
    HIL_HS_CLIENT_KEY_EXCHANGE = 16,
    HIL_HS_FINISHED = 20,
    HIL_HS_CERTIFICATE_STATUS = 22,
    HIL_HS_KEY_UPDATE = 24,
};

#define HIL_EXTENSIONS_MAX 128U
#define HIL_KEY_SHARES_MAX 32U

struct hil_client_hello {
    uint16_t legacy_version;
    const uint8_t *random; /* 32 bytes; NULL when cut */
    struct hil_span session_id, suites, compression;
    uint16_t extension[HIL_EXTENSIONS_MAX];
    size_t extension_n;
    uint16_t duplicate[8];
    size_t duplicate_n;
    struct hil_span versions, groups, sigalgs, sigalgs_cert, point_formats, psk_modes, sni, alpn;
    bool has_versions, has_groups, has_sigalgs, has_sigalgs_cert, has_point_formats, has_psk_modes, has_sni,
        has_alpn;
    uint16_t key_share[HIL_KEY_SHARES_MAX];
    size_t key_share_n;
    bool has_key_shares, psk, early_data, ems, etm, reneg_info, scsv, fallback_scsv, truncated_hmac, cookie;
    bool padding_nonzero, status_request, has_mfl, has_rsl, has_ticket;
    uint8_t mfl;
    uint16_t rsl;
    size_t ticket_len;
};

struct hil_server_hello {
    uint16_t legacy_version, version, suite;
    const uint8_t *random;
    struct hil_span session_id, alpn;
    uint8_t compression;
    uint16_t extension[HIL_EXTENSIONS_MAX];
    size_t extension_n;
    bool hrr, ems, etm, has_group, has_psk, has_alpn, ticket;
    uint16_t group, psk; /* group: of the key share, or the one a retry asks for */
};

struct hil_encrypted_extensions {
    uint16_t extension[HIL_EXTENSIONS_MAX];
    size_t extension_n;
    struct hil_span alpn;
    bool has_alpn;
};

struct hil_certificate_request {
    struct hil_span sigalgs, types, cas; /* cas: list of 16-bit vectors with DER names */
    bool has_sigalgs, has_types;
};

struct hil_server_key_exchange {
    const char *kind; /* "ecdhe", "dhe", "psk", "other" */
    bool has_group, has_sigalg;
    uint16_t group, sigalg;
};

const char *hil_parse_client_hello(struct hil_span b, struct hil_client_hello *h);
/* Body of an SSLv2-compatible hello, from the message type on. */
const char *hil_parse_ssl2_hello(struct hil_span b, struct hil_client_hello *h);
const char *hil_parse_server_hello(struct hil_span b, struct hil_server_hello *h);
const char *hil_parse_encrypted_extensions(struct hil_span b, struct hil_encrypted_extensions *h);
/* The list of certificate entries and, in TLS 1.3, the context. */
const char *hil_parse_certificate(struct hil_span b, bool tls13, struct hil_span *context,
                                  struct hil_span *list);
/* Next certificate of that list: 1 with the DER in *der, 0 at the end, -1 malformed. */
int hil_next_certificate(struct hil_span *list, bool tls13, struct hil_span *der);
const char *hil_parse_certificate_request(struct hil_span b, uint16_t version,
                                          struct hil_certificate_request *r);
const char *hil_parse_server_key_exchange(struct hil_span b, uint16_t version, const char *suite_name,
                                          struct hil_server_key_exchange *k);
/* Whether a handshake type has a meaning in the registry. */
bool hil_handshake_known(uint8_t type);

#endif
