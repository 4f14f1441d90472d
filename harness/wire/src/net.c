#include "net.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMP6 = 58 };

#define FRAGMENT_LIFE_NS 30000000000LL

void hil_addr_text(const struct hil_addr *a, char *to) {
    static const uint8_t v4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool is4 = memcmp(a->b, v4, 12) == 0;
    if (inet_ntop(is4 ? AF_INET : AF_INET6, is4 ? a->b + 12 : a->b, to, 46) == NULL) {
        to[0] = 0;
    }
}

static void addr4(struct hil_addr *a, const uint8_t *p) {
    memset(a->b, 0, 10);
    a->b[10] = a->b[11] = 0xff;
    memcpy(a->b + 12, p, 4);
}

static void addr6(struct hil_addr *a, const uint8_t *p) {
    memcpy(a->b, p, 16);
}

/* What an IP header says, v4 or v6, extension headers passed over. */
struct ip {
    struct hil_addr src, dst;
    uint8_t proto;
    bool v6, more;
    uint32_t fragment; /* offset in bytes; with `more` false and 0 it is a whole datagram */
    uint32_t id;
    struct hil_span payload; /* captured */
    uint32_t wirelen;        /* payload on the wire */
};

static enum hil_net parse_ip4(struct hil_span s, uint32_t wirelen, struct ip *ip) {
    if (s.n < 20) {
        return HIL_NET_SKIP_SHORT;
    }
    uint32_t head = (s.p[0] & 15U) * 4U;
    uint32_t total = hil_be16(s.p + 2);
    if (head < 20 || s.n < head) {
        return HIL_NET_SKIP_BAD;
    }
    if (total == 0) {
        total = wirelen; /* segmentation offload leaves it 0 */
    }
    if (total < head) {
        return HIL_NET_SKIP_BAD;
    }
    uint16_t frag = hil_be16(s.p + 6);
    ip->v6 = false;
    ip->more = (frag & 0x2000U) != 0;
    ip->fragment = (frag & 0x1fffU) * 8U;
    ip->id = hil_be16(s.p + 4);
    ip->proto = s.p[9];
    addr4(&ip->src, s.p + 12);
    addr4(&ip->dst, s.p + 16);
    ip->wirelen = total - head;
    hil_skip(&s, head);
    ip->payload = s;
    if (ip->payload.n > ip->wirelen) {
        ip->payload.n = ip->wirelen; /* Ethernet padding */
    }
    return HIL_NET_TCP;
}

static enum hil_net parse_ip6(struct hil_span s, uint32_t wirelen, struct ip *ip) {
    if (s.n < 40) {
        return HIL_NET_SKIP_SHORT;
    }
    uint32_t left = hil_be16(s.p + 4);
    if (left == 0) {
        left = wirelen > 40 ? wirelen - 40 : 0;
    }
    uint8_t next = s.p[6];
    ip->v6 = true;
    ip->more = false;
    ip->fragment = 0;
    ip->id = 0;
    addr6(&ip->src, s.p + 8);
    addr6(&ip->dst, s.p + 24);
    hil_skip(&s, 40);
    for (int depth = 0; depth < 16; depth++) {
        bool fragment = next == 44;
        if (next != 0 && next != 43 && next != 60 && next != 51 && !fragment) {
            break;
        }
        if (s.n < 8) {
            return HIL_NET_SKIP_SHORT;
        }
        uint32_t len = fragment ? 8 : next == 51 ? (s.p[1] + 2U) * 4U : (s.p[1] + 1U) * 8U;
        if (s.n < len || left < len) {
            return HIL_NET_SKIP_BAD;
        }
        next = s.p[0];
        if (fragment) {
            uint16_t frag = hil_be16(s.p + 2);
            ip->more = (frag & 1U) != 0;
            ip->fragment = frag & 0xfff8U;
            ip->id = hil_be32(s.p + 4);
        }
        hil_skip(&s, len);
        left -= len;
        if (fragment && ip->fragment != 0) {
            break; /* what follows is the middle of a packet, no header */
        }
    }
    ip->proto = next;
    ip->wirelen = left;
    ip->payload = s;
    if (ip->payload.n > left) {
        ip->payload.n = left;
    }
    return HIL_NET_TCP;
}

