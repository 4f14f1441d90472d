/* The flash controller of STM32H563, its non-secure half: RM0481 chapter 7. TrustZone is off (TZEN = 0xC3).
 * The secure registers read 0. Programming a word that is not erased only clears bits here; on silicon it
 * also breaks the ECC of that word. */
#include "board.h"

#include <string.h>

#define KEY1     0x45670123u
#define KEY2     0xCDEF89ABu
#define OPTKEY1  0x08192A3Bu
#define OPTKEY2  0x4C5D6E7Fu
#define KEY_OPEN 2
#define KEY_DEAD 0xFF

#define SR_BSY    (1u << 0)
#define SR_WBNE   (1u << 1)
#define SR_EOP    (1u << 16)
#define SR_WRPERR (1u << 17)
#define SR_PGSERR (1u << 18)
#define SR_INCERR (1u << 20)
#define SR_FLAGS  0x00FF0000u

#define CR_LOCK   (1u << 0)
#define CR_PG     (1u << 1)
#define CR_SER    (1u << 2)
#define CR_BER    (1u << 3)
#define CR_FW     (1u << 4)
#define CR_STRT   (1u << 5)
#define CR_MER    (1u << 15)
#define CR_BKSEL  (1u << 31)
#define CR_STORED 0x80FF9FCFu

#define OPT_LOCK      (1u << 0)
#define OPT_START     (1u << 1)
#define STATE_OPEN    0xEDu
#define STATE_CLOSED  0x72u
#define OPTSR_DEFAULT (0x00300000u | STATE_OPEN << 8 | 0xF8u)

#define WORD   16u
#define SECTOR (8u * 1024)
#define GROUP  (4u * SECTOR) /* one bit of WRP */

enum {
    ACR = 0x00,
    NSKEYR = 0x04,
    OPTKEYR = 0x0C,
    OPTCR = 0x1C,
    NSSR = 0x20,
    NSCR = 0x28,
    NSCCR = 0x30,
    OPTSR_CUR = 0x50,
    OPTSR_PRG = 0x54,
    WRP1_CUR = 0xE8,
    WRP1_PRG = 0xEC,
    WRP2_CUR = 0x1E8,
    WRP2_PRG = 0x1EC,
};
enum { BUSY_PROGRAM = 1, BUSY_ERASE = 3 };

bool hil_h5_closed(const struct hil_board *board) {
    return (board->h5.optsr >> 8 & 0xFF) == STATE_CLOSED;
}

void hil_h5_default_options(struct hil_board *board) {
    board->h5.optsr = OPTSR_DEFAULT;
    board->h5.wrp[0] = UINT32_MAX;
    board->h5.wrp[1] = UINT32_MAX;
}

void hil_h5_reload_options(struct hil_board *board) {
    struct hil_flash_h5 *f = &board->h5;
    f->optsr_prg = f->optsr;
    f->wrp_prg[0] = f->wrp[0];
    f->wrp_prg[1] = f->wrp[1];
    f->optcr = OPT_LOCK;
}

void hil_h5_reset(struct hil_board *board) {
    struct hil_flash_h5 keep = board->h5;
    board->h5 =
        (struct hil_flash_h5){.nscr = CR_LOCK, .optsr = keep.optsr, .wrp = {keep.wrp[0], keep.wrp[1]}};
    hil_h5_reload_options(board);
}

uint32_t hil_h5_read(struct hil_board *board, uint32_t offset) {
    struct hil_flash_h5 *f = &board->h5;
    switch (offset) {
    case ACR:
        return f->acr;
    case OPTCR:
        return f->optcr;
    case NSSR: {
        uint32_t sr = f->nssr | (f->filled != 0 ? SR_WBNE : 0);
        if (f->busy > 0 || board->effects.bsy) {
            sr |= SR_BSY;
            f->busy = f->busy > 0 ? (uint8_t)(f->busy - 1) : 0;
            board->core.activity = true;
        }
        return sr;
    }
    case NSCR:
        return f->nscr;
    case OPTSR_CUR:
        return f->optsr;
    case OPTSR_PRG:
        return f->optsr_prg;
    case WRP1_CUR:
        return f->wrp[0];
    case WRP1_PRG:
        return f->wrp_prg[0];
    case WRP2_CUR:
        return f->wrp[1];
    case WRP2_PRG:
        return f->wrp_prg[1];
    default:
        return 0;
    }
}

static bool is_protected(const struct hil_board *board, uint32_t offset) {
    uint32_t bank = board->part->flash_size / 2;
    return (board->h5.wrp[offset / bank] >> (offset % bank / GROUP % 32) & 1) == 0;
}

static void erase(struct hil_board *board, uint32_t offset, uint32_t n) {
    for (uint32_t at = offset; at < offset + n; at += GROUP) {
        if (is_protected(board, at)) {
            board->h5.nssr |= SR_WRPERR;
            return;
        }
    }
    hil_flash_erase(board, offset, n);
    board->h5.nssr |= SR_EOP;
}

