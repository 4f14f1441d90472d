/* TLS: one client session at a time over hil_net. One implementation per stack, in stacks/.
 *
 * The stack reports each API call of note through hil_event_api(name, rc) (shim.h) with its own code,
 * unaltered.
 */
#ifndef HIL_TLS_H
#define HIL_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Defects a stack can switch on; a stack says in hil_tls_defects() which it knows. */
enum hil_defect {
    HIL_DEFECT_VERIFY_OFF = 1u << 0,
    HIL_DEFECT_NAME_UNCHECKED = 1u << 1,
    HIL_DEFECT_DATES_UNCHECKED = 1u << 2,
    HIL_DEFECT_NO_SNI = 1u << 3,
    HIL_DEFECT_ECDSA_SIGALGS_ONLY = 1u << 4,
    HIL_DEFECT_NO_RSA_PSS = 1u << 5,
    HIL_DEFECT_NO_GROUPS = 1u << 6,
    HIL_DEFECT_NO_CLIENT_CERT = 1u << 7,
    HIL_DEFECT_WRONG_CA = 1u << 8,
    HIL_DEFECT_KEY_MISMATCH = 1u << 9,
    HIL_DEFECT_NO_BACKOFF = 1u << 10,
    HIL_DEFECT_HANG = 1u << 11,
    HIL_DEFECT_HARDFAULT = 1u << 12,
    HIL_DEFECT_LOCKUP = 1u << 13,
    HIL_DEFECT_UART_FLOOD = 1u << 14
};

/* Bits from here on belong to the stack (or network driver) that is linked: it names them in
 * hil_own_defects(), which is weak and empty for those that have none (client/settings.c). */
#define HIL_DEFECT_OWN_FIRST 16u

struct hil_defect_name {
    const char *name;
    uint32_t bit;
};
const struct hil_defect_name *hil_own_defects(size_t *count);

struct hil_blob {
    const uint8_t *data; /* PEM (with its terminating NUL at data[len]) or DER; NULL: not given */
    size_t len;          /* without the NUL */
};

struct hil_tls_config {
    const char *host;    /* verified and sent as SNI */
    const char *address; /* as for hil_net_connect, with `port`: for hil_tls_opens_tcp() */
    uint16_t port;
    int min_version; /* 12 or 13 */
    int max_version; /* 12 or 13 */
    struct hil_blob ca, cert, key;
    const char *suites, *groups,
        *sigalgs;        /* IANA names (suites: or the stack's own), comma list; NULL or "": default */
    uint32_t epoch;      /* Unix seconds at `epoch_ms`; 0: clock never set */
    uint32_t epoch_ms;   /* board time at which `epoch` was true */
    const uint8_t *seed; /* 32 bytes */
    bool resume;         /* offer the session kept by the last hil_tls_close() */
    uint32_t defects;    /* HIL_DEFECT_* */
    uint32_t timeout_ms;
};

struct hil_tls_result {
    int rc;                /* the stack's own code of the call that failed, 0 */
    int alert;             /* alert number received from the peer (0: close_notify), -1: none */
    int alert_sent;        /* alert number we sent, -1: none or not known */
    uint32_t verify_flags; /* the stack's verify result, 0: good */
    const char *version;   /* "1.2", "1.3" */
    const char *suite;     /* IANA or stack name */
    bool resumed;
    int tcp; /* where hil_tls_opens_tcp(): HIL_NET_*, or HIL_TLS_TCP_NOT_TRIED */
};
#define HIL_TLS_TCP_NOT_TRIED 1

const char *hil_tls_stack(void); /* "mbedtls-2.28.3" */
const char *hil_tls_caps(void);  /* "tls1.2,tls1.3,resume" */
uint32_t hil_tls_defects(void);  /* those of HIL_DEFECT_* it can do */

/* True for a module that does TCP and TLS in one command: hil_net_connect is then called for plain TCP only.
 * Weak: false (client/link.c). */
bool hil_tls_opens_tcp(void);

/* Handshake over the connected hil_net, whose bytes go through hil_service_recv/_send (service.h). 0 or -1
 * with *result filled in either case; after -1 the client calls hil_tls_close(false, true). */
int hil_tls_open(const struct hil_tls_config *config, struct hil_tls_result *result);

/* As hil_net_send / hil_net_recv, HIL_NET_* codes; the stack's own code goes to *result. */
int hil_tls_send(const void *data, size_t len, uint32_t timeout_ms, struct hil_tls_result *result);
int hil_tls_recv(void *data, size_t cap, uint32_t timeout_ms, struct hil_tls_result *result);

/* 1 when decrypted bytes wait. */
int hil_tls_pending(void);

/* close_notify and release of everything; keeps the session when config.resume was asked for and forget is
 * false. */
void hil_tls_close(bool notify, bool forget);

#endif
