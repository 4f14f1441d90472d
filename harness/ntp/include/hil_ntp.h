/* hil-ntp: an NTP server that tells the truth, or a lie somebody chose.
 *
 *   hil-ntp --address ADDR [--port N] [--interface IFACE] [--behave TEXT] [--log FILE]
 *
 * Answers SNTP and NTP clients (RFC 4330, RFC 5905; versions 1 to 4, mode 3) at ADDR, UDP port N (123; 0: any
 * free one). With --interface only what comes in there (SO_BINDTODEVICE). No answer is longer than its
 * request, no state is kept for a client, and nothing but mode 3 is answered: it cannot be used to amplify.
 *
 * stdout: `READY PORT` when it answers; `OK` or `ERR why` for each line on stdin; `DONE n` (answers given) at
 * the end, which comes with end of stdin or SIGTERM. A line on stdin is a behaviour:
 *
 *   honest            the host's clock, stratum 1
 *   offset SECONDS    ahead by so much; may be negative, decimals down to a microsecond
 *   stopped [UNIX]    the clock stands, at that Unix time or at the moment this was said
 *   stratum N         0 to 255; a client must refuse 0 (RFC 5905 7.4) and from 16 on (7.3)
 *   unsynchronised    leap indicator 3, stratum 16, no reference time
 *   kiss CODE         kiss-of-death (RFC 5905 7.4): stratum 0 and CODE, 1 to 4 letters such as RATE,
 *                     DENY, RSTR
 *   replay            the last answer again, byte by byte, whatever is asked: its origin timestamp
 *                     fits no more
 *   silent            no answer
 *
 * Several may be given with commas between them: `offset -3600, stratum 15`. A line replaces the one before.
 * Timestamps wrap in 2036 as the protocol's do (era 1): `offset` reaches there.
 *
 * --log FILE takes a JSON line for each datagram: "t" (Unix seconds), "from", "size", "version", "result"
 * (one of "answered", "silent", "not sent", "short", "version", "mode"), "said" (the server's clock; an
 * answer that is a replay has an older time), at most HIL_NTP_LOG_MAX.
 *
 * Started as root it becomes nobody once it has the port. It also ends when whoever started it is gone
 * (stdin).
 *
 * Exit status: 0, 2 usage, 1 anything else (one line on stderr).
 */
#ifndef HIL_NTP_H
#define HIL_NTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HIL_NTP_SIZE 48 /* bytes of a header without extensions, and of every answer */

enum { HIL_NTP_LOG_MAX = 100000 };

/* What a datagram is; only HIL_NTP_QUERY is answered. */
enum hil_ntp_kind { HIL_NTP_QUERY, HIL_NTP_SHORT, HIL_NTP_BAD_VERSION, HIL_NTP_BAD_MODE };

struct hil_ntp_query {
    uint8_t version;
    uint8_t poll;
    uint64_t transmit; /* the client's, as it came: opaque to a server */
};

/* What the server does; made by hil_ntp_behave(). Times are Unix microseconds. */
struct hil_ntp_behaviour {
    int64_t offset_us;
    int64_t stopped_us;
    bool stopped, silent, replay, unsynchronised, kiss;
    uint8_t stratum;
    uint8_t kiss_code[4];
};

/* The last answer, for `replay`. All zero at the start. */
struct hil_ntp_state {
    bool have;
    uint8_t last[HIL_NTP_SIZE];
};

/* Reads one datagram. `query` is only set for HIL_NTP_QUERY. */
enum hil_ntp_kind hil_ntp_parse(const uint8_t *data, size_t size, struct hil_ntp_query *query);

/* Reads a behaviour from `size` bytes of text; `now_us` is what a bare `stopped` stops at. Returns NULL, or
 * what is wrong (a constant); `out` is only changed when nothing is. */
const char *hil_ntp_behave(const char *text, size_t size, int64_t now_us, struct hil_ntp_behaviour *out);

/* The server's clock when the host's shows `now_us`. */
int64_t hil_ntp_clock(const struct hil_ntp_behaviour *behaviour, int64_t now_us);

/* Fills `out` with the answer to `query`. Returns its length, HIL_NTP_SIZE, or 0 for none. */
size_t hil_ntp_answer(const struct hil_ntp_behaviour *behaviour, struct hil_ntp_state *state,
                      const struct hil_ntp_query *query, int64_t received_us, int64_t now_us,
                      uint8_t out[HIL_NTP_SIZE]);

/* Unix microseconds as an NTP timestamp (RFC 5905 6), modulo its era. */
uint64_t hil_ntp_timestamp(int64_t unix_us);

#endif
