/* Shim: the contract between a device and the bench over one UART (docs/shim-protocol.md).
 *
 * Three levels: observe (an unmodified image, no shim at all), events (this header's hil_event_* calls),
 * command (hil_command_poll as well). The shim has no heap, waits only in hil_board_*, and fits in 6 KB of
 * code and 1 KB of RAM on Cortex-M33 (buffers for certificates belong to the client).
 */
#ifndef HIL_SHIM_H
#define HIL_SHIM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define HIL_LINE_MAX 240 /* bytes of one event line, newline included */

/* Starts at sequence 0. Call once after hil_board_init(). */
void hil_shim_init(void);

/* One event line; `fmt` gives "key=value key=value" and is printf's subset: %s (escaped), %d, %u, %x, %08x,
 * %ld, %lu, %c, %%. */
void hil_event(const char *event, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* An API's name and return code; `hex` prints -0x7780 instead of -30592. */
void hil_event_api(const char *name, long rc, int hex);

/* CRC-16/CCITT-FALSE over data; start with 0xFFFF. */
uint16_t hil_crc16(uint16_t crc, const void *data, size_t len);
/* zlib's CRC-32; start with 0. */
uint32_t hil_crc32(uint32_t crc, const void *data, size_t len);

/* What the client answers to commands. All strings are NUL-terminated and live until the call returns. */
struct hil_commands {
    /* 0, or a static reason ("unknown_key", "bad_value") which goes into `err`. */
    const char *(*set)(void *ctx, const char *key, const char *value);
    /* Where to put `len` bytes of slot `name`; NULL with *reason set when it cannot. The buffer has len + 1
     * bytes. */
    uint8_t *(*put)(void *ctx, const char *name, size_t len, const char **reason);
    /* The bytes are there; `crc` their CRC-32. */
    void (*put_done)(void *ctx, const char *name, size_t len);
    /* RUN was given: 1 is returned from hil_command_poll. */
    void *ctx;
};

/* Reads the UART for at most timeout_ms and answers what came. Returns 1 when RUN arrived, 0 otherwise,
 * negative when the UART is gone. RESET is done inside. */
int hil_command_poll(const struct hil_commands *commands, uint32_t timeout_ms);

#endif
