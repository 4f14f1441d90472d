/* Event lines of the shim (docs/shim-protocol.md). Commands are in command.c. */
#include "hil/shim.h"

#include "format.h"
#include "hil/board.h"

#include <string.h>

#define TAIL_LEN 6u /* "*crc4\n" */

static uint32_t sequence;

uint16_t hil_crc16(uint16_t crc, const void *data, size_t len) {
    const uint8_t *at = data;
    while (len-- > 0) {
        crc = (uint16_t)(crc ^ (uint16_t)(*at++ << 8));
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)((crc & 0x8000u) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

uint32_t hil_crc32(uint32_t crc, const void *data, size_t len) {
    const uint8_t *at = data;
    crc = ~crc;
    while (len-- > 0) {
        crc ^= *at++;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? (crc >> 1) ^ 0xEDB88320u : crc >> 1;
    }
    return ~crc;
}

void hil_shim_init(void) {
    sequence = 0;
}

void hil_event(const char *event, const char *fmt, ...) {
    char line[HIL_LINE_MAX];
    struct hil_text text = {.data = line, .cap = sizeof line - TAIL_LEN - 1};
    hil_text_string(&text, "@H1 ");
    hil_text_number(&text, sequence++, 10, 0);
    hil_text_bytes(&text, " ", 1);
    hil_text_number(&text, hil_board_ms(), 10, 0);
    hil_text_bytes(&text, " ", 1);
    hil_text_string(&text, event);
    if (fmt != NULL && *fmt != '\0') {
        va_list args;
        hil_text_bytes(&text, " ", 1);
        va_start(args, fmt);
        hil_text_format(&text, fmt, args);
        va_end(args);
    }
    /* A line that was too long loses its end, never its checksum. */
    text.full = false;
    text.cap = sizeof line;
    if (text.data[text.len - 1] != ' ')
        hil_text_bytes(&text, " ", 1);
    uint16_t crc = hil_crc16(0xFFFF, line, text.len);
    hil_text_bytes(&text, "*", 1);
    hil_text_number(&text, crc, 16, 4);
    hil_text_bytes(&text, "\n", 1);
    hil_board_uart_write(line, text.len);
}

void hil_event_api(const char *name, long rc, int hex) {
    if (hex != 0 && rc < 0)
        hil_event("api", "name=%s rc=-0x%04lx", name, (unsigned long)-rc);
    else
        hil_event("api", "name=%s rc=%ld", name, rc);
}
