#include "link.h"

enum {
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_PPP = 9,
    LINK_RAW_BSD = 12,
    LINK_RAW_OPENBSD = 14,
    LINK_PPP_HDLC = 50,
    LINK_RAW = 101,
    LINK_C_HDLC = 104,
    LINK_LOOP = 108,
    LINK_SLL = 113,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
    LINK_SLL2 = 276
};

enum { ETHER_VLAN = 0x8100, ETHER_QINQ = 0x88a8, ETHER_QINQ_OLD = 0x9100, ETHER_PPPOE = 0x8864 };

static const struct {
    uint16_t link;
    const char *name;
} links[] = {
    {LINK_NULL, "null"},       {LINK_ETHERNET, "ethernet"}, {LINK_PPP, "ppp"},       {LINK_RAW_BSD, "raw"},
    {LINK_RAW_OPENBSD, "raw"}, {LINK_PPP_HDLC, "ppp_hdlc"}, {LINK_RAW, "raw"},       {LINK_C_HDLC, "c_hdlc"},
    {LINK_LOOP, "loop"},       {LINK_SLL, "linux_sll"},     {LINK_IPV4, "raw_ipv4"}, {LINK_IPV6, "raw_ipv6"},
    {LINK_SLL2, "linux_sll2"},
};

const char *hil_link_name(uint16_t link) {
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        if (links[i].link == link) {
            return links[i].name;
        }
    }
    return NULL;
}

/* PPP: protocol 0x21 is IPv4, 0x57 IPv6; address and control may be compressed away, the protocol to one
 * byte. */
static uint16_t ppp_type(struct hil_span *s) {
    if (s->n >= 2 && s->p[0] == 0xff && s->p[1] == 0x03) {
        hil_skip(s, 2);
    }
    uint8_t b = 0;
    uint16_t proto = 0;
    if (s->n >= 1 && (s->p[0] & 1U) != 0) {
        hil_u8(s, &b);
        proto = b;
    } else {
        hil_u16(s, &proto);
    }
    return proto == 0x21 ? HIL_ETHER_IP : proto == 0x57 ? HIL_ETHER_IPV6 : 0;
}

static uint16_t ethernet_type(struct hil_span *s, uint16_t type) {
    for (int depth = 0; depth < 8; depth++) {
        if (type == ETHER_VLAN || type == ETHER_QINQ || type == ETHER_QINQ_OLD) {
            if (!hil_skip(s, 2) || !hil_u16(s, &type)) {
                return 0;
            }
        } else if (type == ETHER_PPPOE) {
            if (!hil_skip(s, 6)) {
                return 0;
            }
            return ppp_type(s);
        } else if (type <= 1500) { /* 802.3: only SNAP carries IP */
            static const uint8_t snap[6] = {0xaa, 0xaa, 0x03, 0, 0, 0};
            if (s->n < 8 || memcmp(s->p, snap, 6) != 0) {
                return 0;
            }
            hil_skip(s, 6);
            hil_u16(s, &type);
            return type;
        } else {
            return type;
        }
    }
    return 0;
}

uint16_t hil_link_strip(uint16_t link, struct hil_span *s) {
    uint16_t type = 0;
    switch (link) {
    case LINK_ETHERNET:
        return hil_skip(s, 12) && hil_u16(s, &type) ? ethernet_type(s, type) : 0;
    case LINK_SLL:
        return hil_skip(s, 14) && hil_u16(s, &type) ? ethernet_type(s, type) : 0;
    case LINK_SLL2:
        return hil_u16(s, &type) && hil_skip(s, 18) ? ethernet_type(s, type) : 0;
    case LINK_NULL:
    case LINK_LOOP: /* the family's number differs between systems and byte orders: the IP header tells */
        return hil_skip(s, 4) ? HIL_LINK_ANY_IP : 0;
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_IPV4:
    case LINK_IPV6:
        return HIL_LINK_ANY_IP;
    case LINK_C_HDLC:
        return hil_skip(s, 2) && hil_u16(s, &type) ? type : 0;
    case LINK_PPP:
    case LINK_PPP_HDLC:
        return ppp_type(s);
    default:
        return 0;
    }
}
