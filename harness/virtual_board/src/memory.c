/* The bus: flash, RAM, the few peripherals a flash programmer touches. Other peripherals read 0 and take
 * writes; what no part has is a bus fault. */
#include "board.h"

#include <string.h>

#define FLASH_BASE      0x08000000u
#define FLASH_SECURE    0x0C000000u /* H5: the secure alias */
#define RAM_BASE        0x20000000u
#define RAM_SECURE      0x30000000u
#define CCM_BASE        0x10000000u
#define F4_REGISTERS    0x40023C00u
#define H5_REGISTERS    0x40022000u
#define PERIPHERALS     0x40000000u
#define PERIPHERALS_END 0x60000000u
#define PPB             0xE0000000u
#define PPB_END         0xE0100000u
#define F4_DBGMCU       0xE0042000u
#define H5_DBGMCU       0xE0044000u
#define H5_DBGMCU_AHB   0x44024000u
#define SYSTEM_BASE     0x1FFF0000u /* F4: system memory, one-time area, factory data */
#define SYSTEM_END      0x1FFFC010u
#define H5_SYSTEM       0x08FFF000u
#define H5_SYSTEM_END   0x09000000u
#define UNIQUE_ID       0x1FFF7A10u
#define H5_UNIQUE_ID    0x08FFF800u

static bool inside(uint32_t address, size_t n, uint32_t base, uint32_t size, uint32_t *offset) {
    if (address < base || address - base >= size || n > size - (address - base)) {
        return false;
    }
    *offset = address - base;
    return true;
}

static uint32_t get(const uint8_t *p, unsigned size) {
    uint32_t value = 0;
    memcpy(&value, p, size); /* the host is little-endian, as the board is; see hil_board_init */
    return value;
}

bool hil_flash_offset(const struct hil_board *board, uint32_t address, uint32_t *offset) {
    uint32_t size = board->part->flash_size;
    if (board->part->family == HIL_F4) {
        return inside(address, 1, FLASH_BASE, size, offset) || inside(address, 1, 0, size, offset);
    }
    return inside(address, 1, FLASH_BASE, size, offset) || inside(address, 1, FLASH_SECURE, size, offset);
}

uint32_t hil_flash_word(const struct hil_board *board, uint32_t offset) {
    return get(board->flash + offset, 4);
}

uint8_t *hil_ram_at(struct hil_board *board, uint32_t address, size_t n) {
    uint32_t offset = 0, size = board->part->ram_size;
    if (inside(address, n, RAM_BASE, size, &offset) ||
        (board->part->family == HIL_H5 && inside(address, n, RAM_SECURE, size, &offset))) {
        return board->ram + offset;
    }
    if (board->part->ccm && inside(address, n, CCM_BASE, HIL_CCM_SIZE, &offset)) {
        return board->ccm + offset;
    }
    return NULL;
}

static uint32_t device_id(const struct hil_board *board) {
    return board->effects.device_id != 0 ? board->effects.device_id : board->part->device_id;
}

/* Registers that are words: what they hold at `address`, a multiple of 4. */
static bool read_word(struct hil_board *board, uint32_t address, uint32_t *value) {
    bool f4 = board->part->family == HIL_F4;
    *value = 0;
    if (address >= (f4 ? F4_REGISTERS : H5_REGISTERS) &&
        address < (f4 ? F4_REGISTERS : H5_REGISTERS) + 0x400) {
        *value = f4 ? hil_f4_read(board, address - F4_REGISTERS) : hil_h5_read(board, address - H5_REGISTERS);
        return true;
    }
    if (address == (f4 ? F4_DBGMCU : H5_DBGMCU) || (!f4 && address == H5_DBGMCU_AHB)) {
        *value = device_id(board);
        return true;
    }
    if (address >= PPB && address < PPB_END) {
        *value = hil_ppb_read(board, address);
        return true;
    }
    if (address >= PERIPHERALS && address < PERIPHERALS_END) {
        return true;
    }
    uint32_t id = f4 ? UNIQUE_ID : H5_UNIQUE_ID;
    if ((f4 && address >= SYSTEM_BASE && address < SYSTEM_END) ||
        (!f4 && address >= H5_SYSTEM && address < H5_SYSTEM_END)) {
        *value = UINT32_MAX; /* an unwritten one-time area */
        if (address >= id && address < id + 12) {
            *value = 0x00310041u + (address - id);
        } else if (address == (board->part->size_register & ~3u)) {
            uint32_t kb = board->part->flash_size / 1024;
            *value = (board->part->size_register & 2) != 0 ? kb << 16 | 0xFFFF : 0xFFFF0000u | kb;
        }
        return true;
    }
    return false;
}

static bool write_word(struct hil_board *board, uint32_t address, uint32_t value) {
    bool f4 = board->part->family == HIL_F4;
    uint32_t registers = f4 ? F4_REGISTERS : H5_REGISTERS;
    if (address >= registers && address < registers + 0x400) {
        f4 ? hil_f4_write(board, address - registers, value)
           : hil_h5_write(board, address - registers, value);
        return true;
    }
    if (address >= PPB && address < PPB_END) {
        hil_ppb_write(board, address, value);
        return true;
    }
    return address >= PERIPHERALS && address < PERIPHERALS_END;
}

bool hil_bus_read(struct hil_board *board, enum hil_master who, uint32_t address, unsigned size,
                  uint32_t *value) {
    uint32_t offset = 0;
    const uint8_t *ram = hil_ram_at(board, address, size);
    if (ram != NULL) {
        *value = get(ram, size);
        return true;
    }
    if (hil_flash_offset(board, address, &offset) && size <= board->part->flash_size - offset) {
        if (who == HIL_DEBUGGER && board->part->family == HIL_F4 && hil_f4_rdp_level(board) > 0) {
            return false; /* RM0090 3.6.3: level 1 denies the debugger the flash */
        }
        *value = get(board->flash + offset, size);
        return true;
    }
    uint32_t word = 0;
    if ((address & (size - 1)) != 0 || !read_word(board, address & ~3u, &word)) {
        return false;
    }
    *value = word >> (address & 3) * 8 & (size == 4 ? UINT32_MAX : (1u << 8 * size) - 1);
    return true;
}

bool hil_bus_write(struct hil_board *board, enum hil_master who, uint32_t address, unsigned size,
                   uint32_t value) {
    uint32_t offset = 0;
    (void)who;
    uint8_t *ram = hil_ram_at(board, address, size);
    if (ram != NULL) {
        memcpy(ram, &value, size);
        return true;
    }
    if (hil_flash_offset(board, address, &offset) && size <= board->part->flash_size - offset) {
        if (board->part->family == HIL_F4) {
            hil_f4_program(board, offset, size, value);
        } else {
            hil_h5_program(board, offset, size, value);
        }
        return true;
    }
    if ((address & (size - 1)) != 0) {
        return false;
    }
    if (size != 4) { /* a register keeps its other bytes */
        uint32_t word = 0, mask = ((1u << 8 * size) - 1) << (address & 3) * 8;
        if (!read_word(board, address & ~3u, &word)) {
            return false;
        }
        value = (word & ~mask) | (value << (address & 3) * 8 & mask);
    }
    return write_word(board, address & ~3u, value);
}