static void start(struct hil_board *board) {
    struct hil_flash_h5 *f = &board->h5;
    uint32_t bank = (f->nscr & CR_BKSEL) != 0 ? board->part->flash_size / 2 : 0;
    f->busy = BUSY_ERASE;
    if ((f->nscr & CR_MER) != 0) {
        erase(board, 0, board->part->flash_size);
    } else if ((f->nscr & CR_BER) != 0) {
        erase(board, bank, board->part->flash_size / 2);
    } else if ((f->nscr & CR_SER) != 0) {
        erase(board, bank + (f->nscr >> 6 & 0x7F) * SECTOR, SECTOR);
    } else {
        f->nssr |= SR_PGSERR;
    }
}

/* The write buffer is full, or forced (FW): what was not written stays erased. */
static void commit(struct hil_board *board) {
    struct hil_flash_h5 *f = &board->h5;
    uint8_t bytes[WORD];
    uint32_t row = f->row;
    if (f->filled == 0) {
        return;
    }
    memcpy(bytes, f->buffer, sizeof bytes);
    f->filled = 0;
    f->busy = BUSY_PROGRAM;
    if (is_protected(board, row)) {
        f->nssr |= SR_WRPERR;
        return;
    }
    f->nssr |= SR_EOP;
    hil_flash_store(board, row, bytes, WORD);
}

static void write_nscr(struct hil_board *board, uint32_t value) {
    struct hil_flash_h5 *f = &board->h5;
    if ((f->nscr & CR_LOCK) != 0 || board->effects.bsy) {
        return;
    }
    f->nscr = value & CR_STORED;
    if ((value & CR_LOCK) != 0) {
        f->key_step = 0;
    } else if ((value & CR_STRT) != 0) {
        start(board);
    } else if ((value & CR_FW) != 0) {
        commit(board);
    }
}

static void take_key(uint8_t *step, uint32_t value, uint32_t first, uint32_t second) {
    if (*step == 0 && value == first) {
        *step = 1;
    } else if (*step == 1 && value == second) {
        *step = KEY_OPEN;
    } else {
        *step = KEY_DEAD;
    }
}

/* Leaving the closed state goes by a regression that erases all (RM0481 7.6); only that is modelled. */
static void program_options(struct hil_board *board) {
    struct hil_flash_h5 *f = &board->h5;
    bool closed = hil_h5_closed(board);
    f->optsr = f->optsr_prg;
    f->wrp[0] = f->wrp_prg[0];
    f->wrp[1] = f->wrp_prg[1];
    f->busy = BUSY_ERASE;
    if (closed && !hil_h5_closed(board)) {
        hil_flash_erase(board, 0, board->part->flash_size);
    }
}

void hil_h5_write(struct hil_board *board, uint32_t offset, uint32_t value) {
    struct hil_flash_h5 *f = &board->h5;
    bool open = (f->optcr & OPT_LOCK) == 0;
    switch (offset) {
    case ACR:
        f->acr = value;
        break;
    case NSKEYR:
        take_key(&f->key_step, value, KEY1, KEY2);
        f->nscr = f->key_step == KEY_OPEN ? f->nscr & ~CR_LOCK : f->nscr | CR_LOCK;
        break;
    case OPTKEYR:
        take_key(&f->optkey_step, value, OPTKEY1, OPTKEY2);
        f->optcr = f->optkey_step == KEY_OPEN ? f->optcr & ~OPT_LOCK : f->optcr | OPT_LOCK;
        break;
    case NSCR:
        write_nscr(board, value);
        break;
    case NSCCR:
        f->nssr &= ~(value & SR_FLAGS);
        break;
    case OPTCR:
        if (open && (value & OPT_START) != 0) {
            program_options(board);
        }
        if ((value & OPT_LOCK) != 0) {
            f->optcr |= OPT_LOCK;
            f->optkey_step = 0;
        }
        break;
    case OPTSR_PRG:
        f->optsr_prg = open ? value : f->optsr_prg;
        break;
    case WRP1_PRG:
        f->wrp_prg[0] = open ? value : f->wrp_prg[0];
        break;
    case WRP2_PRG:
        f->wrp_prg[1] = open ? value : f->wrp_prg[1];
        break;
    default:
        break;
    }
}

void hil_h5_program(struct hil_board *board, uint32_t offset, unsigned size, uint32_t value) {
    struct hil_flash_h5 *f = &board->h5;
    uint32_t error = board->effects.flash_error;
    board->core.activity = true;
    if ((f->nscr & (CR_PG | CR_LOCK)) != CR_PG) {
        error |= SR_PGSERR;
    } else if ((offset & (size - 1)) != 0 || (f->filled != 0 && offset / WORD != f->row / WORD)) {
        error |= SR_INCERR;
    }
    f->nssr |= error;
    if (error != 0) {
        f->filled = 0;
        return;
    }
    if (f->filled == 0) {
        f->row = offset & ~(WORD - 1);
        memset(f->buffer, 0xFF, sizeof f->buffer);
    }
    memcpy(f->buffer + offset % WORD, &value, size);
    f->filled |= (uint16_t)(((1u << size) - 1) << offset % WORD);
    if (f->filled == 0xFFFF) {
        commit(board);
    }
}
