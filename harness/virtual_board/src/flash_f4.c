/* The flash controller of STM32F4: RM0090 chapter 3, RM0368 chapter 3. */
#include "board.h"

#define KEY1     0x45670123u
#define KEY2     0xCDEF89ABu
#define OPTKEY1  0x08192A3Bu
#define OPTKEY2  0x4C5D6E7Fu
#define KEY_OPEN 2
#define KEY_DEAD 0xFF /* a wrong key locks until the next reset (3.5.1) */

#define SR_WRPERR (1u << 4)
#define SR_PGAERR (1u << 5)
#define SR_PGPERR (1u << 6)
#define SR_PGSERR (1u << 7)
#define SR_ERRORS (SR_WRPERR | SR_PGAERR | SR_PGPERR | SR_PGSERR)
#define SR_CLEAR  (SR_ERRORS | 1u | 1u << 1) /* EOP, OPERR */
#define SR_BSY    (1u << 16)

#define CR_PG     (1u << 0)
#define CR_SER    (1u << 1)
#define CR_MER    (1u << 2)
#define CR_MER1   (1u << 15)
#define CR_STRT   (1u << 16)
#define CR_LOCK   (1u << 31)
#define CR_STORED 0x030083FFu

#define OPT_LOCK     (1u << 0)
#define OPT_START    (1u << 1)
#define OPT_STORED   0xFFFFFFECu
#define OPT_DEFAULT  0x0FFFAAECu
#define OPT1_DEFAULT 0x0FFF0000u
#define RDP_0        0xAAu
#define RDP_2        0xCCu

enum { ACR = 0x00, KEYR = 0x04, OPTKEYR = 0x08, SR = 0x0C, CR = 0x10, OPTCR = 0x14, OPTCR1 = 0x18 };
enum { BUSY_PROGRAM = 1, BUSY_ERASE = 3 };

static const uint8_t sector_kb[12] = {16, 16, 16, 16, 64, 128, 128, 128, 128, 128, 128, 128};

static bool two_banks(const struct hil_board *board) {
    return board->part->flash_size > 1024 * 1024;
}

/* Where sector `number` (12–23: bank 2) lies; false: the part has no such sector. */
static bool sector(const struct hil_board *board, unsigned number, uint32_t *offset, uint32_t *size) {
    uint32_t at = number >= 12 ? 1024 * 1024 : 0;
    unsigned index = number >= 12 ? number - 12 : number;
    if (index >= 12 || (number >= 12 && !two_banks(board))) {
        return false;
    }
    for (unsigned i = 0; i < index; i++) {
        at += sector_kb[i] * 1024u;
    }
    *offset = at;
    *size = sector_kb[index] * 1024u;
    return at + *size <= board->part->flash_size;
}

static unsigned sector_of(const struct hil_board *board, uint32_t offset) {
    uint32_t at = 0, size = 0;
    for (unsigned i = 0; i < 24; i++) {
        if (sector(board, i, &at, &size) && offset >= at && offset - at < size) {
            return i;
        }
    }
    return 0;
}

int hil_f4_rdp_level(const struct hil_board *board) {
    uint32_t rdp = board->f4.options >> 8 & 0xFF;
    return rdp == RDP_0 ? 0 : rdp == RDP_2 ? 2 : 1;
}

/* nWRP: a cleared bit protects its sector. Level 1 protects all of them while a debugger is there. */
static bool is_protected(const struct hil_board *board, unsigned number) {
    const struct hil_flash_f4 *f = &board->f4;
    uint32_t mask = number < 12 ? f->options : f->options1;
    return (mask >> (16 + number % 12) & 1) == 0 || hil_f4_rdp_level(board) > 0;
}

void hil_f4_default_options(struct hil_board *board) {
    board->f4.options = OPT_DEFAULT;
    board->f4.options1 = OPT1_DEFAULT;
}

void hil_f4_reload_options(struct hil_board *board) {
    board->f4.optcr = board->f4.options | OPT_LOCK;
    board->f4.optcr1 = board->f4.options1;
}

void hil_f4_reset(struct hil_board *board) {
    struct hil_flash_f4 *f = &board->f4;
    uint32_t options = f->options, options1 = f->options1;
    *f = (struct hil_flash_f4){.cr = CR_LOCK, .options = options, .options1 = options1};
    hil_f4_reload_options(board);
}

uint32_t hil_f4_read(struct hil_board *board, uint32_t offset) {
    struct hil_flash_f4 *f = &board->f4;
    switch (offset) {
    case ACR:
        return f->acr;
    case SR: {
        uint32_t sr = f->sr;
        if (f->busy > 0 || board->effects.bsy) {
            sr |= SR_BSY;
            f->busy = f->busy > 0 ? (uint8_t)(f->busy - 1) : 0;
            board->core.activity = true;
        }
        return sr;
    }
    case CR:
        return f->cr;
    case OPTCR:
        return f->optcr;
    case OPTCR1:
        return two_banks(board) ? f->optcr1 : 0;
    default:
        return 0;
    }
}

/* One key of a pair; a wrong one is fatal until reset. */
static void take_key(uint8_t *step, uint32_t value, uint32_t first, uint32_t second) {
    if (*step == 0 && value == first) {
        *step = 1;
    } else if (*step == 1 && value == second) {
        *step = KEY_OPEN;
    } else {
        *step = KEY_DEAD;
    }
}

