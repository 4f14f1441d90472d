/* Thumb, 16-bit encodings (A5.2). */
#include "thumb.h"

#define C_DEBUGEN 1u
#define DFSR_BKPT (1u << 1)

bool hil_load(struct hil_board *board, uint32_t address, unsigned size, bool is_signed, unsigned reg) {
    uint32_t value = 0;
    if (!hil_bus_read(board, HIL_CORE, address, size, &value)) {
        return false;
    }
    if (is_signed) {
        value = hil_sign_extend(value, 8 * size);
    }
    if (reg == 15) {
        return hil_branch_exchange(&board->core, value);
    }
    board->core.r[reg] = value;
    return true;
}

bool hil_store(struct hil_board *board, uint32_t address, unsigned size, uint32_t value) {
    board->core.activity = true;
    return hil_bus_write(board, HIL_CORE, address, size, value);
}

bool hil_branch_exchange(struct hil_core *core, uint32_t target) {
    core->r[15] = target & ~1u;
    return (target & 1) != 0;
}

/* A5.2.2 */
static bool data_processing(struct hil_core *core, uint32_t op) {
    uint32_t *d = &core->r[op & 7], m = core->r[op >> 3 & 7];
    bool flags = core->it == 0, carry = hil_carry(core);
    struct hil_shifted s = {*d, carry};
    switch (op >> 6 & 0xF) {
    case 0x0:
        s.value = *d & m;
        break;
    case 0x1:
        s.value = *d ^ m;
        break;
    case 0x2:
        s = hil_shift(*d, HIL_LSL, m & 0xFF, carry);
        break;
    case 0x3:
        s = hil_shift(*d, HIL_LSR, m & 0xFF, carry);
        break;
    case 0x4:
        s = hil_shift(*d, HIL_ASR, m & 0xFF, carry);
        break;
    case 0x5:
        *d = hil_add(core, *d, m, carry, flags);
        return true;
    case 0x6:
        *d = hil_add(core, *d, ~m, carry, flags);
        return true;
    case 0x7:
        s = hil_shift(*d, HIL_ROR, m & 0xFF, carry);
        break;
    case 0x8:
        hil_set_nz(core, *d & m);
        return true;
    case 0x9:
        *d = hil_add(core, ~m, 0, true, flags);
        return true;
    case 0xA:
        (void)hil_add(core, *d, ~m, true, true);
        return true;
    case 0xB:
        (void)hil_add(core, *d, m, false, true);
        return true;
    case 0xC:
        s.value = *d | m;
        break;
    case 0xD:
        s.value = *d * m;
        break;
    case 0xE:
        s.value = *d & ~m;
        break;
    default:
        s.value = ~m;
        break;
    }
    *d = s.value;
    if (flags) {
        hil_set_nzc(core, s);
    }
    return true;
}

/* A5.2.1: shift by immediate, add, subtract, move, compare */
static bool shift_add_move(struct hil_core *core, uint32_t op) {
    bool flags = core->it == 0;
    uint32_t *d = &core->r[op & 7], n = core->r[op >> 3 & 7], immediate = op & 0xFF;
    uint32_t *wide = &core->r[op >> 8 & 7];
    switch (op >> 11) {
    case 0:
    case 1:
    case 2: {
        unsigned kind = op >> 11, amount = op >> 6 & 0x1F;
        struct hil_shifted s =
            hil_shift(n, kind, amount == 0 && kind != HIL_LSL ? 32 : amount, hil_carry(core));
        *d = s.value;
        if (flags) {
            hil_set_nzc(core, s);
        }
        return true;
    }
    case 3: {
        uint32_t b = (op & 1u << 10) != 0 ? op >> 6 & 7 : core->r[op >> 6 & 7];
        bool subtract = (op & 1u << 9) != 0;
        *d = hil_add(core, n, subtract ? ~b : b, subtract, flags);
        return true;
    }
    case 4:
        *wide = immediate;
        if (flags) {
            hil_set_nz(core, immediate);
        }
        return true;
    case 5:
        (void)hil_add(core, *wide, ~immediate, true, true);
        return true;
    case 6:
        *wide = hil_add(core, *wide, immediate, false, flags);
        return true;
    default:
        *wide = hil_add(core, *wide, ~immediate, true, flags);
        return true;
    }
}

/* A5.2.3: any register; `here` is the address of the instruction plus 4 */
static bool special_data(struct hil_core *core, uint32_t op, uint32_t here) {
    unsigned d = (op & 7) | (op >> 4 & 8), m = op >> 3 & 0xF;
    uint32_t b = m == 15 ? here : core->r[m], a = d == 15 ? here : core->r[d];
    switch (op >> 8 & 3) {
    case 0:
        a += b;
        break;
    case 1:
        (void)hil_add(core, a, ~b, true, true);
        return true;
    case 2:
        a = b;
        break;
    default:
        if ((op & 0x80) != 0) {
            core->r[14] = (core->r[15]) | 1;
        }
        return hil_branch_exchange(core, b);
    }
    core->r[d] = d == 15 ? a & ~1u : d == 13 ? a & ~3u : a;
    return true;
}

