/* Frames and registers; sockets.c has what happens behind them. */
#include "sockets.h"

#include <string.h>

#define OM(control)    ((control)&3u)
#define WRITE(control) (((control)&4u) != 0)
#define BLOCK(control) ((control) >> 3)

static const uint8_t COMMON_RESET[][2] = {{0x19, 0x07}, {0x1A, 0xD0}, {0x1B, 0x08},
                                          {0x1C, 0x28}, {0x2E, 0xB8}, {0x39, 0x04}};

static void chip_reset(struct w5500_model *m) {
    for (unsigned n = 0; n < W5500_SOCKETS; n++)
        w5500_release(m, n);
    memset(m->common, 0, sizeof m->common);
    for (size_t i = 0; i < sizeof COMMON_RESET / sizeof *COMMON_RESET; i++)
        m->common[COMMON_RESET[i][0]] = COMMON_RESET[i][1];
    for (unsigned n = 0; n < W5500_SOCKETS; n++)
        w5500_socket_reset(&m->sockets[n]);
}

void w5500_model_init(struct w5500_model *m, const struct w5500_host *host) {
    memset(m, 0, sizeof *m);
    m->host = *host;
    m->link = true;
    chip_reset(m);
}

bool w5500_model_interrupt(struct w5500_model *m) {
    bool low = false;
    for (unsigned n = 0; n < W5500_SOCKETS; n++) {
        w5500_run(m, n);
        low = low || (((unsigned)m->common[0x18] >> n & 1u) != 0 &&
                      (m->sockets[n].reg[IR] & m->sockets[n].reg[IMR]) != 0);
    }
    return low;
}

static uint8_t read_common(struct w5500_model *m, uint16_t at) {
    if (at >= sizeof m->common) {
        m->misuse++;
        return 0;
    }
    uint8_t sir = 0;
    switch (at) {
    case 0x00:
        if (m->resetting > 0) {
            m->resetting--;
            return (uint8_t)(m->common[0] | 0x80u);
        }
        break;
    case 0x17:
        for (unsigned n = 0; n < W5500_SOCKETS; n++)
            if ((m->sockets[n].reg[IR] & m->sockets[n].reg[IMR]) != 0)
                sir = (uint8_t)(sir | 1u << n);
        return sir;
    case 0x2E: /* 100 Mbit/s, full duplex, when there is a link */
        return (uint8_t)((m->common[at] & 0xF8u) | (m->link ? 7u : 0u));
    default:
        break;
    }
    return m->common[at];
}

static void write_common(struct w5500_model *m, uint16_t at, uint8_t value) {
    if (at >= sizeof m->common || at == 0x17 || at == 0x39 || (at >= 0x28 && at <= 0x2D)) {
        m->misuse++; /* reserved or read-only */
    } else if (at == 0x00 && (value & 0x80u) != 0) {
        chip_reset(m);
        m->resetting = 1;
    } else if (at == 0x15) {
        m->common[at] &= (uint8_t)~value;
    } else if (at == 0x2E) {
        m->common[at] = value & 0xF8u;
    } else {
        m->common[at] = value;
    }
}

static uint8_t *memory(struct w5500_model *m, unsigned block, uint16_t at) {
    bool rx = block % 4 == 3;
    uint32_t base = 0, size = w5500_size(m, block / 4, rx);
    if (size == 0)
        return NULL;
    for (unsigned n = 0; n < block / 4; n++)
        base += w5500_size(m, n, rx);
    return (rx ? m->rx : m->tx) + ((base + at % size) % W5500_MEMORY);
}

uint8_t *w5500_rx_at(struct w5500_model *m, unsigned n, uint16_t at) {
    return memory(m, n * 4 + 3, at);
}

uint8_t *w5500_tx_at(struct w5500_model *m, unsigned n, uint16_t at) {
    return memory(m, n * 4 + 2, at);
}

static uint8_t byte_read(struct w5500_model *m, unsigned block, uint16_t at) {
    if (block == 0)
        return read_common(m, at);
    if (block % 4 == 1)
        return w5500_reg_read(m, block / 4, at);
    uint8_t *place = block % 4 == 0 ? NULL : memory(m, block, at);
    if (place == NULL)
        m->misuse++;
    return place != NULL ? *place : 0;
}

static void byte_written(struct w5500_model *m, unsigned block, uint16_t at, uint8_t value) {
    if (block == 0) {
        write_common(m, at, value);
    } else if (block % 4 == 1) {
        w5500_reg_write(m, block / 4, at, value);
    } else {
        uint8_t *place = block % 4 == 0 ? NULL : memory(m, block, at);
        if (place == NULL)
            m->misuse++;
        else
            *place = value;
    }
}

void w5500_model_select(struct w5500_model *m, bool low) {
    m->selected = low;
    m->header_len = 0;
}

/* The header is complete: the world moves on before the registers are looked at. */
static void begin(struct w5500_model *m) {
    unsigned block = BLOCK(m->header[2]);
    m->at = (uint16_t)(m->header[0] << 8 | m->header[1]);
    m->fixed_left = OM(m->header[2]) == 3 ? 4 : OM(m->header[2]);
    if (block != 0) {
        w5500_run(m, block / 4);
        return;
    }
    for (unsigned n = 0; n < W5500_SOCKETS; n++)
        w5500_run(m, n);
}

static uint8_t clocked(struct w5500_model *m, uint8_t out) {
    uint8_t in = 0;
    if (m->header_len < sizeof m->header) {
        m->header[m->header_len++] = out;
        if (m->header_len == sizeof m->header)
            begin(m);
        return (uint8_t)m->header_len;
    }
    unsigned block = BLOCK(m->header[2]);
    if (WRITE(m->header[2]))
        byte_written(m, block, m->at, out);
    else
        in = byte_read(m, block, m->at);
    m->at++;
    if (m->fixed_left > 0 && --m->fixed_left == 0) /* fixed length: the next header follows */
        m->header_len = 0;
    return in;
}

void w5500_model_exchange(struct w5500_model *m, const uint8_t *out, uint8_t *in, size_t len) {
    if (!m->selected)
        m->misuse++;
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = m->selected && !m->dead ? clocked(m, out != NULL ? out[i] : 0) : 0;
        if (in != NULL)
            in[i] = byte;
    }
}
