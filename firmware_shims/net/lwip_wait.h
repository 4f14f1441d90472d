/* Waits of net/lwip.c and net/lwip_dns.c. */
#ifndef HIL_LWIP_WAIT_H
#define HIL_LWIP_WAIT_H

#include "hil/board.h"
#include "hil/service.h"
#include "lwip/err.h"
#include "lwip/ip_addr.h"

#define HIL_LWIP_SLICE_MS 250u /* the longest sleep inside a wait */

struct hil_deadline {
    uint32_t start;
    uint32_t bound;
};

static inline struct hil_deadline hil_deadline_in(uint32_t ms) {
    return (struct hil_deadline){.start = hil_board_ms(), .bound = ms};
}

/* Lets the network run for a while; false when the time is over. */
static inline bool hil_deadline_wait(const struct hil_deadline *deadline) {
    hil_heartbeat();
    uint32_t passed = hil_board_ms() - deadline->start;
    if (passed >= deadline->bound) {
        return false;
    }
    uint32_t left = deadline->bound - passed;
    hil_board_idle(left < HIL_LWIP_SLICE_MS ? left : HIL_LWIP_SLICE_MS);
    return true;
}

/* lwip_dns.c: HIL_NET_OK, or HIL_NET_NAME or HIL_NET_TIMEOUT with *why. */
int hil_lwip_resolve(const char *host, ip_addr_t *address, const struct hil_deadline *deadline, err_t *why);

#endif
