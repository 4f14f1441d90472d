/* Thumb, 32-bit encodings (A5.3): what compilers emit for flash loaders. No floating point, no exclusives. */
#include "thumb.h"

static uint32_t reg(const struct hil_core *core, unsigned n) {
    return n == 15 ? (core->r[15] & ~3u) : core->r[n]; /* r15 is already past the 4 bytes */
}

/* A5.3.2 */
static struct hil_shifted expand_immediate(uint32_t twelve, bool carry) {
    uint32_t byte = twelve & 0xFF;
    switch (twelve >> 8) {
    case 0:
        return (struct hil_shifted){byte, carry};
    case 1:
        return (struct hil_shifted){byte << 16 | byte, carry};
    case 2:
        return (struct hil_shifted){byte << 24 | byte << 8, carry};
    case 3:
        return (struct hil_shifted){byte * 0x01010101u, carry};
    default:
        return hil_shift(0x80 | (twelve & 0x7F), HIL_ROR, twelve >> 7, carry);
    }
}

/* One table of operations for registers (A5.3.11) and immediates (A5.3.1). */
static bool operate(struct hil_core *core, unsigned op, bool flags, unsigned n, unsigned d,
                    struct hil_shifted b) {
    uint32_t a = n == 15 ? 0 : core->r[n];
    bool carry = hil_carry(core), discard = d == 15;
    uint32_t result;
    if (discard && !flags) {
        return false;
    }
    switch (op) {
    case 0x0:
        result = a & b.value;
        break;
    case 0x1:
        result = a & ~b.value;
        break;
    case 0x2: /* ORR, and MOV when Rn is 15 */
        result = a | b.value;
        break;
    case 0x3:
        result = n == 15 ? ~b.value : a | ~b.value;
        break;
    case 0x4:
        result = a ^ b.value;
        break;
    case 0x8:
        result = hil_add(core, a, b.value, false, flags);
        break;
    case 0xA:
        result = hil_add(core, a, b.value, carry, flags);
        break;
    case 0xB:
        result = hil_add(core, a, ~b.value, carry, flags);
        break;
    case 0xD:
        result = hil_add(core, a, ~b.value, true, flags);
        break;
    case 0xE:
        result = hil_add(core, ~a, b.value, true, flags);
        break;
    default:
        return false;
    }
    if (flags && op < 0x8) {
        hil_set_nzc(core, (struct hil_shifted){result, b.carry});
    }
    if (!discard) {
        core->r[d] = d == 13 ? result & ~3u : result;
    }
    return true;
}

static bool data_register(struct hil_core *core, uint32_t high, uint32_t low) {
    unsigned amount = (low >> 10 & 0x1C) | (low >> 6 & 3), kind = low >> 4 & 3;
    if (amount == 0 && kind == HIL_ROR) {
        return false; /* RRX */
    }
    amount = amount == 0 && kind != HIL_LSL ? 32 : amount;
    struct hil_shifted b = hil_shift(core->r[low & 0xF], kind, amount, hil_carry(core));
    return operate(core, high >> 5 & 0xF, (high & 0x10) != 0, high & 0xF, low >> 8 & 0xF, b);
}

static uint32_t twelve_bits(uint32_t high, uint32_t low) {
    return (high >> 10 & 1) << 11 | (low >> 12 & 7) << 8 | (low & 0xFF);
}

/* A5.3.3 */
static bool plain_immediate(struct hil_core *core, uint32_t high, uint32_t low) {
    uint32_t immediate = twelve_bits(high, low), *d = &core->r[low >> 8 & 0xF], a = reg(core, high & 0xF);
    uint32_t sixteen = (high & 0xF) << 12 | immediate;
    unsigned lsb = (low >> 10 & 0x1C) | (low >> 6 & 3), width = (low & 0x1F) + 1;
    if ((low >> 8 & 0xF) == 15) {
        return false;
    }
    switch (high >> 4 & 0x1F) {
    case 0x00:
        *d = a + immediate;
        return true;
    case 0x0A:
        *d = a - immediate;
        return true;
    case 0x04:
        *d = sixteen;
        return true;
    case 0x0C:
        *d = (*d & 0xFFFF) | sixteen << 16;
        return true;
    case 0x14:
    case 0x1C:
        if (lsb + width > 32) {
            return false;
        }
        a = a >> lsb & (UINT32_MAX >> (32 - width));
        *d = (high & 0x80) != 0 ? a : hil_sign_extend(a, width);
        return true;
    case 0x16: {
        unsigned msb = low & 0x1F;
        if (msb < lsb) {
            return false;
        }
        uint32_t mask = UINT32_MAX >> (31 - (msb - lsb)) << lsb;
        *d = (*d & ~mask) | ((high & 0xF) == 15 ? 0 : a << lsb & mask);
        return true;
    }
    default:
        return false;
    }
}

