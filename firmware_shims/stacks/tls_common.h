/* What both stack ports need: the given clock, seed material, names of groups and signature algorithms. */
#ifndef HIL_TLS_COMMON_H
#define HIL_TLS_COMMON_H

#include "hil/tls.h"

#include <time.h>

/* The client's clock: `epoch` moved on by the board's; seconds since boot when it was never set (so 1970). */
void hil_clock_set(uint32_t epoch, uint32_t epoch_ms);
time_t hil_clock_now(void);

/* Calendar of a Unix time, without the C library's time zone. Returns `out`. */
struct tm *hil_clock_gmtime(time_t when, struct tm *out);

/* 64 bytes to hash into a generator's seed: the setting, a counter that never repeats since boot, and
 * whatever entropy the board has. */
#define HIL_SEED_MATERIAL 64
void hil_seed_material(const uint8_t seed[32], uint8_t out[HIL_SEED_MATERIAL]);

/* Code points of a comma or colon list of IANA names ("secp256r1", "x25519"; also "P-256";
 * "rsa_pss_rsae_sha256"). Returns how many, at most `cap`, or -1 for an unknown name. */
int hil_group_list(const char *names, uint16_t *out, int cap);
int hil_sigalg_list(const char *names, uint16_t *out, int cap);

/* True for a dotted IPv4 literal: no SNI may be sent, and it is compared with iPAddress entries; fills `ip`.
 */
bool hil_host_is_ip(const char *host, uint8_t ip[4]);

/* True when the blob is PEM (it then has its NUL at data[len]). */
bool hil_blob_is_pem(struct hil_blob blob);

#endif
