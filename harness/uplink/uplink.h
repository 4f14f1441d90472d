/* hil-uplink: a device's network over a serial line, with nothing but a user's rights.
 *
 *   hil-uplink --serial PATH --mode ppp|slip --out FILE.pcapng [--slirp slirp-fullbolt]
 *              [--host-address 10.0.2.2] [--baud 115200] [--comment TEXT]
 *
 * PATH is a serial device, a pty or a Unix stream socket behind which a device speaks PPP (RFC 1662) or SLIP
 * (RFC 1055). slirp ends that link on a pty of ours and carries the device's TCP and UDP on with sockets of
 * this host: the device is 10.0.2.15, the host's loopback is --host-address. Bytes go through unchanged; what
 * passes is de-framed on the way and written, in host time, with its direction:
 *
 *   ppp    LINKTYPE_PPP_HDLC. FF 03 is put back where address and control were compressed away, the frame
 * check sequence is checked and left out. A frame that fails it is written with the CRC error flag of pcapng,
 *          so that readers know that its receiver dropped it.
 *   slip   LINKTYPE_RAW. Only what is a whole IP packet is written.
 *
 * Packets of the device to slirp's own services (the .0 and .1 of its network: a control console and a shell)
 * are not passed on. Any user network lets a device reach what its host reaches; a shell it must not.
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

/* Whether a frame out of hil_deframe is an IPv4 packet for slirp's own services beside `host_address` (host
 * byte order). */
bool hil_for_slirp(enum hil_framing framing, const uint8_t *frame, size_t len, uint32_t host_address);

/* Starts slirp on a pty of ours. Returns the master (non-blocking), and its process; -1 with errno when it
 * cannot be started. */
int hil_slirp_start(const char *program, enum hil_framing framing, uint32_t host_address, int *pid);

/* Ends and reaps it, in bounded time. */
void hil_slirp_stop(int pid);

#endif
