/* Conditions, shifts and sums of the interpreter (A2.2, A7.3). */
#include "thumb.h"

bool hil_thumb_condition(uint32_t xpsr, unsigned condition) {
    bool n = (xpsr & XPSR_N) != 0, z = (xpsr & XPSR_Z) != 0, c = (xpsr & XPSR_C) != 0,
         v = (xpsr & XPSR_V) != 0;
    bool result = true;
    switch (condition >> 1) {
    case 0:
        result = z;
        break;
    case 1:
        result = c;
        break;
    case 2:
        result = n;
        break;
    case 3:
        result = v;
        break;
    case 4:
        result = c && !z;
        break;
    case 5:
        result = n == v;
        break;
    case 6:
        result = n == v && !z;
        break;
    default:
        return true;
    }
    return result != ((condition & 1) != 0);
}

struct hil_shifted hil_shift(uint32_t value, unsigned kind, unsigned amount, bool carry) {
    if (amount == 0) {
        return (struct hil_shifted){value, carry};
    }
    switch (kind) {
    case HIL_LSL:
        return amount < 32    ? (struct hil_shifted){value << amount, (value >> (32 - amount) & 1) != 0}
               : amount == 32 ? (struct hil_shifted){0, (value & 1) != 0}
                              : (struct hil_shifted){0, false};
    case HIL_LSR:
        return amount < 32    ? (struct hil_shifted){value >> amount, (value >> (amount - 1) & 1) != 0}
               : amount == 32 ? (struct hil_shifted){0, value >> 31 != 0}
                              : (struct hil_shifted){0, false};
    case HIL_ASR: {
        uint32_t sign = value >> 31 != 0 ? UINT32_MAX : 0;
        return amount < 32 ? (struct hil_shifted){value >> amount | (sign << (31 - amount) << 1),
                                                  (value >> (amount - 1) & 1) != 0}
                           : (struct hil_shifted){sign, sign != 0};
    }
    default: {
        unsigned turn = amount % 32;
        uint32_t result = turn == 0 ? value : value >> turn | value << (32 - turn);
        return (struct hil_shifted){result, result >> 31 != 0};
    }
    }
}

void hil_set_nz(struct hil_core *core, uint32_t value) {
    core->xpsr = (core->xpsr & ~(XPSR_N | XPSR_Z)) | (value & XPSR_N) | (value == 0 ? XPSR_Z : 0);
}

void hil_set_nzc(struct hil_core *core, struct hil_shifted result) {
    hil_set_nz(core, result.value);
    core->xpsr = (core->xpsr & ~XPSR_C) | (result.carry ? XPSR_C : 0);
}

uint32_t hil_add(struct hil_core *core, uint32_t a, uint32_t b, bool carry, bool flags) {
    uint64_t sum = (uint64_t)a + b + carry;
    uint32_t result = (uint32_t)sum;
    if (flags) {
        hil_set_nz(core, result);
        core->xpsr &= ~(XPSR_C | XPSR_V);
        core->xpsr |= sum >> 32 != 0 ? XPSR_C : 0;
        core->xpsr |= ((a ^ result) & (b ^ result)) >> 31 != 0 ? XPSR_V : 0;
    }
    return result;
}

uint32_t hil_reverse(uint32_t value, unsigned kind) {
    uint32_t pairs = (value & 0x00FF00FFu) << 8 | (value >> 8 & 0x00FF00FFu);
    uint32_t bits = 0;
    switch (kind) {
    case 0:
        return __builtin_bswap32(value);
    case 1:
        return pairs;
    case 2:
        for (unsigned i = 0; i < 32; i++) {
            bits |= (value >> i & 1) << (31 - i);
        }
        return bits;
    default:
        return hil_sign_extend(pairs & 0xFFFF, 16);
    }
}
