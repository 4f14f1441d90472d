/* What a TLS session's library needs from below: records in and out within the call's time, alerts under
 * NetX's numbers, the clock and the seed.
 */
#include "host.h"
#include "session.h"

#include "../tls_common.h"

#include <wolfssl/wolfcrypt/sha512.h>

#include <string.h>

#define TICKS_FOREVER 0x7FFFFFFFu

static uint8_t seed[32];

VOID nx_model_seed(const UCHAR *given) {
    memcpy(seed, given, sizeof seed);
}

time_t nx_model_time(time_t *timer);
struct tm *nx_model_gmtime(const time_t *timer, struct tm *out);

time_t nx_model_time(time_t *timer) {
    time_t now = hil_clock_now();
    if (timer != NULL)
        *timer = now;
    return now;
}

struct tm *nx_model_gmtime(const time_t *timer, struct tm *out) {
    return hil_clock_gmtime(*timer, out);
}

int nx_model_generate_seed(unsigned char *output, unsigned int size) {
    uint8_t block[WC_SHA512_DIGEST_SIZE];
    while (size > 0) {
        uint8_t material[HIL_SEED_MATERIAL];
        unsigned int n = size < sizeof block ? size : (unsigned int)sizeof block;
        hil_seed_material(seed, material);
        if (wc_Sha512Hash(material, sizeof material, block) != 0)
            return -1;
        memcpy(output, block, n);
        output += n;
        size -= n;
    }
    return 0;
}

/* --- transport --- */

void nx_model_bound(struct nx_model_tls *tls, ULONG ticks, uint32_t times) {
    uint64_t ms = (uint64_t)ticks * 1000u / NX_IP_PERIODIC_RATE * times;
    tls->start = nx_model_ms();
    tls->limit = ms < TICKS_FOREVER ? (uint32_t)ms : TICKS_FOREVER;
}

static uint32_t time_left(const struct nx_model_tls *tls) {
    uint32_t gone = nx_model_ms() - tls->start;
    return gone < tls->limit ? tls->limit - gone : 0;
}

/* Follows the records: one that does not fit into the packet buffer is NetX's error, not the library's. */
static bool fits(struct nx_model_tls *tls, const uint8_t *data, size_t len) {
    while (len > 0) {
        if (tls->body_left > 0) {
            size_t n = len < tls->body_left ? len : tls->body_left;
            tls->body_left -= n;
            data += n;
            len -= n;
            continue;
        }
        tls->head[tls->head_len++] = *data++;
        len--;
        if (tls->head_len < sizeof tls->head)
            continue;
        tls->head_len = 0;
        tls->body_left = (size_t)tls->head[3] << 8 | tls->head[4];
        if (tls->head[0] >= 20 && tls->head[0] <= 23 &&
            tls->body_left > nx_model_current->nx_secure_tls_packet_buffer_size) {
            tls->verdict = NX_SECURE_TLS_PACKET_BUFFER_TOO_SMALL;
            return false;
        }
    }
    return true;
}

int nx_model_on_recv(WOLFSSL *ssl, char *data, int cap, void *user) {
    struct nx_model_tls *tls = user;
    (void)ssl;
    tls->net_rc = nx_model_recv(data, (size_t)cap, time_left(tls));
    if (tls->net_rc > 0)
        return fits(tls, (const uint8_t *)data, (size_t)tls->net_rc) ? tls->net_rc : WOLFSSL_CBIO_ERR_GENERAL;
    if (tls->net_rc == HIL_NET_TIMEOUT)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    return tls->net_rc == HIL_NET_RESET ? WOLFSSL_CBIO_ERR_CONN_RST : WOLFSSL_CBIO_ERR_CONN_CLOSE;
}

/* The number NetX would send instead of the library's, or the library's. */
static uint8_t alert_number(uint8_t level, uint8_t number) {
    if (nx_model_current == NULL || level != alert_fatal)
        return number;
    const struct nx_model_tls *tls = nx_model_current->nx_model_tls;
    bool about_certificate = number >= 42 && number <= 48;
    if (tls->verdict != NX_SUCCESS)
        return (uint8_t)nx_model_alert_for(tls->verdict);
    return about_certificate && !tls->judged ? 80 : number; /* NetX could not have parsed it */
}

int nx_model_on_send(WOLFSSL *ssl, char *data, int len, void *user) {
    struct nx_model_tls *tls = user;
    if (ssl->version.minor < TLSv1_3_MINOR)
        ssl->pssAlgo =
            0; /* NetX signs CertificateVerify with PKCS#1 v1.5; the library would take what comes first */
    if (len == 7 && data[0] == alert) /* in the clear: type, version, length, level, number */
        data[6] = (char)alert_number((uint8_t)data[5], (uint8_t)data[6]);
    tls->net_rc = nx_host_send(data, (size_t)len, time_left(tls));
    if (tls->net_rc >= 0)
        return tls->net_rc;
    if (nx_host_readable() != 0) /* what explains the reset is there to be read */
        return len;
    return tls->net_rc == HIL_NET_RESET ? WOLFSSL_CBIO_ERR_CONN_RST : WOLFSSL_CBIO_ERR_CONN_CLOSE;
}

/* Alerts under TLS 1.3's encryption pass here. */
/* The linker prescribes these names. NOLINTBEGIN(cert-dcl51-cpp) */
int __real_BuildTls13Message(WOLFSSL *ssl, byte *output, int size, const byte *input, int input_size,
                             int type, int hash, int size_only, int async);
int __wrap_BuildTls13Message(WOLFSSL *ssl, byte *output, int size, const byte *input, int input_size,
                             int type, int hash, int size_only, int async);
int __wrap_BuildTls13Message(WOLFSSL *ssl, byte *output, int size, const byte *input, int input_size,
                             int type, int hash, int size_only, int async) {
    byte changed[2];
    if (type == alert && input_size == 2 && input != NULL) {
        changed[0] = input[0];
        changed[1] = alert_number(input[0], input[1]);
        input = changed;
    }
    return __real_BuildTls13Message(ssl, output, size, input, input_size, type, hash, size_only, async);
}
/* NOLINTEND(cert-dcl51-cpp) */
