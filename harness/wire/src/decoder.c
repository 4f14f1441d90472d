#include "decoder.h"

#include "mqtt.h"
#include "tls.h"

#include <stdlib.h>

const char *const hil_ev_name[HIL_EV_COUNT] = {
#define X(name) #name,
    HIL_EVENTS(X)
#undef X
};

#define OUT_SIZE ((size_t)128 * 1024)

bool hil_decoder_init(struct hil_decoder *d, const struct hil_options *opt, int fd) {
    memset(d, 0, sizeof *d);
    d->opt = *opt;
    d->scratch = malloc(HIL_SCRATCH);
    d->stamp_frame = UINT64_MAX;
    return d->scratch != NULL && hil_json_init(&d->out, fd, OUT_SIZE) && hil_table_init(&d->table);
}

void hil_decoder_free(struct hil_decoder *d) {
    hil_table_free(&d->table);
    hil_fragments_free(&d->frags);
    hil_reader_close(&d->reader);
    hil_keylog_free(&d->keys);
    hil_crypto_free(&d->crypto);
    hil_json_free(&d->out);
    free(d->scratch);
    d->scratch = NULL;
}

/* `{"ev":"name"` of every kind, and its length, are made once. */
static void put_head(struct hil_json *j, enum hil_ev ev) {
    static char head[HIL_EV_COUNT][40];
    static uint8_t head_n[HIL_EV_COUNT];
    if (head_n[ev] == 0) {
        static const char open[] = "{\"ev\":\"";
        size_t n = strlen(hil_ev_name[ev]);
        memcpy(head[ev], open, sizeof open - 1);
        memcpy(head[ev] + sizeof open - 1, hil_ev_name[ev], n);
        head[ev][sizeof open - 1 + n] = '"';
        head_n[ev] = (uint8_t)(sizeof open + n);
    }
    hil_json_raw(j, head[ev], head_n[ev]);
}

static void make_stamp(struct hil_decoder *d) {
    static const char t[] = ",\"t\":";
    static const char frame[] = ",\"frame\":";
    char *s = d->stamp;
    size_t n = 0;
    memcpy(s, t, sizeof t - 1);
    n += sizeof t - 1;
    n += hil_decimal(s + n, d->t > 0 ? (uint64_t)d->t : 0);
    memcpy(s + n, frame, sizeof frame - 1);
    n += sizeof frame - 1;
    n += hil_decimal(s + n, d->frame);
    d->stamp_n = n;
    d->stamp_frame = d->frame;
    d->stamp_t = d->t;
}

bool hil_ev_begin(struct hil_decoder *d, enum hil_ev ev, const struct hil_conn *c, int side) {
    if (!hil_ev_wanted(d, ev)) {
        return false;
    }
    struct hil_json *j = &d->out;
    put_head(j, ev);
    if (d->stamp_frame != d->frame || d->stamp_t != d->t) {
        make_stamp(d);
    }
    hil_json_raw(j, d->stamp, d->stamp_n);
    if (c != NULL) {
        J_UINT(j, "conn", c->id);
        if (side >= 0) {
            if (side == c->client) {
                J_LIT(j, ",\"dir\":\"c\"");
            } else {
                J_LIT(j, ",\"dir\":\"s\"");
            }
        }
    }
    return true;
}

void hil_ev_end(struct hil_decoder *d) {
    hil_json_raw(&d->out, "}\n", 2);
}

/* ---- beside TCP ---- */

static void on_arp(struct hil_decoder *d, const struct hil_arp *a) {
    if (a->op != 1 && a->op != 2) {
        return;
    }
    struct hil_arp_wait *slot = NULL;
    const uint8_t *who = a->op == 1 ? a->target : a->sender;
    for (size_t i = 0; i < HIL_ARP_MAX; i++) {
        struct hil_arp_wait *w = &d->arp[i];
        if (w->used && memcmp(w->who, who, 4) == 0) {
            slot = w;
            break;
        }
        if (!w->used && slot == NULL) {
            slot = w;
        }
    }
    if (slot == NULL || (!slot->used && a->op == 2)) {
        return;
    }
    if (a->op == 2) {
        slot->answered = true;
        return;
    }
    if (memcmp(a->sender, a->target, 4) == 0) {
        return; /* an announcement asks for nothing */
    }
    if (!slot->used) {
        slot->used = true;
        slot->t = d->t;
        slot->frame = d->frame;
        memcpy(slot->who, who, 4);
    }
    slot->count++;
}