static enum hil_net parse_ip(struct hil_span s, uint32_t wirelen, struct ip *ip) {
    if (s.n < 1) {
        return HIL_NET_SKIP_SHORT;
    }
    switch (s.p[0] >> 4) {
    case 4:
        return parse_ip4(s, wirelen, ip);
    case 6:
        return parse_ip6(s, wirelen, ip);
    default:
        return HIL_NET_SKIP_BAD;
    }
}

static struct hil_datagram *find_datagram(struct hil_fragments *f, const struct ip *ip, int64_t t) {
    struct hil_datagram *oldest = &f->slot[0];
    for (size_t i = 0; i < HIL_FRAGMENTS_MAX; i++) {
        struct hil_datagram *d = &f->slot[i];
        if (d->used && t - d->t > FRAGMENT_LIFE_NS) {
            d->used = false;
            f->dropped++;
        }
        if (d->used && d->id == ip->id && (ip->v6 || d->proto == ip->proto) &&
            memcmp(&d->src, &ip->src, sizeof d->src) == 0 && memcmp(&d->dst, &ip->dst, sizeof d->dst) == 0) {
            return d;
        }
        if (oldest->used && (!d->used || d->t < oldest->t)) {
            oldest = d;
        }
    }
    if (oldest->used) {
        f->dropped++;
    }
    if (oldest->data == NULL) {
        oldest->data = calloc(1, HIL_DATAGRAM_MAX + 1);
        oldest->mask = malloc(HIL_DATAGRAM_MAX / 64 + 1);
        if (oldest->data == NULL || oldest->mask == NULL) {
            return NULL;
        }
    }
    memset(oldest->mask, 0, HIL_DATAGRAM_MAX / 64 + 1);
    oldest->src = ip->src;
    oldest->dst = ip->dst;
    oldest->id = ip->id;
    oldest->proto = ip->proto;
    oldest->total = oldest->got = 0;
    oldest->t = t;
    oldest->used = true;
    return oldest;
}

/* Adds a fragment; true when the datagram is whole, with ip->payload on it. First copy of a unit wins. */
static bool join(struct hil_fragments *f, struct ip *ip, int64_t t) {
    uint32_t len = (uint32_t)ip->payload.n;
    if (len < ip->wirelen || ip->fragment + len > HIL_DATAGRAM_MAX || (ip->more && len % 8 != 0) ||
        len == 0) {
        f->dropped++;
        return false;
    }
    struct hil_datagram *d = find_datagram(f, ip, t);
    if (d == NULL) {
        return false;
    }
    for (uint32_t at = 0; at < len; at += 8) {
        uint32_t unit = (ip->fragment + at) / 8;
        uint32_t k = len - at < 8 ? len - at : 8;
        if (((unsigned)d->mask[unit / 8] >> (unit % 8) & 1U) == 0) {
            d->mask[unit / 8] |= (uint8_t)(1U << (unit % 8));
            memcpy(d->data + ip->fragment + at, ip->payload.p + at, k);
            d->got += k;
        }
    }
    if (ip->fragment == 0) {
        d->proto = ip->proto;
    }
    if (!ip->more) {
        d->total = ip->fragment + len;
    }
    if (d->total == 0 || d->got < d->total) {
        return false;
    }
    d->used = false;
    ip->proto = d->proto;
    ip->payload = (struct hil_span){d->data, d->total};
    ip->wirelen = d->total;
    return true;
}

static enum hil_net parse_tcp(const struct ip *ip, struct hil_segment *s) {
    struct hil_span p = ip->payload;
    if (p.n < 20) {
        return HIL_NET_SKIP_SHORT;
    }
    uint32_t head = (uint32_t)(p.p[12] >> 4) * 4U;
    if (head < 20 || head > ip->wirelen) {
        return HIL_NET_SKIP_BAD;
    }
    s->src = ip->src;
    s->dst = ip->dst;
    s->sport = hil_be16(p.p);
    s->dport = hil_be16(p.p + 2);
    s->seq = hil_be32(p.p + 4);
    s->ack = hil_be32(p.p + 8);
    s->flags = p.p[13];
    s->wirelen = ip->wirelen - head;
    if (!hil_skip(&p, head)) {
        p.n = 0;
    }
    s->data = p.p;
    s->len = (uint32_t)p.n;
    return HIL_NET_TCP;
}

