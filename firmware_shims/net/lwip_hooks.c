/* What lwIP asks of its surroundings (hooks.h, arch/cc.h): random numbers, time, where an assertion goes. */
#include "hooks.h"

#include "hil/board.h"
#include "lwip/ip4_addr.h"
#include "lwip/sys.h"
#include "net/interface.h"
#include "net/port.h"

/* ---- randomness: port numbers, sequence numbers, DNS and DHCP identifiers ---- */

static uint32_t random_state;

static uint32_t mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    return x ^ (x >> 16);
}

uint32_t hil_lwip_rand(void) {
    uint32_t fresh;
    if (hil_board_entropy(&fresh, sizeof fresh) != 0) {
        fresh = hil_board_jitter();
    }
    random_state = mix(random_state + 0x9E3779B9u) ^ fresh;
    return random_state;
}

/* RFC 6528: a clock of 4 us plus a keyed function of the connection. */
u32_t hil_lwip_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote, u16_t remote_port) {
    static uint32_t key;
    if (key == 0) {
        key = hil_lwip_rand() | 1u;
    }
    uint32_t hash = mix(key ^ ip4_addr_get_u32(ip_2_ip4(local)));
    hash = mix(hash ^ ip4_addr_get_u32(ip_2_ip4(remote)));
    hash = mix(hash ^ ((uint32_t)local_port << 16 | remote_port));
    return hash + hil_board_ms() * 250u;
}

/* ---- lwIP's needs ---- */

/* There is no loopback interface here: 127.0.0.0/8 is the bench's, which carries it over the wire to an
 * emulated board. */
struct netif *hil_lwip_route(const ip4_addr_t *dest) {
    return ip4_addr_isloopback(dest) ? &hil_interface : NULL;
}

u32_t sys_now(void) {
    return hil_board_ms();
}

_Noreturn void hil_lwip_assert(const char *message) {
    (void)message; /* the program counter tells more */
    hil_board_hardfault();
}
