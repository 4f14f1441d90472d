/* The microcontrollers a board can carry. Values: RM0368 (F401), RM0090 (F405, F429), RM0481 (H563), and the
 * ARM manuals of the cores. */
#include "board.h"

#include <string.h>

#define KB 1024u

static const struct hil_part parts[] = {
    {.name = "stm32f405",
     .family = HIL_F4,
     .idcode = 0x4BA00477,
     .bs_idcode = 0x06413041,
     .cpuid = 0x410FC241,
     .mvfr0 = 0x10110021,
     .mvfr1 = 0x11000011,
     .ap_idr = 0x24770011,
     .tar_wrap = 4 * KB,
     .device_id = 0x10076413,
     .flash_size = 1024 * KB,
     .ram_size = 128 * KB,
     .ccm = true,
     .size_register = 0x1FFF7A22},
    {.name = "stm32f401",
     .family = HIL_F4,
     .idcode = 0x4BA00477,
     .bs_idcode = 0x06433041,
     .cpuid = 0x410FC241,
     .mvfr0 = 0x10110021,
     .mvfr1 = 0x11000011,
     .ap_idr = 0x24770011,
     .tar_wrap = 4 * KB,
     .device_id = 0x10016433,
     .flash_size = 512 * KB,
     .ram_size = 96 * KB,
     .size_register = 0x1FFF7A22},
    {.name = "stm32f429",
     .family = HIL_F4,
     .idcode = 0x4BA00477,
     .bs_idcode = 0x06419041,
     .cpuid = 0x410FC241,
     .mvfr0 = 0x10110021,
     .mvfr1 = 0x11000011,
     .ap_idr = 0x24770011,
     .tar_wrap = 4 * KB,
     .device_id = 0x20036419,
     .flash_size = 2048 * KB,
     .ram_size = 192 * KB,
     .ccm = true,
     .size_register = 0x1FFF7A22},
    {.name = "stm32h563",
     .family = HIL_H5,
     .idcode = 0x6BA00477,
     .bs_idcode = 0x06484041,
     .cpuid = 0x410FD214,
     .mvfr0 = 0x10110021,
     .mvfr1 = 0x11000011,
     .ap = 1,
     .ap_idr = 0x14770015,
     .tar_wrap = 1 * KB,
     .device_id = 0x10016484,
     .flash_size = 2048 * KB,
     .ram_size = 640 * KB,
     .size_register = 0x08FFF80C},
};

const struct hil_part *hil_part_at(size_t n) {
    return n < sizeof parts / sizeof parts[0] ? &parts[n] : NULL;
}

const struct hil_part *hil_part_named(const char *name) {
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strcmp(parts[i].name, name) == 0) {
            return &parts[i];
        }
    }
    return NULL;
}