/* A5.3.4 */
static bool branch(struct hil_core *core, uint32_t high, uint32_t low) {
    uint32_t s = high >> 10 & 1, j1 = low >> 13 & 1, j2 = low >> 11 & 1;
    if ((low & 0x5000) == 0x0000) {
        unsigned condition = high >> 6 & 0xF;
        if (condition >= 0xE) {
            /* barriers and hints; MSR and MRS (nothing here has interrupts to mask) */
            return (high & 0xFFF0) == 0xF3B0 || (high & 0xFFF0) == 0xF3A0;
        }
        if (hil_thumb_condition(core->xpsr, condition)) {
            uint32_t offset = s << 20 | j2 << 19 | j1 << 18 | (high & 0x3F) << 12 | (low & 0x7FF) << 1;
            core->r[15] += hil_sign_extend(offset, 21);
        }
        return true;
    }
    if ((low & 0x1000) == 0) {
        return false; /* BLX: there is no ARM state */
    }
    uint32_t i1 = ~(j1 ^ s) & 1, i2 = ~(j2 ^ s) & 1;
    uint32_t offset = s << 24 | i1 << 23 | i2 << 22 | (high & 0x3FF) << 12 | (low & 0x7FF) << 1;
    if ((low & 0x4000) != 0) {
        core->r[14] = core->r[15] | 1;
    }
    core->r[15] += hil_sign_extend(offset, 25);
    return true;
}

/* A5.3.7 – A5.3.10: single loads and stores */
static bool load_store(struct hil_board *board, uint32_t high, uint32_t low) {
    struct hil_core *core = &board->core;
    bool load = (high & 0x10) != 0, is_signed = (high & 0x100) != 0;
    unsigned size = 1u << (high >> 5 & 3), n = high & 0xF, t = low >> 12;
    uint32_t base = reg(core, n), address, after;
    if (size > 4 || (!load && (n == 15 || is_signed))) {
        return false;
    }
    if (n == 15) {
        address = (high & 0x80) != 0 ? base + (low & 0xFFF) : base - (low & 0xFFF);
        after = base;
    } else if ((high & 0x80) != 0) {
        address = base + (low & 0xFFF);
        after = base;
    } else if ((low & 0x800) != 0) {
        uint32_t moved = (low & 0x200) != 0 ? base + (low & 0xFF) : base - (low & 0xFF);
        address = (low & 0x400) != 0 ? moved : base;
        after = (low & 0x100) != 0 ? moved : base;
    } else if ((low & 0x7C0) == 0) {
        address = base + (core->r[low & 0xF] << (low >> 4 & 3));
        after = base;
    } else {
        return false;
    }
    if (load && t == 15 && size < 4) {
        return true; /* PLD, PLI */
    }
    uint32_t value = core->r[t];
    if (n != 15) {
        core->r[n] = after;
    }
    return load ? hil_load(board, address, size, is_signed, t) : hil_store(board, address, size, value);
}

/* A5.3.5 */
static bool multiple(struct hil_board *board, uint32_t high, uint32_t low) {
    struct hil_core *core = &board->core;
    bool load = (high & 0x10) != 0, down = (high & 0x180) == 0x100;
    unsigned n = high & 0xF;
    if (n == 15 || low == 0 || ((high & 0x180) != 0x80 && !down)) {
        return false;
    }
    uint32_t total = 4u * (uint32_t)__builtin_popcount(low), address = down ? core->r[n] - total : core->r[n];
    uint32_t after = down ? address : address + total;
    for (unsigned i = 0; i < 16; i++) {
        if ((low >> i & 1) == 0) {
            continue;
        }
        if (!(load ? hil_load(board, address, 4, false, i) : hil_store(board, address, 4, core->r[i]))) {
            return false;
        }
        address += 4;
    }
    if ((high & 0x20) != 0 && !(load && (low >> n & 1) != 0)) {
        core->r[n] = after;
    }
    return true;
}

/* TBB, TBH: r15 is the address of the table when it is the base. */
static bool table_branch(struct hil_board *board, uint32_t high, uint32_t low) {
    struct hil_core *core = &board->core;
    bool half = (low & 0x10) != 0;
    uint32_t base = (high & 0xF) == 15 ? core->r[15] : core->r[high & 0xF], entry = 0;
    if (!hil_bus_read(board, HIL_CORE, base + (core->r[low & 0xF] << half), half ? 2 : 1, &entry)) {
        return false;
    }
    core->r[15] += 2 * entry;
    return true;
}

/* A5.3.6: LDRD, STRD; exclusives are left out */
static bool dual(struct hil_board *board, uint32_t high, uint32_t low) {
    struct hil_core *core = &board->core;
    bool load = (high & 0x10) != 0, before = (high & 0x100) != 0, back = (high & 0x20) != 0;
    unsigned n = high & 0xF, t = low >> 12, t2 = low >> 8 & 0xF;
    if ((high & 0xFFF0) == 0xE8D0 && (low & 0xFFE0) == 0xF000) {
        return table_branch(board, high, low);
    }
    if ((!before && !back) || t == 15 || t2 == 15) {
        return false;
    }
    uint32_t base = reg(core, n), offset = (low & 0xFF) * 4;
    uint32_t moved = (high & 0x80) != 0 ? base + offset : base - offset;
    uint32_t address = before ? moved : base, first = core->r[t], second = core->r[t2];
    if (back && n != 15) {
        core->r[n] = moved;
    }
    return load ? hil_load(board, address, 4, false, t) && hil_load(board, address + 4, 4, false, t2)
                : hil_store(board, address, 4, first) && hil_store(board, address + 4, 4, second);
}