static void erase_one(struct hil_board *board, unsigned number) {
    uint32_t offset = 0, size = 0;
    if (!sector(board, number, &offset, &size)) {
        board->f4.sr |= SR_PGSERR;
    } else if (is_protected(board, number)) {
        board->f4.sr |= SR_WRPERR;
    } else {
        hil_flash_erase(board, offset, size);
    }
}

static bool any_protected(const struct hil_board *board, unsigned first) {
    for (unsigned i = first; i < first + 12; i++) {
        if (is_protected(board, i)) {
            return true;
        }
    }
    return false;
}

static void erase_bank(struct hil_board *board, unsigned bank) {
    if (any_protected(board, bank * 12)) {
        board->f4.sr |= SR_WRPERR;
        return;
    }
    uint32_t size = two_banks(board) ? board->part->flash_size / 2 : board->part->flash_size;
    hil_flash_erase(board, bank * size, size);
}

static void start(struct hil_board *board) {
    struct hil_flash_f4 *f = &board->f4;
    f->busy = BUSY_ERASE;
    if ((f->cr & (CR_MER | CR_MER1)) != 0) {
        if ((f->cr & CR_MER) != 0) {
            erase_bank(board, 0);
        }
        if ((f->cr & CR_MER1) != 0 && two_banks(board)) {
            erase_bank(board, 1);
        }
    } else if ((f->cr & CR_SER) != 0) {
        unsigned number = f->cr >> 3 & 0x1F; /* 0–11, 16–27 for bank 2 (3.9.7) */
        erase_one(board, number >= 16 ? number - 4 : number >= 12 ? 99 : number);
    } else {
        f->sr |= SR_PGSERR;
    }
}

static void write_cr(struct hil_board *board, uint32_t value) {
    struct hil_flash_f4 *f = &board->f4;
    if ((f->cr & CR_LOCK) != 0 || board->effects.bsy) {
        return;
    }
    f->cr = value & CR_STORED;
    if ((value & CR_LOCK) != 0) {
        f->cr |= CR_LOCK;
        f->key_step = 0;
    } else if ((value & CR_STRT) != 0) {
        start(board);
    }
}

/* Level 1 → 0 erases the flash first; level 2 is for ever (3.6.3). */
static void program_options(struct hil_board *board) {
    struct hil_flash_f4 *f = &board->f4;
    int before = hil_f4_rdp_level(board);
    if (before == 2) {
        f->sr |= SR_WRPERR;
        return;
    }
    f->options = f->optcr & OPT_STORED;
    f->options1 = f->optcr1;
    f->busy = BUSY_ERASE;
    if (before == 1 && hil_f4_rdp_level(board) == 0) {
        hil_flash_erase(board, 0, board->part->flash_size);
        hil_board_log(board, "read protection lifted: flash erased");
    }
}

static void write_optcr(struct hil_board *board, uint32_t value) {
    struct hil_flash_f4 *f = &board->f4;
    if ((f->optcr & OPT_LOCK) != 0) {
        return;
    }
    f->optcr = value & OPT_STORED;
    if ((value & OPT_START) != 0) {
        program_options(board);
    }
    if ((value & OPT_LOCK) != 0) {
        f->optcr |= OPT_LOCK;
        f->optkey_step = 0;
    }
}

void hil_f4_write(struct hil_board *board, uint32_t offset, uint32_t value) {
    struct hil_flash_f4 *f = &board->f4;
    switch (offset) {
    case ACR:
        f->acr = value & 0x1F0Fu;
        break;
    case KEYR:
        take_key(&f->key_step, value, KEY1, KEY2);
        if (f->key_step == KEY_OPEN) {
            f->cr &= ~CR_LOCK;
        } else if (f->key_step == KEY_DEAD) {
            f->cr |= CR_LOCK;
        }
        break;
    case OPTKEYR:
        take_key(&f->optkey_step, value, OPTKEY1, OPTKEY2);
        if (f->optkey_step == KEY_OPEN) {
            f->optcr &= ~OPT_LOCK;
        } else if (f->optkey_step == KEY_DEAD) {
            f->optcr |= OPT_LOCK;
        }
        break;
    case SR:
        f->sr &= ~(value & SR_CLEAR);
        break;
    case CR:
        write_cr(board, value);
        break;
    case OPTCR:
        write_optcr(board, value);
        break;
    case OPTCR1:
        if ((f->optcr & OPT_LOCK) == 0) {
            f->optcr1 = value & OPT1_DEFAULT;
        }
        break;
    default:
        break;
    }
}

void hil_f4_program(struct hil_board *board, uint32_t offset, unsigned size, uint32_t value) {
    struct hil_flash_f4 *f = &board->f4;
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                        (uint8_t)(value >> 24)};
    uint32_t error = board->effects.flash_error;
    if ((f->cr & CR_PG) == 0) {
        error |= SR_PGSERR;
    } else if ((offset & (size - 1)) != 0) {
        error |= SR_PGAERR;
    } else if (1u << (f->cr >> 8 & 3) != size) {
        error |= SR_PGPERR;
    } else if (is_protected(board, sector_of(board, offset))) {
        error |= SR_WRPERR;
    }
    f->sr |= error;
    f->busy = BUSY_PROGRAM;
    board->core.activity = true;
    if (error == 0) {
        hil_flash_store(board, offset, bytes, size);
    }
}