/* A5.2.4 */
static bool load_store(struct hil_board *board, uint32_t op) {
    struct hil_core *core = &board->core;
    unsigned t = op & 7;
    uint32_t n = core->r[op >> 3 & 7], five = op >> 6 & 0x1F;
    switch (op >> 12) {
    case 5: {
        static const struct {
            uint8_t size;
            bool load, is_signed;
        } kind[8] = {{4, false, false}, {2, false, false}, {1, false, false}, {1, true, true},
                     {4, true, false},  {2, true, false},  {1, true, false},  {2, true, true}};
        unsigned k = op >> 9 & 7;
        uint32_t address = n + core->r[op >> 6 & 7];
        return kind[k].load ? hil_load(board, address, kind[k].size, kind[k].is_signed, t)
                            : hil_store(board, address, kind[k].size, core->r[t]);
    }
    case 9: {
        uint32_t address = core->r[13] + (op & 0xFF) * 4;
        t = op >> 8 & 7;
        return (op & 0x800) != 0 ? hil_load(board, address, 4, false, t)
                                 : hil_store(board, address, 4, core->r[t]);
    }
    default: {
        unsigned size = op >> 12 == 6 ? 4 : op >> 12 == 7 ? 1 : 2;
        uint32_t address = n + five * size;
        return (op & 0x800) != 0 ? hil_load(board, address, size, false, t)
                                 : hil_store(board, address, size, core->r[t]);
    }
    }
}

static bool push_pop(struct hil_board *board, uint32_t op) {
    struct hil_core *core = &board->core;
    bool pop = (op & 0x800) != 0;
    uint32_t list = (op & 0xFF) | ((op & 0x100) != 0 ? 1u << (pop ? 15 : 14) : 0);
    uint32_t address = pop ? core->r[13] : core->r[13] - 4u * (uint32_t)__builtin_popcount(list);
    uint32_t low = address;
    for (unsigned i = 0; i < 16; i++) {
        if ((list >> i & 1) == 0) {
            continue;
        }
        if (!(pop ? hil_load(board, address, 4, false, i) : hil_store(board, address, 4, core->r[i]))) {
            return false;
        }
        address += 4;
    }
    core->r[13] = pop ? address : low;
    return true;
}

static bool multiple(struct hil_board *board, uint32_t op) {
    struct hil_core *core = &board->core;
    unsigned n = op >> 8 & 7;
    uint32_t address = core->r[n];
    bool load = (op & 0x800) != 0;
    for (unsigned i = 0; i < 8; i++) {
        if ((op >> i & 1) == 0) {
            continue;
        }
        if (!(load ? hil_load(board, address, 4, false, i) : hil_store(board, address, 4, core->r[i]))) {
            return false;
        }
        address += 4;
    }
    if (!load || (op >> n & 1) == 0) {
        core->r[n] = address;
    }
    return true;
}

/* A5.2.5 */
static bool miscellaneous(struct hil_board *board, uint32_t op) {
    struct hil_core *core = &board->core;
    uint32_t m = core->r[op >> 3 & 7], *d = &core->r[op & 7];
    if ((op & 0xF600) == 0xB400) {
        return push_pop(board, op);
    }
    if ((op & 0xF500) == 0xB100) { /* CBZ, CBNZ; r15 is the next instruction */
        bool nonzero = (op & 0x800) != 0;
        if ((core->r[op & 7] != 0) == nonzero) {
            core->r[15] += 2 + ((op >> 3 & 0x1F) << 1 | (op >> 9 & 1) << 6);
        }
        return true;
    }
    switch (op >> 8 & 0xF) {
    case 0x0: {
        uint32_t immediate = (op & 0x7F) * 4;
        core->r[13] = (op & 0x80) != 0 ? core->r[13] - immediate : core->r[13] + immediate;
        return true;
    }
    case 0x2:
        *d = (op & 0xC0) == 0x00   ? hil_sign_extend(m & 0xFFFF, 16)
             : (op & 0xC0) == 0x40 ? hil_sign_extend(m & 0xFF, 8)
             : (op & 0xC0) == 0x80 ? m & 0xFFFF
                                   : m & 0xFF;
        return true;
    case 0xA:
        if ((op >> 6 & 3) == 2) {
            return false;
        }
        *d = hil_reverse(m, op >> 6 & 3);
        return true;
    case 0x6: /* CPSIE, CPSID: no exceptions come here */
        return (op & 0xFFE0) == 0xB660;
    case 0xE:
        core->r[15] -= 2; /* a debugger finds the core at its BKPT */
        if ((core->dhcsr & C_DEBUGEN) == 0) {
            return false;
        }
        hil_core_halt(board, DFSR_BKPT);
        return true;
    case 0xF:
        if ((op & 0xF) != 0) {
            core->it = op & 0xFF;
        }
        return true;
    default:
        return false;
    }
}

bool hil_thumb16(struct hil_board *board, uint32_t op) {
    struct hil_core *core = &board->core;
    uint32_t here = core->r[15] + 2; /* r15 has moved on already */
    switch (op >> 12) {
    case 0x0:
    case 0x1:
    case 0x2:
    case 0x3:
        return shift_add_move(core, op);
    case 0x4:
        if ((op & 0x800) != 0) {
            return hil_load(board, (here & ~3u) + (op & 0xFF) * 4, 4, false, op >> 8 & 7);
        }
        return (op & 0x400) != 0 ? special_data(core, op, here) : data_processing(core, op);
    case 0x5:
    case 0x6:
    case 0x7:
    case 0x8:
    case 0x9:
        return load_store(board, op);
    case 0xA:
        core->r[op >> 8 & 7] = ((op & 0x800) != 0 ? core->r[13] : here & ~3u) + (op & 0xFF) * 4;
        return true;
    case 0xB:
        return miscellaneous(board, op);
    case 0xC:
        return multiple(board, op);
    case 0xD:
        if ((op >> 8 & 0xF) >= 0xE) {
            return false; /* UDF, SVC */
        }
        if (hil_thumb_condition(core->xpsr, op >> 8 & 0xF)) {
            core->r[15] = here + (hil_sign_extend(op & 0xFF, 8) << 1);
        }
        return true;
    default:
        core->r[15] = here + (hil_sign_extend(op & 0x7FF, 11) << 1);
        return true;
    }
}
