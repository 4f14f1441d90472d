/* One name, one A record, over UDP of the chip (RFC 1035). An answer counts when it comes from the server
 * asked, has our number and repeats our question; CNAMEs before the address are passed over. */
#include "w5500.h"

#include "hil/board.h"
#include "hil/net.h"
#include "hil/service.h"

#include <string.h>

#define SOCKET      HIL_W5500_DNS_SOCKET
#define REG         HIL_W5500_REG(SOCKET)
#define PORT        53u
#define AGAIN_MS    1000u
#define MESSAGE_MAX 512u /* without EDNS */
#define HEADER      12u
#define UDP_HEADER  8u /* the chip's: address, port, length */
#define LABEL_MAX   63u
#define NAME_MAX    253u
#define TYPE_A      1u
#define CLASS_IN    1u

static uint16_t u16(const uint8_t *at) {
    return (uint16_t)((at[0] << 8) | at[1]);
}

static void put16(uint8_t *at, unsigned value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

size_t hil_w5500_dns_query(uint8_t *out, size_t cap, uint16_t id, const char *host) {
    size_t len = strlen(host), at = HEADER;
    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len == 0 || len > NAME_MAX || cap < HEADER + len + 2 + 4)
        return 0;
    memset(out, 0, HEADER);
    put16(out, id);
    out[2] = 1; /* recursion desired */
    out[5] = 1; /* one question */
    for (size_t i = 0; i <= len;) {
        size_t label = 0;
        while (i + label < len && host[i + label] != '.')
            label++;
        if (label == 0 || label > LABEL_MAX)
            return 0;
        out[at++] = (uint8_t)label;
        memcpy(out + at, host + i, label);
        at += label;
        i += label + 1;
    }
    out[at++] = 0;
    put16(out + at, TYPE_A);
    put16(out + at + 2, CLASS_IN);
    return at + 4;
}

/* Behind the name at `at`, 0 when it does not end. Pointers end a name and are not followed. */
static size_t skip_name(const uint8_t *message, size_t len, size_t at) {
    while (at < len) {
        uint8_t label = message[at];
        if (label == 0)
            return at + 1;
        if ((label & 0xC0u) == 0xC0u)
            return at + 2 <= len ? at + 2 : 0;
        if (label > LABEL_MAX)
            return 0;
        at += 1u + label;
    }
    return 0;
}

static uint8_t lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

int hil_w5500_dns_answer(const uint8_t *message, size_t len, uint16_t id, const char *host, uint8_t ip[4]) {
    uint8_t query[MESSAGE_MAX];
    size_t asked = hil_w5500_dns_query(query, sizeof query, id, host);
    if (asked == 0 || len < asked || u16(message) != id || (message[2] & 0x80u) == 0 || u16(message + 4) != 1)
        return 0;
    for (size_t i = HEADER; i < asked; i++) /* labels are shorter than 'A', so lower() leaves lengths alone */
        if (lower(message[i]) != lower(query[i]))
            return 0;
    if ((message[3] & 0x0Fu) != 0)
        return -1;
    size_t at = asked;
    for (unsigned left = u16(message + 6); left > 0; left--) {
        at = skip_name(message, len, at);
        if (at == 0 || len - at < 10)
            return -1;
        size_t data_len = u16(message + at + 8);
        if (len - at - 10 < data_len)
            return -1;
        if (u16(message + at) == TYPE_A && u16(message + at + 2) == CLASS_IN && data_len == 4) {
            memcpy(ip, message + at + 10, 4);
            return 1;
        }
        at += 10 + data_len;
    }
    return -1;
}

/* One datagram with the chip's header before it; its length, 0: none yet, negative: HIL_W5500_*. A datagram
 * that is longer than the buffer is dropped. */
static int datagram(const uint8_t server[4], uint8_t *data, size_t cap) {
    uint8_t header[UDP_HEADER];
    int rc = hil_w5500_take(SOCKET, header, sizeof header);
    if (rc < (int)sizeof header)
        return rc < 0 ? rc : 0; /* the chip counts whole datagrams: a part of a header is none */
    size_t len = u16(header + 6), have = 0;
    bool ours = memcmp(header, server, 4) == 0 && u16(header + 4) == PORT && len <= cap;
    while (have < len) {
        uint8_t sink[32];
        size_t left = len - have;
        rc = ours ? hil_w5500_take(SOCKET, data + have, left)
                  : hil_w5500_take(SOCKET, sink, left < sizeof sink ? left : sizeof sink);
        if (rc <= 0)
            return rc; /* the chip counts whole datagrams: this one is cut */
        have += (size_t)rc;
    }
    return ours ? (int)len : 0;
}

static int exchange(const struct hil_w5500_address *own, const char *host, uint8_t ip[4], uint32_t timeout_ms,
                    int *chip) {
    static uint8_t message[MESSAGE_MAX];
    uint32_t start = hil_board_ms(), sent = 0;
    uint16_t id = 0;
    if (hil_board_entropy(&id, sizeof id) != 0)
        id = (uint16_t)(start * 40503u); /* whoever can answer for the server can read the question, too */
    bool asked = false;
    while (hil_board_ms() - start < timeout_ms) {
        if (!asked || hil_board_ms() - sent >= AGAIN_MS) {
            size_t len = hil_w5500_dns_query(message, sizeof message, id, host);
            if (len == 0)
                return HIL_NET_NAME;
            if ((*chip = hil_w5500_put(SOCKET, message, len)) < 0)
                return HIL_NET_ERROR;
            sent = hil_board_ms();
            asked = true;
        }
        int got = datagram(own->dns, message, sizeof message);
        if ((*chip = got) < 0)
            return HIL_NET_ERROR;
        int answer = got > 0 ? hil_w5500_dns_answer(message, (size_t)got, id, host, ip) : 0;
        if (answer != 0)
            return answer > 0 ? HIL_NET_OK : HIL_NET_NAME;
        hil_heartbeat();
        hil_board_idle(1);
    }
    return HIL_NET_NAME; /* nobody answers */
}

int hil_w5500_resolve(const char *host, uint8_t ip[4], uint32_t timeout_ms) {
    static const uint8_t NONE[4];
    const struct hil_w5500_address *own = hil_w5500_address();
    int chip = 0;
    if (memcmp(own->dns, NONE, sizeof NONE) == 0)
        return HIL_NET_NAME;
    int rc = hil_w5500_open(SOCKET, HIL_W5500_MODE_UDP, (uint16_t)(49152u + (hil_board_ms() & 0x3FFFu)));
    if (rc == 0)
        rc = hil_w5500_write(REG, HIL_W5500_SN_DIPR, own->dns, sizeof own->dns);
    if (rc == 0)
        rc = hil_w5500_set16(REG, HIL_W5500_SN_DPORT, PORT);
    int result = rc == 0 ? exchange(own, host, ip, timeout_ms, &chip) : HIL_NET_ERROR;
    rc = hil_w5500_command(SOCKET, HIL_W5500_CMD_CLOSE);
    return rc == 0 || result != HIL_NET_OK ? result : HIL_NET_ERROR;
}
