/* Time: a free-running CMSDK timer is the clock (a tick counter would lose time whenever the emulator is
 * starved); SysTick only ends a sleep. Both run at HIL_CLOCK_HZ. */
#include "cmsdk.h"

#define TIMER_CTRL    HIL_REG(HIL_TIMER0_BASE + 0x0u)
#define TIMER_VALUE   HIL_REG(HIL_TIMER0_BASE + 0x4u)
#define TIMER_RELOAD  HIL_REG(HIL_TIMER0_BASE + 0x8u)
#define TIMER_ENABLE  1u
#define SYST_RUN      7u /* core clock, interrupt, enable */
#define CYCLES_PER_MS (HIL_CLOCK_HZ / 1000u)
#define SLEEP_MAX_MS  (0xFFFFFFu / CYCLES_PER_MS)

static struct {
    uint32_t last; /* cycles already counted into ms */
    uint32_t rest; /* cycles short of a millisecond */
    uint32_t ms;
    uint32_t jitter;
} clock_state;

void hil_clock_start(void) {
    TIMER_CTRL = 0;
    TIMER_RELOAD = 0xFFFFFFFFu;
    TIMER_VALUE = 0xFFFFFFFFu;
    TIMER_CTRL = TIMER_ENABLE;
    clock_state.last = hil_clock_cycles();
}

uint32_t hil_clock_cycles(void) {
    return 0xFFFFFFFFu - TIMER_VALUE;
}

/* Must be called at least once in 2^32 cycles (170 s at 25 MHz); every wait and every sleep does. */
uint32_t hil_board_ms(void) {
    uint32_t mask = hil_irq_save();
    uint32_t now = hil_clock_cycles();
    uint32_t elapsed = now - clock_state.last;
    uint32_t whole = elapsed / CYCLES_PER_MS;
    clock_state.last = now;
    clock_state.rest += elapsed % CYCLES_PER_MS;
    if (clock_state.rest >= CYCLES_PER_MS) {
        clock_state.rest -= CYCLES_PER_MS;
        whole++;
    }
    clock_state.ms += whole;
    uint32_t ms = clock_state.ms;
    hil_irq_restore(mask);
    return ms;
}

/* WFI wakes on a pending interrupt even while PRIMASK holds it back, so nothing is lost between check and
 * sleep. */
void hil_clock_sleep(uint32_t ms) {
    if (ms > SLEEP_MAX_MS) {
        ms = SLEEP_MAX_MS;
    }
    if (ms == 0) {
        return;
    }
    HIL_SYST_RVR = ms * CYCLES_PER_MS - 1u;
    HIL_SYST_CVR = 0;
    HIL_SYST_CSR = SYST_RUN;
    __asm volatile("dsb\n\twfi\n\tisb" ::: "memory");
    HIL_SYST_CSR = 0;
    HIL_SCB_ICSR = HIL_ICSR_PENDSTCLR;
}

void hil_systick_handler(void) {
}

/* The low bits of the moment at which bytes and frames arrive differ from run to run, whatever else is the
 * same. */
void hil_jitter_stir(void) {
    uint32_t mixed = clock_state.jitter ^ hil_clock_cycles();
    mixed *= 0x9E3779B1u; /* 2^32 / golden ratio: spreads low bits upwards */
    clock_state.jitter = mixed ^ (mixed >> 15);
}

uint32_t hil_board_jitter(void) {
    uint32_t mask = hil_irq_save();
    hil_jitter_stir();
    uint32_t value = clock_state.jitter;
    hil_irq_restore(mask);
    return value;
}
