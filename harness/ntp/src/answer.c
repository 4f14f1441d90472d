/* Datagram to datagram; no I/O here. Offsets are those of RFC 5905 7.3, figure 8. */
#include "hil_ntp.h"

#include <string.h>

#define ERA0_OF_UNIX 2208988800 /* seconds from 1900 to 1970 */
#define MICRO        1000000

enum { AT_STRATUM = 1, AT_POLL = 2, AT_PRECISION = 3, AT_DISPERSION = 8, AT_REFID = 12 };
enum { AT_REFERENCE = 16, AT_ORIGIN = 24, AT_RECEIVE = 32, AT_TRANSMIT = 40 };
enum { MODE_CLIENT = 3, MODE_SERVER = 4, LEAP_UNKNOWN = 3, STRATUM_UNSYNCHRONISED = 16 };

static uint64_t get64(const uint8_t *at) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | at[i];
    return value;
}

static void put64(uint8_t *at, uint64_t value) {
    for (int i = 7; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}

enum hil_ntp_kind hil_ntp_parse(const uint8_t *data, size_t size, struct hil_ntp_query *query) {
    if (size < HIL_NTP_SIZE)
        return HIL_NTP_SHORT;
    uint8_t version = data[0] >> 3 & 7;
    if (version < 1 || version > 4)
        return HIL_NTP_BAD_VERSION;
    if ((data[0] & 7) != MODE_CLIENT)
        return HIL_NTP_BAD_MODE;
    *query = (struct hil_ntp_query){
        .version = version, .poll = data[AT_POLL], .transmit = get64(data + AT_TRANSMIT)};
    return HIL_NTP_QUERY;
}

uint64_t hil_ntp_timestamp(int64_t unix_us) {
    int64_t seconds = unix_us / MICRO, micros = unix_us % MICRO;
    if (micros < 0) {
        seconds--;
        micros += MICRO;
    }
    uint64_t fraction = ((uint64_t)micros << 32) / MICRO;
    return ((uint64_t)(seconds + ERA0_OF_UNIX) & UINT32_MAX) << 32 | fraction;
}

int64_t hil_ntp_clock(const struct hil_ntp_behaviour *behaviour, int64_t now_us) {
    return behaviour->stopped ? behaviour->stopped_us : now_us + behaviour->offset_us;
}

static void put_identity(const struct hil_ntp_behaviour *behaviour, uint8_t *out) {
    static const uint8_t local[4] = {'L', 'O', 'C', 'L'}, upstream[4] = {127, 0, 0, 1};
    if (behaviour->kiss) {
        out[AT_STRATUM] = 0;
        memcpy(out + AT_REFID, behaviour->kiss_code, sizeof behaviour->kiss_code);
    } else if (behaviour->unsynchronised) {
        out[AT_STRATUM] = STRATUM_UNSYNCHRONISED; /* and no reference at all */
    } else {
        out[AT_STRATUM] = behaviour->stratum;
        memcpy(out + AT_REFID, behaviour->stratum < 2 ? local : upstream, sizeof local);
    }
}

size_t hil_ntp_answer(const struct hil_ntp_behaviour *behaviour, struct hil_ntp_state *state,
                      const struct hil_ntp_query *query, int64_t received_us, int64_t now_us,
                      uint8_t out[HIL_NTP_SIZE]) {
    if (behaviour->silent)
        return 0;
    if (behaviour->replay && state->have) {
        memcpy(out, state->last, HIL_NTP_SIZE);
        return HIL_NTP_SIZE;
    }
    bool unknown = behaviour->kiss || behaviour->unsynchronised;
    int64_t received = hil_ntp_clock(behaviour, received_us), sent = hil_ntp_clock(behaviour, now_us);
    memset(out, 0, HIL_NTP_SIZE);
    out[0] = (uint8_t)((unknown ? LEAP_UNKNOWN << 6 : 0) | query->version << 3 | MODE_SERVER);
    out[AT_POLL] = query->poll;
    out[AT_PRECISION] = (uint8_t)-20; /* 2^-20 s: a microsecond */
    out[AT_DISPERSION + 2] = 1;       /* 2^-8 s */
    put_identity(behaviour, out);
    if (!unknown)
        put64(out + AT_REFERENCE, hil_ntp_timestamp(received - MICRO));
    put64(out + AT_ORIGIN, query->transmit);
    put64(out + AT_RECEIVE, hil_ntp_timestamp(received));
    put64(out + AT_TRANSMIT, hil_ntp_timestamp(sent));
    memcpy(state->last, out, HIL_NTP_SIZE);
    state->have = true;
    return HIL_NTP_SIZE;
}
