/* hil-capture: one interface into one pcapng file, live when it says so, complete when it ends.
 *
 *   hil-capture -i IFACE -o OUT.pcapng [-f FILTER] [-c COMMENT] [-b MEGABYTES]
 *
 * FILTER is libpcap's language. COMMENT goes into the interface block (it names the run). -b: ring size,
 * default 16: larger rings can take hundreds of milliseconds to map, smaller ones lose packets.
 *
 * stdout:  READY                        every later packet that matches will be in the file
 *          DONE packets=N dropped=N     the file is complete and closed
 * Ends at end of file on stdin, SIGTERM, SIGINT or SIGHUP: then what the kernel still holds is read first.
 * Exit: 0 done; 1 cannot capture (one line on stderr); 2 usage; 3 the disk is full or a file limit was
 * reached (what was captured until then is a readable file).
 *
 * How it knows. On loopback it sends datagrams to itself, one per processor, that its own filter lets
 * through: READY is printed when one has come back through the ring, and the end is reached when those sent
 * after the stop have come back. A packet sent before the stop is queued before them, so it is in the file;
 * it does not depend on time. These datagrams are not written. On other interfaces READY means activated and
 * filtered, and the ring is read until it has been silent for QUIET_MS.
 *
 * Loopback shows each packet twice to a packet socket, going out and coming in. Only the latter passes our
 * filter, in the kernel: each packet is in the file once, takes one place in the ring, and the drop counter
 * counts packets.
 *
 * Immediate mode keeps one fixed slot per packet. Where slots would have to be large (loopback with MTU
 * 65536, segmentation offload) a ring would hold a few hundred packets, so blocks with a BLOCK_MS time-out
 * are used instead.
 */
#ifndef HIL_CAPTURE_H
#define HIL_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HIL_CAPTURE_FAILED = 1, HIL_CAPTURE_USAGE = 2, HIL_CAPTURE_DISK_FULL = 3 };

#define HIL_SNAPLEN 262144u

/* Writes pcapng: section header, one interface with nanosecond times, packets, statistics. Blocks are
 * buffered whole; a file that cannot be written to its end is cut back to the last whole block. */
struct hil_pcapng {
    int fd;
    uint8_t *buffer;
    size_t used;
    uint64_t size; /* bytes in the file */
    int error;     /* errno of the first failed write, then nothing is written any more */
};

/* Creates `path` and writes the headers. `link` is LINKTYPE_*. Returns 0 or -1 with errno. */
int hil_pcapng_open(struct hil_pcapng *file, const char *path, uint16_t link, const char *interface,
                    const char *filter, const char *comment);

/* Appends one packet; `ns` since 1970; data of `captured` bytes out of `length` on the wire. Returns 0 or -1.
 */
int hil_pcapng_packet(struct hil_pcapng *file, uint64_t ns, const void *data, uint32_t captured,
                      uint32_t length);

/* The same with the packet's flags (section 4.3.1: direction, errors of the link layer). */
int hil_pcapng_packet_flags(struct hil_pcapng *file, uint64_t ns, const void *data, uint32_t captured,
                            uint32_t length, uint32_t flags);

/* Interface statistics: capture from start_ns to end_ns, packets received and dropped. Returns 0 or -1. */
int hil_pcapng_statistics(struct hil_pcapng *file, uint64_t start_ns, uint64_t end_ns, uint64_t received,
                          uint64_t dropped);

/* Hands everything buffered to the kernel. Returns 0 or -1. */
int hil_pcapng_flush(struct hil_pcapng *file);

/* Flushes, closes, frees. Returns 0, or the errno of the first failure. */
int hil_pcapng_close(struct hil_pcapng *file);

/* Datagrams to ourselves through loopback, in order behind everything sent before them on the same processor.
 */
struct hil_marker {
    int fd;
    uint16_t port;
    uint32_t round;   /* of the datagrams waited for */
    unsigned waiting; /* how many of this round have not come back */
    unsigned seen;    /* how many came back, of any round */
};

/* Opens the socket. Returns 0 or -1 with errno. */
int hil_marker_open(struct hil_marker *marker);
void hil_marker_close(struct hil_marker *marker);

/* Starts a new round: one datagram from this processor, or from each one we may run on. Returns 0 or -1. */
int hil_marker_send(struct hil_marker *marker, bool every_cpu);

/* Whether an Ethernet frame is one of ours, of any round; counts it if it is of this one. */
bool hil_marker_take(struct hil_marker *marker, const uint8_t *frame, size_t length);

#endif
