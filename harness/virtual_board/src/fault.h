/* Faults a board can have, by name. Some are there at once, others strike in the middle of a write: after so
 * many programmings of the flash from now (their argument). */
#ifndef HIL_FAULT_H
#define HIL_FAULT_H

#include "board.h"

enum hil_moment { HIL_AT_ONCE, HIL_MID_WRITE };

struct hil_fault {
    const char *name;
    enum hil_moment moment;
    uint32_t argument; /* when none is given */
    void (*strike)(struct hil_board *board, uint32_t argument);
    const char *help;
};

/* NULL: there is no such fault, or (at) no more. "-" counts as "_". */
const struct hil_fault *hil_fault_named(const char *name);
const struct hil_fault *hil_fault_at(size_t n);
/* False: too many are waiting. */
bool hil_fault_arm(struct hil_board *board, const struct hil_fault *fault, uint32_t argument);
/* All faults go, waiting ones too; option bytes are those of a new part. The core stays as it is. */
void hil_fault_forget(struct hil_board *board);
/* The same, and a core that locked up by a fault starts again. */
void hil_fault_clear(struct hil_board *board);
/* Called for each programming; what is due strikes. */
void hil_fault_programmed(struct hil_board *board);

#endif
