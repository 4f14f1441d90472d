/* Registry names: suites, alerts, handshake types; and what a suite's name says about its record protection.
 */
#ifndef HIL_WIRE_NAMES_H
#define HIL_WIRE_NAMES_H

#include "bytes.h"

const char *hil_suite_name(uint16_t id);  /* "TLS_…", or NULL */
const char *hil_alert_name(uint8_t code); /* "handshake_failure", …; "unknown" */

enum hil_cipher {
    HIL_CIPHER_NONE,
    HIL_CIPHER_NULL,
    HIL_CIPHER_GCM,
    HIL_CIPHER_CCM,
    HIL_CIPHER_CHACHA,
    HIL_CIPHER_CBC
};
enum hil_block { HIL_BLOCK_AES, HIL_BLOCK_CAMELLIA, HIL_BLOCK_ARIA, HIL_BLOCK_3DES };
enum hil_hash { HIL_HASH_NONE, HIL_HASH_MD5, HIL_HASH_SHA1, HIL_HASH_SHA256, HIL_HASH_SHA384 };

struct hil_suite {
    uint16_t id;
    bool tls13;
    enum hil_cipher cipher; /* NONE: a suite whose records we cannot open */
    enum hil_block block;
    uint8_t key_len, tag_len;
    enum hil_hash mac; /* of CBC and NULL suites */
    enum hil_hash prf; /* TLS 1.2 PRF or TLS 1.3 key schedule */
};

/* Fills s from the suite's name; false when the suite is unknown. */
bool hil_suite_info(uint16_t id, struct hil_suite *s);
size_t hil_hash_len(enum hil_hash h);

#endif