static void say_arp(struct hil_decoder *d) {
    for (size_t i = 0; i < HIL_ARP_MAX; i++) {
        const struct hil_arp_wait *w = &d->arp[i];
        if (!w->used || w->answered) {
            continue;
        }
        d->t = w->t;
        d->frame = w->frame;
        if (hil_ev_begin(d, HIL_EV_arp, NULL, -1)) {
            struct hil_addr a = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};
            char text[48];
            memcpy(a.b + 12, w->who, 4);
            hil_addr_text(&a, text);
            J_STR(&d->out, "who", text);
            J_UINT(&d->out, "count", w->count);
            hil_ev_end(d);
        }
    }
}

static const char *icmp_text(const struct hil_icmp *m) {
    static const char *const v4[] = {"network unreachable", "host unreachable",     "protocol unreachable",
                                     "port unreachable",    "fragmentation needed", "source route failed"};
    static const char *const v6[] = {"no route", "administratively prohibited", "beyond scope",
                                     "address unreachable", "port unreachable"};
    if (m->v6) {
        return m->type == 1   ? (m->code < 5 ? v6[m->code] : "unreachable")
               : m->type == 2 ? "packet too big"
               : m->type == 3 ? "time exceeded"
                              : "parameter problem";
    }
    if (m->type == 3) {
        return m->code < 6                                      ? v4[m->code]
               : m->code == 9 || m->code == 10 || m->code == 13 ? "administratively prohibited"
                                                                : "unreachable";
    }
    return m->type == 11 ? "time exceeded" : "parameter problem";
}

static void on_icmp(struct hil_decoder *d, const struct hil_icmp *m) {
    const struct hil_conn *c =
        m->has_tuple ? hil_conn_find(d, &m->qsrc, m->qsport, &m->qdst, m->qdport) : NULL;
    if (hil_ev_begin(d, HIL_EV_icmp, c, -1)) {
        J_UINT(&d->out, "type", m->type);
        J_UINT(&d->out, "code", m->code);
        J_STR(&d->out, "text", icmp_text(m));
        hil_ev_end(d);
    }
}

/* ---- the run ---- */

static void secrets_in_capture(void *ctx, const uint8_t *p, size_t n) {
    struct hil_decoder *d = ctx;
    hil_keylog_feed(&d->keys, p, n);
    hil_keylog_end(&d->keys);
}

static void say_capture(struct hil_decoder *d) {
    const struct hil_reader *r = &d->reader;
    if (!hil_ev_begin(d, HIL_EV_capture, NULL, -1)) {
        return;
    }
    struct hil_json *j = &d->out;
    J_STR(j, "format", r->ng ? "pcapng" : "pcap");
    J_LIT(j, ",\"link\":[");
    uint32_t n = r->ng ? r->interface_n : 1;
    for (uint32_t i = 0; i < n && i < 16; i++) {
        uint16_t link = r->ng ? r->interfaces[i].link : r->link;
        const char *name = hil_link_name(link);
        J_LIT(j, ",");
        if (name != NULL) {
            hil_json_str(j, name);
        } else {
            J_LIT(j, "\"unknown_");
            hil_json_uint(j, link);
            J_LIT(j, "\"");
        }
    }
    J_LIT(j, "]");
    uint64_t res = 1000;
    if (r->ng && n > 0) {
        static const uint32_t p10[] = {1000000000, 100000000, 10000000, 1000000, 100000,
                                       10000,      1000,      100,      10,      1};
        uint8_t e = r->interfaces[0].resolution;
        res = (e & 0x80U) != 0 ? (e & 0x7fU) < 30 ? 1000000000U >> (e & 0x7fU) : 0 : e <= 9 ? p10[e] : 0;
    } else if (r->nano) {
        res = 1;
    }
    J_UINT(j, "tsres_ns", res);
    if (r->comment[0] != 0) {
        J_STR(j, "comment", r->comment);
    }
    J_UINT(j, "secrets", r->secrets_bytes);
    if (r->gunzip != NULL) {
        J_LIT(j, ",\"gzip\":true");
    }
    hil_ev_end(d);
}

