/* Shared by the two halves of the interpreter. Section numbers: ARM DDI 0403E. */
#ifndef HIL_THUMB_H
#define HIL_THUMB_H

#include "board.h"

#define XPSR_N (1u << 31)
#define XPSR_Z (1u << 30)
#define XPSR_C (1u << 29)
#define XPSR_V (1u << 28)

struct hil_shifted {
    uint32_t value;
    bool carry;
};

enum { HIL_LSL, HIL_LSR, HIL_ASR, HIL_ROR };

/* A2.2.1; `amount` 0–255, of a register; the encodings of immediates (0 means 32) are the caller's. */
struct hil_shifted hil_shift(uint32_t value, unsigned kind, unsigned amount, bool carry);
uint32_t hil_add(struct hil_core *core, uint32_t a, uint32_t b, bool carry, bool flags);
/* REV, REV16, RBIT, REVSH, as the encodings number them. */
uint32_t hil_reverse(uint32_t value, unsigned kind);
void hil_set_nz(struct hil_core *core, uint32_t value);
void hil_set_nzc(struct hil_core *core, struct hil_shifted result);
/* False: the instruction faults. */
bool hil_load(struct hil_board *board, uint32_t address, unsigned size, bool is_signed, unsigned reg);
bool hil_store(struct hil_board *board, uint32_t address, unsigned size, uint32_t value);
/* Bit 0 of `target` must be set (Thumb state); false otherwise. */
bool hil_branch_exchange(struct hil_core *core, uint32_t target);

static inline bool hil_carry(const struct hil_core *core) {
    return (core->xpsr & XPSR_C) != 0;
}

static inline uint32_t hil_sign_extend(uint32_t value, unsigned bits) {
    uint32_t top = 1u << (bits - 1);
    return (value ^ top) - top;
}

#endif
