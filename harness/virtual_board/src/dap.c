/* JTAG-DP and MEM-AP, ADIv5 (ARM IHI 0031C chapters 2, 3, 7). */
#include "board.h"

enum { ACK_WAIT = 1, ACK_OK = 2 };

#define ORUNDETECT  (1u << 0)
#define STICKYORUN  (1u << 1)
#define STICKYCMP   (1u << 4)
#define STICKYERR   (1u << 5)
#define PWRUP_REQ   (1u << 28 | 1u << 30)
#define PWRUP_ACK   (1u << 29 | 1u << 31)
#define CTRL_WRITES 0x54000F0Du /* requests, MASKLANE, TRNMODE, ORUNDETECT */

#define CSW_SIZE    0x7u
#define CSW_INC     0x30u
#define CSW_SINGLE  0x10u
#define CSW_PACKED  0x20u
#define CSW_ENABLED (1u << 6)
#define CSW_RESET   (0x23000000u | CSW_ENABLED)

enum { DP_CTRL = 0x4, DP_SELECT = 0x8, DP_RDBUFF = 0xC };
enum {
    AP_CSW = 0x00,
    AP_TAR = 0x04,
    AP_DRW = 0x0C,
    AP_BD0 = 0x10,
    AP_BD3 = 0x1C,
    AP_BASE = 0xF8,
    AP_IDR = 0xFC
};

void hil_dap_power_on(struct hil_board *board) {
    board->dap = (struct hil_dap){.csw = CSW_RESET};
}

static bool has_power(const struct hil_dap *dap) {
    return (dap->ctrl_stat & PWRUP_REQ) == PWRUP_REQ;
}

static void sticky_error(struct hil_board *board) {
    board->dap.ctrl_stat |= STICKYERR;
}

/* Where the access goes; TAR steps on within its block. */
static uint32_t step_tar(struct hil_board *board, unsigned size) {
    struct hil_dap *dap = &board->dap;
    uint32_t at = dap->tar, block = board->part->tar_wrap - 1;
    if ((dap->csw & CSW_INC) != 0) {
        dap->tar = (at & ~block) | ((at + size) & block);
    }
    return at;
}

/* DRW: one access, or as many as fit into a word when packed. Bytes travel in the lane of their address. */
static bool transfer_drw(struct hil_board *board, bool read, uint32_t *word) {
    unsigned size = 1u << ((board->dap.csw & CSW_SIZE) > 2 ? 2 : board->dap.csw & CSW_SIZE);
    unsigned count = (board->dap.csw & CSW_INC) == CSW_PACKED ? 4 / size : 1;
    uint32_t mask = size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;
    uint32_t result = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t address = step_tar(board, size) & ~(size - 1);
        unsigned lane = (address & 3) * 8;
        uint32_t value = *word >> lane & mask;
        if (!(read ? hil_bus_read(board, HIL_DEBUGGER, address, size, &value)
                   : hil_bus_write(board, HIL_DEBUGGER, address, size, value))) {
            return false;
        }
        result |= (value & mask) << lane;
    }
    if (read) {
        *word = result;
    }
    return true;
}

static bool transfer(struct hil_board *board, unsigned reg, bool read, uint32_t *word) {
    if (board->effects.ap_fault || (board->part->family == HIL_H5 && hil_h5_closed(board))) {
        return false;
    }
    if (reg == AP_DRW) {
        return transfer_drw(board, read, word);
    }
    uint32_t address = (board->dap.tar & ~0xFu) | (reg - AP_BD0);
    return read ? hil_bus_read(board, HIL_DEBUGGER, address, 4, word)
                : hil_bus_write(board, HIL_DEBUGGER, address, 4, *word);
}

static void ap_access(struct hil_board *board, bool read, unsigned address, uint32_t value) {
    struct hil_dap *dap = &board->dap;
    unsigned reg = (dap->select & 0xF0) | address;
    uint32_t result = 0;
    if (!has_power(dap)) {
        sticky_error(board);
        return;
    }
    if (dap->select >> 24 != board->part->ap) {
        dap->rdbuff = 0; /* no AP there: IDR 0 */
        return;
    }
    if (reg == AP_DRW || (reg >= AP_BD0 && reg <= AP_BD3)) {
        result = value;
        if (board->effects.ap_wait) {
            dap->stuck = true;
            return;
        }
        if (!transfer(board, reg, read, &result)) {
            sticky_error(board);
            result = 0;
        }
    } else if (reg == AP_CSW) {
        result = dap->csw;
        if (!read) {
            bool reserved = (value & CSW_SIZE) > 2 || (value & CSW_INC) == CSW_INC;
            dap->csw = (reserved ? (value & ~(CSW_SIZE | CSW_INC)) | 2 : value) | CSW_ENABLED;
            dap->csw &= ~(1u << 7);
        }
    } else if (reg == AP_TAR) {
        result = dap->tar;
        if (!read) {
            dap->tar = value;
        }
    } else if (reg == AP_BASE) {
        result = 0xE00FF003;
    } else if (reg == AP_IDR) {
        result = board->part->ap_idr;
    }
    if (read) {
        dap->rdbuff = result;
    }
}

static void dp_access(struct hil_dap *dap, bool read, unsigned address, uint32_t value) {
    if (read) {
        if (address == DP_CTRL) {
            dap->rdbuff = dap->ctrl_stat;
        } else if (address == DP_SELECT) {
            dap->rdbuff = dap->select;
        } else if (address != DP_RDBUFF) {
            dap->rdbuff = 0;
        }
        return;
    }
    if (address == DP_CTRL) {
        uint32_t sticky = dap->ctrl_stat & (STICKYORUN | STICKYCMP | STICKYERR) & ~value;
        uint32_t requests = value & CTRL_WRITES;
        dap->ctrl_stat = requests | (requests & PWRUP_REQ) << 1 | sticky;
    } else if (address == DP_SELECT) {
        dap->select = value;
    }
}

unsigned hil_dap_capture(struct hil_board *board, bool ap, uint32_t *value) {
    struct hil_dap *dap = &board->dap;
    (void)ap;
    if (dap->stuck) {
        *value = 0;
        if ((dap->ctrl_stat & ORUNDETECT) != 0) {
            dap->ctrl_stat |= STICKYORUN;
        }
        return ACK_WAIT;
    }
    *value = dap->rdbuff;
    return ACK_OK;
}

void hil_dap_update(struct hil_board *board, bool ap, bool read, unsigned address, uint32_t value) {
    struct hil_dap *dap = &board->dap;
    if (dap->stuck) {
        return; /* acknowledged with WAIT: discarded */
    }
    if (!ap) {
        dp_access(dap, read, address, value);
    } else if ((dap->ctrl_stat & (STICKYERR | STICKYORUN)) != 0) {
        dap->rdbuff = 0; /* discarded while an error sticks */
    } else {
        ap_access(board, read, address, value);
    }
}

void hil_dap_abort(struct hil_board *board, uint32_t value) {
    if ((value & 1) != 0) {
        board->dap.stuck = false;
    }
}
