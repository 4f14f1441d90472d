/* The decoder as a whole: packets in, JSON lines out. Everything below it gets a pointer to this. */
#ifndef HIL_WIRE_DECODER_H
#define HIL_WIRE_DECODER_H

#include "conn.h"
#include "crypto.h"
#include "dns.h"
#include "events.h"
#include "json.h"
#include "keylog.h"
#include "net.h"
#include "reader.h"

#define HIL_PORTS_MAX 32
#define HIL_ARP_MAX   64

struct hil_options {
    uint64_t events; /* bit set of enum hil_ev */
    bool der, summary;
    uint16_t ports[HIL_PORTS_MAX]; /* ports a server is expected on, beside the well-known ones */
    size_t port_n;
};

struct hil_arp_wait {
    uint8_t who[4];
    bool used, answered;
    uint32_t count;
    int64_t t;
    uint64_t frame;
};

struct hil_decoder {
    struct hil_json out;
    struct hil_options opt;
    struct hil_keylog keys;
    struct hil_crypto crypto;
    struct hil_table table;
    struct hil_fragments frags;
    struct hil_reader reader;
    int64_t t;
    uint64_t frame;
    char stamp[96]; /* `,"t":…,"frame":…` of the current packet */
    size_t stamp_n;
    uint64_t stamp_frame;
    int64_t stamp_t;
    uint8_t *scratch; /* room for one opened record */
    struct hil_arp_wait arp[HIL_ARP_MAX];
    struct hil_dns_wait dns[HIL_DNS_MAX];
    uint64_t skipped[HIL_NET_KINDS];
    uint64_t packets, cut, bytes_read;
    uint64_t evicted;
    uint64_t handshakes[4]; /* how many closed connections had which state, for the summary */
};

#define HIL_SCRATCH (18432U + 64U)

bool hil_decoder_init(struct hil_decoder *d, const struct hil_options *opt, int fd);
/* Decodes a whole capture. NULL, or one line that says why nothing could be read. */
const char *hil_decoder_run(struct hil_decoder *d, hil_source source, void *ctx);
void hil_decoder_free(struct hil_decoder *d);

/* Starts an event: false when it is not wanted. `side` < 0: no direction. */
bool hil_ev_begin(struct hil_decoder *d, enum hil_ev ev, const struct hil_conn *c, int side);
void hil_ev_end(struct hil_decoder *d);
static inline bool hil_ev_wanted(const struct hil_decoder *d, enum hil_ev ev) {
    return (d->opt.events >> ev & 1U) != 0;
}

#endif
