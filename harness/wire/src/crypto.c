#include "crypto.h"
void hil_crypto_free(struct hil_crypto *k) { (void)k; }
struct hil_opener *hil_opener_12(struct hil_crypto *k, const struct hil_suite *suite, uint16_t version, bool etm, const uint8_t master[48], const uint8_t client_random[32], const uint8_t server_random[32], bool client) { (void)k;(void)suite;(void)version;(void)etm;(void)master;(void)client_random;(void)server_random;(void)client; return NULL; }
struct hil_opener *hil_opener_13(struct hil_crypto *k, const struct hil_suite *suite, const uint8_t *secret, size_t len) { (void)k;(void)suite;(void)secret;(void)len; return NULL; }
bool hil_opener_update(struct hil_opener *o) { (void)o; return false; }
int hil_opener_open(struct hil_opener *o, uint8_t *type, uint16_t version, const uint8_t *body, size_t len, uint8_t *out, unsigned ahead) { (void)o;(void)type;(void)version;(void)body;(void)len;(void)out;(void)ahead; return -1; }
void hil_opener_free(struct hil_opener *o) { (void)o; }