static void say_end(struct hil_decoder *d, bool truncated) {
    static const char *const reason[HIL_NET_KINDS] = {
        [HIL_NET_FRAGMENT] = "fragment",    [HIL_NET_SKIP_LINK] = "not_ip", [HIL_NET_SKIP_OTHER] = "not_tcp",
        [HIL_NET_SKIP_UDP] = "udp",         [HIL_NET_SKIP_SHORT] = "short", [HIL_NET_SKIP_BAD] = "bad_header",
        [HIL_NET_SKIP_DAMAGED] = "damaged",
    };
    if (!hil_ev_begin(d, HIL_EV_end, NULL, -1)) {
        return;
    }
    struct hil_json *j = &d->out;
    const struct hil_reader *r = &d->reader;
    J_UINT(j, "packets", r->frames);
    J_UINT(j, "connections", d->table.next_id);
    J_BOOL(j, "truncated", truncated);
    J_LIT(j, ",\"skipped\":{");
    for (int i = 0; i < HIL_NET_KINDS; i++) {
        if (reason[i] != NULL && d->skipped[i] > 0) {
            J_LIT(j, ",\"");
            hil_json_raw(j, reason[i], strlen(reason[i]));
            J_LIT(j, "\":");
            hil_json_uint(j, d->skipped[i]);
        }
    }
    if (d->frags.dropped > 0) {
        J_UINT(j, "fragment_dropped", d->frags.dropped);
    }
    if (d->cut > 0) {
        J_UINT(j, "cut", d->cut);
    }
    if (r->oversize > 0) {
        J_UINT(j, "oversize", r->oversize);
    }
    if (r->unknown_interface > 0) {
        J_UINT(j, "unknown_interface", r->unknown_interface);
    }
    if (d->evicted > 0) {
        J_UINT(j, "evicted", d->evicted);
    }
    J_LIT(j, "}");
    J_UINT(j, "bytes", r->consumed);
    J_UINT(j, "keylog_lines", d->keys.lines);
    J_UINT(j, "keylog_bad", d->keys.bad);
    if (d->keys.dropped > 0) {
        J_UINT(j, "keylog_dropped", d->keys.dropped);
    }
    static const char *const hs[] = {"none", "partial", "complete", "unknown"};
    J_LIT(j, ",\"handshakes\":{");
    for (int i = 0; i < 4; i++) {
        J_LIT(j, ",\"");
        hil_json_raw(j, hs[i], strlen(hs[i]));
        J_LIT(j, "\":");
        hil_json_uint(j, d->handshakes[i]);
    }
    J_LIT(j, "}");
    hil_ev_end(d);
}

static void on_frame(struct hil_decoder *d, const struct hil_frame *f) {
    union hil_packet p;
    d->t = f->t;
    d->frame = f->number;
    if (f->damaged) {
        d->skipped[HIL_NET_SKIP_DAMAGED]++;
        return;
    }
    enum hil_net kind =
        hil_net_decode(&d->frags, f->link, f->t, (struct hil_span){f->data, f->caplen}, f->wirelen, &p);
    switch (kind) {
    case HIL_NET_TCP:
        hil_conn_segment(d, &p.tcp);
        break;
    case HIL_NET_ICMP:
        on_icmp(d, &p.icmp);
        break;
    case HIL_NET_ARP:
        on_arp(d, &p.arp);
        break;
    case HIL_NET_UDP:
        hil_dns_packet(d, &p.udp);
        break;
    default:
        d->skipped[kind]++;
        break;
    }
}

const char *hil_decoder_run(struct hil_decoder *d, hil_source source, void *ctx) {
    d->reader.secrets = secrets_in_capture;
    d->reader.secrets_ctx = d;
    const char *fault = hil_reader_open(&d->reader, source, ctx);
    if (fault != NULL) {
        return fault;
    }
    say_capture(d);
    struct hil_frame f;
    enum hil_read got;
    while ((got = hil_reader_next(&d->reader, &f)) == HIL_READ_FRAME && !d->out.failed) {
        on_frame(d, &f);
    }
    hil_conn_finish(d);
    int64_t t = d->t;
    uint64_t frame = d->frame;
    say_arp(d);
    hil_dns_finish(d);
    d->t = t;
    d->frame = frame;
    say_end(d, got == HIL_READ_TRUNCATED);
    hil_json_flush(&d->out);
    return NULL;
}