/* A5.3.12: shifts by register, extensions, CLZ */
static bool data_other(struct hil_core *core, uint32_t high, uint32_t low) {
    uint32_t m = core->r[low & 0xF], n = core->r[high & 0xF], *d = &core->r[low >> 8 & 0xF];
    unsigned kind = high >> 5 & 3;
    if ((low & 0xF000) != 0xF000) {
        return false;
    }
    if ((high & 0x80) == 0 && (low & 0xF0) == 0) {
        struct hil_shifted s = hil_shift(n, kind, m & 0xFF, hil_carry(core));
        *d = s.value;
        if ((high & 0x10) != 0) {
            hil_set_nzc(core, s);
        }
        return true;
    }
    if ((high & 0x80) == 0 && (low & 0x80) != 0 && (high & 0xF) == 15) {
        uint32_t turned = hil_shift(m, HIL_ROR, (low >> 4 & 3) * 8, false).value;
        static const uint8_t bits[3] = {16, 0, 8};
        if (kind > 2 || bits[kind] == 0) {
            return false;
        }
        turned &= bits[kind] == 8 ? 0xFF : 0xFFFF;
        *d = (high & 0x10) != 0 ? turned : hil_sign_extend(turned, bits[kind]);
        return true;
    }
    if ((high & 0xFFF0) == 0xFA90 && (low & 0xC0) == 0x80) {
        *d = hil_reverse(m, low >> 4 & 3);
        return true;
    }
    if ((high & 0xFFF0) == 0xFAB0 && (low & 0xF0) == 0x80) {
        *d = m == 0 ? 32 : (uint32_t)__builtin_clz(m);
        return true;
    }
    return false;
}

static uint32_t divide(uint32_t a, uint32_t b, bool is_signed) {
    if (b == 0) {
        return 0; /* CCR.DIV_0_TRP is 0 after reset */
    }
    if (!is_signed) {
        return a / b;
    }
    int64_t quotient = (int64_t)(int32_t)a / (int32_t)b;
    return (uint32_t)quotient;
}

static uint32_t half_of(uint32_t value, bool top) {
    return hil_sign_extend(top ? value >> 16 : value & 0xFFFF, 16);
}

/* A5.3.14, A5.3.15 */
static bool multiply(struct hil_core *core, uint32_t high, uint32_t low) {
    uint32_t n = core->r[high & 0xF], m = core->r[low & 0xF], *d = &core->r[low >> 8 & 0xF];
    unsigned a = low >> 12;
    switch (high >> 4 & 0x1F) {
    case 0x10:
        if ((low & 0xE0) != 0) {
            return false;
        }
        *d = (low & 0x10) != 0 ? core->r[a] - n * m : n * m + (a == 15 ? 0 : core->r[a]);
        return true;
    case 0x11: /* SMLAxy, SMULxy */
        if ((low & 0xC0) != 0) {
            return false;
        }
        *d = half_of(n, (low & 0x20) != 0) * half_of(m, (low & 0x10) != 0) + (a == 15 ? 0 : core->r[a]);
        return true;
    case 0x18:
    case 0x1A:
    case 0x1C:
    case 0x1E: {
        if ((low & 0xF0) != 0) {
            return false;
        }
        uint64_t product =
            (high & 0x20) != 0 ? (uint64_t)n * m : (uint64_t)((int64_t)(int32_t)n * (int32_t)m);
        product += (high & 0x40) != 0 ? (uint64_t)*d << 32 | core->r[a] : 0; /* SMLAL, UMLAL */
        core->r[a] = (uint32_t)product;
        *d = (uint32_t)(product >> 32);
        return true;
    }
    case 0x19:
    case 0x1B:
        *d = divide(n, m, (high & 0x20) == 0);
        return true;
    default:
        return false;
    }
}

bool hil_thumb32(struct hil_board *board, uint32_t high, uint32_t low) {
    struct hil_core *core = &board->core;
    switch (high >> 9) {
    case 0x74:
        return (high & 0x40) != 0 ? dual(board, high, low) : multiple(board, high, low);
    case 0x75:
        return data_register(core, high, low);
    case 0x78:
    case 0x79:
    case 0x7A:
    case 0x7B:
        if ((low & 0x8000) != 0) {
            return branch(core, high, low);
        }
        if ((high & 0x200) != 0) {
            return plain_immediate(core, high, low);
        }
        return operate(core, high >> 5 & 0xF, (high & 0x10) != 0, high & 0xF, low >> 8 & 0xF,
                       expand_immediate(twelve_bits(high, low), hil_carry(core)));
    case 0x7C:
        return load_store(board, high, low);
    case 0x7D:
        return (high & 0x180) == 0x100 || (high & 0x180) == 0x180 ? multiply(core, high, low)
                                                                  : data_other(core, high, low);
    default:
        return false;
    }
}
