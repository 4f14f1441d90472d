/* hil-uplink: a device's network over a serial line, with nothing but a user's rights.
 *
 *   hil-uplink --serial PATH --mode ppp|slip --out FILE.pcapng [--slirp slirp-fullbolt]
 *              [--host-address 10.0.2.2] [--baud 115200] [--comment TEXT]
 *
 * PATH is a serial device, a pty or a Unix stream socket behind which a device speaks PPP (RFC 1662) or SLIP
 * (RFC 1055). slirp ends that link on a pty of ours and carries the device's TCP and UDP on with sockets of
 * this host: the device is 10.0.2.15, the host's loopback is --host-address. What passes is de-framed on the
 * way and written, in host time, with its direction:
 *
 *   ppp   LINKTYPE_PPP_HDLC. FF 03 is put back where address and control were compressed away;
 *         the frame check sequence is checked and left out. A frame that fails it is written
 *         with the CRC error flag of pcapng, so that readers know that its receiver dropped it.
 *   slip  LINKTYPE_RAW. Only what is a whole IP packet is written.
 *
 * Towards the device bytes go through unchanged. Towards slirp only whole frames do, escaped anew, so that
 * what slirp reads is what was checked here. Not passed on: a frame that is damaged, badly escaped or longer
 * than HIL_FRAME_MAX; over SLIP what is no IP packet of its own length (compressed headers are none); and
 * packets to slirp's own services (the .0 and .1 of its network: a control console and a shell). Any user
 * network lets a device reach what its host reaches; a shell it must not.
 *
 * stdout:  READY                                     slirp runs, every later frame will be in the file
 *          DONE packets=N damaged=N refused=N restarts=N   the file is complete and closed
 * Ends at end of file on stdin, SIGTERM, SIGINT or SIGHUP, after what is under way has been read, and when
 * the serial line ends (exit 1, after DONE). When slirp ends (it does when the device ends PPP) it is started
 * anew: a reset of the device finds a link.
 * Exit: 0 done; 1 failed (one line on stderr); 2 usage; 3 the disk is full.
 */
#ifndef HIL_UPLINK_H
#define HIL_UPLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest frame, un-escaped, its check sequence included: PPP's default MRU of 1500 and headers fit well. */
#define HIL_FRAME_MAX 2048u
#define HIL_READ_MAX  4096u

enum hil_framing { HIL_FRAMING_PPP, HIL_FRAMING_SLIP };

enum hil_frame {
    HIL_FRAME_NONE,    /* no frame ended: all bytes were taken */
    HIL_FRAME_GOOD,    /* data, len: the packet as it is written to a capture */
    HIL_FRAME_DAMAGED, /* the same, but its check sequence is wrong (PPP) */
    HIL_FRAME_NOISE    /* too short, too long, aborted, or no IP packet (SLIP): nothing to show */
};

/* Finds frames in a stream that comes in pieces of any size. Zero-initialise, then set `framing`. */
struct hil_deframer {
    enum hil_framing framing;
    bool synced;  /* a flag was seen: what came before the first one is no frame */
    bool escaped; /* the last byte was an escape */
    bool broken;  /* too long or badly escaped: skipped until the next flag */
    size_t used;
    uint8_t data[2 + HIL_FRAME_MAX]; /* two bytes of room for FF 03 */
};

/* Takes bytes up to the end of the next frame. Returns how many; *what says what ended there, and for GOOD
 * and DAMAGED *frame and *frame_len name it (inside `d`, until the next call). Flags between frames are taken
 * in silence. */
size_t hil_deframe(struct hil_deframer *d, const uint8_t *bytes, size_t len, enum hil_frame *what,
                   const uint8_t **frame, size_t *frame_len);

/* RFC 1662's check sequence; start with 0xFFFF. Over a frame and its check sequence it is 0xF0B8. */
uint16_t hil_fcs16(uint16_t fcs, const uint8_t *data, size_t len);

/* Whether a frame out of hil_deframe is an IPv4 packet (over PPP also one whose TCP header is prepared for
 * compression, RFC 1144) for slirp's own services beside `host_address` (host byte order). */
bool hil_for_slirp(enum hil_framing framing, const uint8_t *frame, size_t len, uint32_t host_address);

/* The longest frame with every byte escaped, between two flags. */
#define HIL_ENFRAMED_MAX (2u * (HIL_FRAME_MAX + 4u) + 2u)

/* A frame out of hil_deframe as bytes for the line, with its flags (and check sequence); all control
 * characters are escaped. Returns how many. `len` is at most HIL_FRAME_MAX + 2. */
size_t hil_enframe(enum hil_framing framing, const uint8_t *frame, size_t len, uint8_t out[HIL_ENFRAMED_MAX]);

/* One way of the line. Zero-initialise, then set deframer.framing, checked and host_address. */
struct hil_way {
    struct hil_deframer deframer;
    bool checked;          /* the device's: see above; else all bytes go on as they come */
    uint32_t host_address; /* host byte order */
    size_t in_at, in_used, out_used;
    uint8_t in[HIL_READ_MAX];           /* read, worked through up to in_at */
    uint8_t out[2u * HIL_ENFRAMED_MAX]; /* to be written */
};

/* Told of each frame that ended, whether it goes on or not; see hil_deframe. */
typedef void hil_on_frame(void *context, const struct hil_way *way, enum hil_frame what, const uint8_t *frame,
                          size_t len);

/* True when `in` may be filled anew: in_at = 0, in_used = what was read. */
bool hil_way_hungry(const struct hil_way *way);
/* Works through `in` as far as `out` has room. Returns how many frames were for slirp's own services. */
unsigned hil_way_work(struct hil_way *way, hil_on_frame *on_frame, void *context);
/* `n` bytes of `out` are written. */
void hil_way_written(struct hil_way *way, size_t n);
/* The other end began anew: nothing of before is left. */
void hil_way_forget(struct hil_way *way);

/* Opens the device's end, non-blocking and raw. Its descriptor, or -1 and why (a text that stays). */
int hil_serial_open(const char *path, unsigned baud, const char **why);
/* Whether there is such a rate. */
bool hil_serial_rate(unsigned baud);

/* Starts slirp on a pty of ours. Returns the master (non-blocking), and its process; -1 with errno when it
 * cannot be started (then *pid is -1). */
int hil_slirp_start(const char *program, enum hil_framing framing, uint32_t host_address, int *pid);

/* Ends and reaps it, in bounded time. */
void hil_slirp_stop(int pid);

#endif
