/* Link layer and IP: from a captured frame to one TCP segment (or ARP, ICMP, or a reason why it is left out).
 * Fragments are joined within a fixed budget. Checksums are not looked at: offloading leaves them unfilled.
 */
#ifndef HIL_WIRE_NET_H
#define HIL_WIRE_NET_H

#include "link.h"

struct hil_addr {
    uint8_t b[16]; /* IPv4 as ::ffff:a.b.c.d */
};

enum { HIL_FIN = 1, HIL_SYN = 2, HIL_RST = 4, HIL_ACK = 16 };

struct hil_segment {
    struct hil_addr src, dst;
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint8_t flags;
    const uint8_t *data;
    uint32_t len;     /* captured payload */
    uint32_t wirelen; /* payload as it was on the wire; more than len when the snap length cut it */
};

struct hil_icmp {
    struct hil_addr src, dst;
    bool v6;
    uint8_t type, code;
    bool has_tuple; /* the quoted packet was TCP and long enough */
    struct hil_addr qsrc, qdst;
    uint16_t qsport, qdport;
};

struct hil_arp {
    uint16_t op;
    uint8_t sender[4], target[4];
};

struct hil_udp {
    uint16_t sport, dport;
    struct hil_span payload;
};

enum hil_net {
    HIL_NET_TCP,
    HIL_NET_ICMP,
    HIL_NET_ARP,
    HIL_NET_UDP,      /* from or to port 53 only */
    HIL_NET_FRAGMENT, /* kept, or joined later */
    HIL_NET_SKIP_LINK,
    HIL_NET_SKIP_OTHER,
    HIL_NET_SKIP_UDP,
    HIL_NET_SKIP_SHORT,
    HIL_NET_SKIP_BAD,
    HIL_NET_SKIP_DAMAGED,
    HIL_NET_KINDS
};

#define HIL_FRAGMENTS_MAX 16U
#define HIL_DATAGRAM_MAX  65535U

/* One datagram that is being put together. `mask` has one bit for each 8-byte unit that came. */
struct hil_datagram {
    struct hil_addr src, dst;
    uint32_t id;
    uint8_t proto;
    bool used;
    uint32_t total, got; /* total 0: the last fragment has not come */
    int64_t t;
    uint8_t *data; /* HIL_DATAGRAM_MAX + 1 bytes, kept for reuse */
    uint8_t *mask;
};

struct hil_fragments {
    struct hil_datagram slot[HIL_FRAGMENTS_MAX];
    uint64_t dropped;
};

union hil_packet {
    struct hil_segment tcp;
    struct hil_icmp icmp;
    struct hil_arp arp;
    struct hil_udp udp;
};

enum hil_net hil_net_decode(struct hil_fragments *frags, uint16_t link, int64_t t, struct hil_span frame,
                            uint32_t wirelen, union hil_packet *out);
void hil_fragments_free(struct hil_fragments *f);
/* "192.0.2.1" or "2001:db8::1"; room of 46 bytes. */
void hil_addr_text(const struct hil_addr *a, char *to);

#endif
