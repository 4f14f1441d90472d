/* DNS over UDP, as far as it explains why no connection was tried: questions, answers, silence. */
#ifndef HIL_WIRE_DNS_H
#define HIL_WIRE_DNS_H

#include "net.h"

#define HIL_DNS_MAX   32
#define HIL_DNS_NAME  256
#define HIL_DNS_ADDRS 8

struct hil_dns_message {
    uint16_t id, type;
    bool response;
    uint8_t rcode;
    char name[HIL_DNS_NAME]; /* of the first question, labels joined by dots */
    struct hil_addr addr[HIL_DNS_ADDRS];
    size_t addr_n;
};

struct hil_dns_wait {
    bool used;
    uint16_t id, type;
    uint32_t count;
    int64_t t;
    uint64_t frame;
    char name[HIL_DNS_NAME];
};

struct hil_decoder;

/* False: not a DNS message. */
bool hil_dns_parse(struct hil_span p, struct hil_dns_message *m);
/* A datagram from or to port 53. */
void hil_dns_packet(struct hil_decoder *d, const struct hil_udp *u);
/* Questions that nobody answered. */
void hil_dns_finish(struct hil_decoder *d);

#endif