/* Only errors say something about a connection: unreachable, too big, time exceeded, parameter problem. */
static enum hil_net parse_icmp(const struct ip *ip, struct hil_icmp *m) {
    struct hil_span p = ip->payload;
    if (p.n < 8) {
        return HIL_NET_SKIP_SHORT;
    }
    memset(m, 0, sizeof *m);
    m->src = ip->src;
    m->dst = ip->dst;
    m->v6 = ip->v6;
    m->type = p.p[0];
    m->code = p.p[1];
    bool error = ip->v6 ? m->type >= 1 && m->type <= 4 : m->type == 3 || m->type == 11 || m->type == 12;
    if (!error) {
        return HIL_NET_SKIP_OTHER;
    }
    hil_skip(&p, 8);
    struct ip quoted;
    if (parse_ip(p, (uint32_t)p.n, &quoted) == HIL_NET_TCP && quoted.proto == PROTO_TCP &&
        quoted.fragment == 0 && quoted.payload.n >= 4) {
        m->has_tuple = true;
        m->qsrc = quoted.src;
        m->qdst = quoted.dst;
        m->qsport = hil_be16(quoted.payload.p);
        m->qdport = hil_be16(quoted.payload.p + 2);
    }
    return HIL_NET_ICMP;
}

static enum hil_net parse_udp(const struct ip *ip, struct hil_udp *u) {
    struct hil_span p = ip->payload;
    if (p.n < 8) {
        return HIL_NET_SKIP_SHORT;
    }
    u->sport = hil_be16(p.p);
    u->dport = hil_be16(p.p + 2);
    hil_skip(&p, 8);
    u->payload = p;
    return u->sport == 53 || u->dport == 53 ? HIL_NET_UDP : HIL_NET_SKIP_UDP;
}

static enum hil_net decode_ip(struct hil_fragments *f, int64_t t, struct hil_span s, uint32_t wirelen,
                              union hil_packet *out) {
    struct ip ip;
    enum hil_net rc = parse_ip(s, wirelen, &ip);
    if (rc != HIL_NET_TCP) {
        return rc;
    }
    if ((ip.more || ip.fragment != 0) && !join(f, &ip, t)) {
        return HIL_NET_FRAGMENT;
    }
    switch (ip.proto) {
    case PROTO_TCP:
        return parse_tcp(&ip, &out->tcp);
    case PROTO_ICMP:
    case PROTO_ICMP6:
        return parse_icmp(&ip, &out->icmp);
    case PROTO_UDP:
        return parse_udp(&ip, &out->udp);
    default:
        return HIL_NET_SKIP_OTHER;
    }
}

static enum hil_net decode_arp(struct hil_span s, struct hil_arp *a) {
    if (s.n < 28) {
        return HIL_NET_SKIP_SHORT;
    }
    if (hil_be16(s.p + 2) != HIL_ETHER_IP || s.p[4] != 6 || s.p[5] != 4) {
        return HIL_NET_SKIP_OTHER;
    }
    a->op = hil_be16(s.p + 6);
    memcpy(a->sender, s.p + 14, 4);
    memcpy(a->target, s.p + 24, 4);
    return HIL_NET_ARP;
}

enum hil_net hil_net_decode(struct hil_fragments *frags, uint16_t link, int64_t t, struct hil_span frame,
                            uint32_t wirelen, union hil_packet *out) {
    struct hil_span s = frame;
    uint16_t type = hil_link_strip(link, &s);
    uint32_t head = (uint32_t)(frame.n - s.n);
    uint32_t left = wirelen > head ? wirelen - head : 0;
    switch (type) {
    case HIL_LINK_ANY_IP:
    case HIL_ETHER_IP:
    case HIL_ETHER_IPV6:
        return decode_ip(frags, t, s, left, out);
    case HIL_ETHER_ARP:
        return decode_arp(s, &out->arp);
    default:
        return HIL_NET_SKIP_LINK;
    }
}

void hil_fragments_free(struct hil_fragments *f) {
    for (size_t i = 0; i < HIL_FRAGMENTS_MAX; i++) {
        free(f->slot[i].data);
        free(f->slot[i].mask);
    }
    memset(f, 0, sizeof *f);
}
