/* Memory protection: code (and on Armv7-M with it the vector table at 0) is read-only, so is everything below
 * it: a write through a NULL pointer faults at once. The lowest words of the stack are a guard. All else
 * keeps the default map. */
#include "cortexm.h"

#define MPU_CTRL    HIL_REG(0xE000ED94u)
#define MPU_RNR     HIL_REG(0xE000ED98u)
#define MPU_RBAR    HIL_REG(0xE000ED9Cu)
#define MPU_RASR    HIL_REG(0xE000EDA0u) /* Armv7-M; RLAR on Armv8-M */
#define MPU_MAIR0   HIL_REG(0xE000EDC0u)
#define CTRL_ON     5u /* enable, default map for privileged code; off in HardFault and NMI */
#define GUARD_BYTES 256u

#if defined(__ARM_ARCH_8M_MAIN__)
#define RBAR_READ_ONLY (2u << 1)
#define RBAR_XN        1u
#define RLAR_ENABLE    1u

static void region(uint32_t number, uint32_t start, uint32_t end, uint32_t access) {
    MPU_RNR = number;
    MPU_RBAR = (start & ~31u) | access;
    MPU_RASR = ((end - 1u) & ~31u) | RLAR_ENABLE;
}

void hil_mpu_start(void) {
    uint32_t code = (uint32_t)(uintptr_t)hil_code_start;
    uint32_t guard = (uint32_t)(uintptr_t)hil_stack_limit - GUARD_BYTES;
    MPU_CTRL = 0;
    MPU_MAIR0 = 0x44u; /* attribute 0: normal memory, not cached */
    if (code > 0) {
        region(0, 0, code, RBAR_READ_ONLY | RBAR_XN);
    }
    region(1, code, (uint32_t)(uintptr_t)hil_code_end, RBAR_READ_ONLY);
    region(2, guard, guard + GUARD_BYTES, RBAR_READ_ONLY | RBAR_XN);
    MPU_CTRL = CTRL_ON;
    hil_barrier();
}
#else
#define RASR_READ_ONLY (6u << 24)
#define RASR_XN        (1u << 28)
#define RASR_NORMAL    (1u << 19)
#define RASR_ENABLE    1u

static void region(uint32_t number, uint32_t start, uint32_t log2_size, uint32_t access) {
    MPU_RNR = number;
    MPU_RBAR = start;
    MPU_RASR = access | RASR_NORMAL | ((log2_size - 1u) << 1) | RASR_ENABLE;
}

void hil_mpu_start(void) {
    MPU_CTRL = 0;
    region(0, (uint32_t)(uintptr_t)hil_code_start, HIL_CODE_LOG2, RASR_READ_ONLY);
    /* Code lies at 0, or an alias of the boot memory does, with the NULL pointer's target. (A compiler takes
     * it for granted that an array is not at 0.) */
    if ((uint32_t)(uintptr_t)hil_code_end > 1u << HIL_CODE_LOG2) {
        region(2, 0, HIL_CODE_LOG2, RASR_READ_ONLY | RASR_XN);
    }
    region(1, (uint32_t)(uintptr_t)hil_stack_limit - GUARD_BYTES, 8, RASR_READ_ONLY | RASR_XN);
    MPU_CTRL = CTRL_ON;
    hil_barrier();
}
#endif
