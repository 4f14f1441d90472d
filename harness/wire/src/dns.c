#include "dns.h"

#include "decoder.h"

enum { TYPE_A = 1, TYPE_AAAA = 28 };

/* Moves s past a name; writes it to `to` when that is not NULL. Pointers are followed only so many times. */
static bool take_name(struct hil_span whole, struct hil_span *s, char *to, size_t room) {
    struct hil_span at = *s;
    bool jumped = false;
    size_t n = 0;
    if (to != NULL) {
        to[0] = 0;
    }
    for (int steps = 0; steps < 128; steps++) {
        uint8_t len;
        uint8_t low;
        struct hil_span label;
        if (!hil_u8(&at, &len)) {
            return false;
        }
        if (len >= 0xc0) {
            if (!hil_u8(&at, &low)) {
                return false;
            }
            if (!jumped) {
                *s = at;
                jumped = true;
            }
            size_t target = (size_t)(len & 0x3fU) << 8 | low;
            if (target >= whole.n) {
                return false;
            }
            at = (struct hil_span){whole.p + target, whole.n - target};
            continue;
        }
        if (len == 0) {
            if (!jumped) {
                *s = at;
            }
            return true;
        }
        if (len > 63 || !hil_take(&at, len, &label)) {
            return false;
        }
        if (to != NULL && n + len + 2 < room) {
            if (n > 0) {
                to[n++] = '.';
            }
            memcpy(to + n, label.p, len);
            n += len;
            to[n] = 0;
        }
    }
    return false;
}

static void take_answer(struct hil_span whole, struct hil_span *s, struct hil_dns_message *m) {
    static const uint8_t v4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    uint16_t type;
    struct hil_span data;
    if (!take_name(whole, s, NULL, 0) || !hil_u16(s, &type) || !hil_skip(s, 6) || !hil_vec16(s, &data)) {
        s->n = 0;
        return;
    }
    if (m->addr_n < HIL_DNS_ADDRS && type == TYPE_A && data.n == 4) {
        memcpy(m->addr[m->addr_n].b, v4, 12);
        memcpy(m->addr[m->addr_n++].b + 12, data.p, 4);
    } else if (m->addr_n < HIL_DNS_ADDRS && type == TYPE_AAAA && data.n == 16) {
        memcpy(m->addr[m->addr_n++].b, data.p, 16);
    }
}

bool hil_dns_parse(struct hil_span p, struct hil_dns_message *m) {
    struct hil_span s = p;
    uint16_t flags;
    uint16_t questions;
    uint16_t answers;
    memset(m, 0, offsetof(struct hil_dns_message, addr));
    m->addr_n = 0;
    if (!hil_u16(&s, &m->id) || !hil_u16(&s, &flags) || !hil_u16(&s, &questions) || !hil_u16(&s, &answers) ||
        !hil_skip(&s, 4) || questions == 0 || (flags & 0x7800U) != 0) {
        return false;
    }
    m->response = (flags & 0x8000U) != 0;
    m->rcode = flags & 15U;
    if (!take_name(p, &s, m->name, sizeof m->name) || !hil_u16(&s, &m->type) || !hil_skip(&s, 2)) {
        return false;
    }
    for (uint16_t i = 1; i < questions && i < 16; i++) {
        if (!take_name(p, &s, NULL, 0) || !hil_skip(&s, 4)) {
            return true;
        }
    }
    for (uint16_t i = 0; i < answers && i < 64 && s.n > 0; i++) {
        take_answer(p, &s, m);
    }
    return true;
}

static void say(struct hil_decoder *d, const char *name, uint16_t type, const struct hil_dns_message *answer,
                uint32_t count) {
    if (!hil_ev_begin(d, HIL_EV_dns, NULL, -1)) {
        return;
    }
    struct hil_json *j = &d->out;
    J_STR(j, "name", name);
    J_UINT(j, "type", type);
    J_BOOL(j, "answered", answer != NULL);
    if (answer == NULL) {
        J_UINT(j, "count", count);
    } else {
        J_UINT(j, "rcode", answer->rcode);
        J_LIT(j, ",\"answers\":[");
        for (size_t i = 0; i < answer->addr_n; i++) {
            char text[48];
            hil_addr_text(&answer->addr[i], text);
            J_LIT(j, ",");
            hil_json_str(j, text);
        }
        J_LIT(j, "]");
    }
    hil_ev_end(d);
}

void hil_dns_packet(struct hil_decoder *d, const struct hil_udp *u) {
    struct hil_dns_message m;
    struct hil_dns_wait *slot = &d->dns[0];
    if (!hil_dns_parse(u->payload, &m) || (m.response ? u->sport : u->dport) != 53) {
        return;
    }
    for (size_t i = 0; i < HIL_DNS_MAX; i++) {
        struct hil_dns_wait *w = &d->dns[i];
        if (w->used && w->type == m.type && strcmp(w->name, m.name) == 0 && (w->id == m.id || !m.response)) {
            slot = w;
            break;
        }
        if (slot->used && (!w->used || w->t < slot->t)) {
            slot = w; /* free, or the oldest */
        }
    }
    bool same = slot->used && slot->type == m.type && strcmp(slot->name, m.name) == 0;
    if (m.response) {
        slot->used = slot->used && !same;
        say(d, m.name, m.type, &m, 0);
        return;
    }
    if (!same) {
        memset(slot, 0, sizeof *slot);
        slot->used = true;
        slot->type = m.type;
        slot->t = d->t;
        slot->frame = d->frame;
        memcpy(slot->name, m.name, sizeof slot->name);
    }
    slot->id = m.id;
    slot->count++;
}

void hil_dns_finish(struct hil_decoder *d) {
    for (size_t i = 0; i < HIL_DNS_MAX; i++) {
        if (d->dns[i].used) {
            d->t = d->dns[i].t;
            d->frame = d->dns[i].frame;
            say(d, d->dns[i].name, d->dns[i].type, NULL, d->dns[i].count);
        }
    }
}
