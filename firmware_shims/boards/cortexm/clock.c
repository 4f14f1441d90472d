/* Time: the board's free-running counter is the clock (a tick counter would lose time whenever the emulator
 * is starved); SysTick only ends a sleep. */
#include "cortexm.h"

#define SYST_RUN      7u /* core clock, interrupt, enable */
#define COUNTS_PER_MS (HIL_COUNTER_HZ / 1000u)
#define CYCLES_PER_MS (HIL_CLOCK_HZ / 1000u)
#define SLEEP_MAX_MS  (0xFFFFFFu / CYCLES_PER_MS)

static struct {
    uint32_t last; /* counts already turned into ms */
    uint32_t rest; /* counts short of a millisecond */
    uint32_t ms;
    uint32_t jitter;
} clock_state;

void hil_clock_start(void) {
    hil_counter_start();
    clock_state.last = hil_counter();
}

/* Must be called at least once in 2^32 counts (170 s at 25 MHz); every wait and every sleep does. */
uint32_t hil_board_ms(void) {
    uint32_t mask = hil_irq_save();
    uint32_t now = hil_counter();
    uint32_t elapsed = now - clock_state.last;
    uint32_t whole = elapsed / COUNTS_PER_MS;
    clock_state.last = now;
    clock_state.rest += elapsed % COUNTS_PER_MS;
    if (clock_state.rest >= COUNTS_PER_MS) {
        clock_state.rest -= COUNTS_PER_MS;
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
    uint32_t mixed = clock_state.jitter ^ hil_counter();
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
