/* Debug registers of the core: halt, step, resume, registers, reset with and without vector catch, lockup. */
#include "fault.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

#define RAM      0x20000000u
#define DHCSR    0xE000EDF0u
#define DCRSR    0xE000EDF4u
#define DCRDR    0xE000EDF8u
#define DEMCR    0xE000EDFCu
#define DFSR     0xE000ED30u
#define AIRCR    0xE000ED0Cu
#define KEY      0xA05F0000u
#define S_HALT   (1u << 17)
#define S_LOCKUP (1u << 19)
#define S_RESET  (1u << 25)

static int started, stopped;

static bool start(void *self, struct hil_board *board) {
    (void)self;
    (void)board;
    started++;
    return true;
}

static void stop(void *self) {
    (void)self;
    stopped++;
}

/* A board whose flash has vectors: SP at the end of RAM, the reset handler at 0x100. */
static struct hil_board *with_image(void) {
    struct hil_board *board = new_board("stm32f405");
    static const uint8_t vectors[8] = {0, 0, 2, 0x20, 0x01, 0x01, 0, 8};
    memcpy(board->flash, vectors, sizeof vectors);
    board->outside = (struct hil_outside){NULL, start, stop};
    started = stopped = 0;
    hil_board_reset(board);
    connect_ap(board);
    return board;
}

static uint32_t get(struct hil_board *board, unsigned select) {
    write_word(board, DCRSR, select);
    return read_word(board, DCRDR);
}

static void set(struct hil_board *board, unsigned select, uint32_t value) {
    write_word(board, DCRDR, value);
    write_word(board, DCRSR, 1u << 16 | select);
}

static void blank(void) {
    struct hil_board *board = new_board("stm32f405");
    connect_ap(board);
    EQUAL(read_word(board, DHCSR) & S_LOCKUP, S_LOCKUP); /* erased flash: no vectors */
    write_word(board, DHCSR, KEY | 3);
    EQUAL(read_word(board, DHCSR) & (S_HALT | S_LOCKUP), S_HALT);
    free(board);
}

static void identity(void) {
    struct hil_board *board = with_image();
    EQUAL(read_word(board, 0xE000ED00), 0x410FC241);
    EQUAL(read_word(board, 0xE0042000), 0x10076413);
    EQUAL(read_word(board, 0x1FFF7A20) >> 16, 1024);
    EQUAL(read_word(board, 0xE00FF000), 0xFFF0F003);
    EQUAL(read_word(board, 0xE00FFFF4), 0x10);
    EQUAL(read_word(board, 0xE0002000), 0x260);
    EQUAL(read_word(board, 0), 0x20020000); /* flash is mapped at 0, too */
    EQUAL(read_word(board, 0x40023800), 0); /* RCC: taken, reads 0 */
    free(board);
}

static void halting(void) {
    struct hil_board *board = with_image();
    EQUAL(started, 1);
    CHECK((read_word(board, DHCSR) & S_RESET) != 0);
    CHECK((read_word(board, DHCSR) & S_RESET) == 0); /* read once */
    write_word(board, DHCSR, 0x12340003);            /* without the key */
    CHECK((read_word(board, DHCSR) & S_HALT) == 0);
    write_word(board, DHCSR, KEY | 3);
    CHECK((read_word(board, DHCSR) & S_HALT) != 0);
    EQUAL(read_word(board, DFSR), 1);
    EQUAL(stopped, 1);
    EQUAL(get(board, 15), 0x08000100);
    EQUAL(get(board, 13), 0x20020000);
    set(board, 0, 0xCAFE0001);
    set(board, 16, 0x61000000);
    set(board, 0x40, 0x3F800000);
    EQUAL(get(board, 0), 0xCAFE0001);
    EQUAL(get(board, 16), 0x61000000);
    EQUAL(get(board, 0x40), 0x3F800000);
    EQUAL(get(board, 99), 0);
    write_word(board, DHCSR, KEY | 1);
    EQUAL(started, 2); /* anew */
    set(board, 0, 7);  /* ignored: it runs */
    EQUAL(board->core.r[0], 0xCAFE0001);
    free(board);
}

static void resets(void) {
    struct hil_board *board = with_image();
    write_word(board, DHCSR, KEY | 1);
    write_word(board, DEMCR, 1); /* vector catch */
    write_word(board, AIRCR, 0x05FA0004);
    CHECK((read_word(board, DHCSR) & (S_HALT | S_RESET)) == (S_HALT | S_RESET));
    EQUAL(get(board, 15), 0x08000100);
    EQUAL(read_word(board, DFSR), 1u << 3);
    write_word(board, DEMCR, 0);
    int before = started;
    write_word(board, AIRCR, 0x00000004); /* without the key */
    EQUAL(started, before);
    write_word(board, AIRCR, 0x05FA0004); /* a reset ends the halt */
    EQUAL(started, before + 1);
    CHECK((read_word(board, DHCSR) & S_HALT) == 0);
    write_word(board, DHCSR, KEY | 3);
    (void)bytes(board, "s", NULL); /* held in reset, a halt asked for */
    write_word(board, DHCSR, KEY | 3);
    CHECK((read_word(board, DHCSR) & S_HALT) == 0);
    (void)bytes(board, "r", NULL);
    CHECK((read_word(board, DHCSR) & S_HALT) != 0);
    (void)hil_fault_arm(board, hil_fault_named("reset_ignored"), 0);
    uint64_t resets = board->resets;
    write_word(board, AIRCR, 0x05FA0004);
    EQUAL(board->resets, resets);
    hil_fault_clear(board);
    (void)hil_fault_arm(board, hil_fault_named("no_halt"), 0);
    hil_board_reset(board);
    write_word(board, DHCSR, KEY | 3);
    CHECK((read_word(board, DHCSR) & S_HALT) == 0);
    free(board);
}

/* movs r0, #5; adds r0, #2; bkpt; b . */
static const uint8_t code[] = {0x05, 0x20, 0x02, 0x30, 0x00, 0xBE, 0xFE, 0xE7};

static void stepping(void) {
    struct hil_board *board = with_image();
    memcpy(board->ram, code, sizeof code);
    write_word(board, DHCSR, KEY | 3);
    set(board, 15, RAM | 1);
    write_word(board, DHCSR, KEY | 5); /* step */
    CHECK((read_word(board, DHCSR) & S_HALT) != 0);
    EQUAL(get(board, 0), 5);
    EQUAL(get(board, 15), RAM + 2);
    write_word(board, DHCSR, KEY | 1);
    EQUAL(board->core.running, HIL_CODE);
    EQUAL(hil_core_execute(board, 1000), 2);
    EQUAL(get(board, 0), 7);
    EQUAL(get(board, 15), RAM + 4); /* at its BKPT */
    EQUAL(read_word(board, DFSR) & 2, 2);
    /* hardware breakpoint on the second instruction */
    set(board, 15, RAM);
    write_word(board, 0xE0002000, 3);
    write_word(board, 0xE0002008, (RAM & 0x1FFFFFFC) | 0x80000001); /* upper half-word: 0x20000002 */
    write_word(board, DHCSR, KEY | 1);
    EQUAL(hil_core_execute(board, 1000), 1);
    EQUAL(get(board, 15), RAM + 2);
    write_word(board, 0xE0002008, 0);
    /* a loop that waits is left */
    set(board, 15, RAM + 6);
    write_word(board, DHCSR, KEY | 1);
    CHECK(hil_core_execute(board, 1000) < 10);
    EQUAL(board->core.running, HIL_CODE);
    write_word(board, DHCSR, KEY | 3);
    EQUAL(get(board, 15), RAM + 6);
    /* the fault that keeps loaders from running */
    (void)hil_fault_arm(board, hil_fault_named("loader_stuck"), 0);
    set(board, 15, RAM);
    write_word(board, DHCSR, KEY | 1);
    EQUAL(hil_core_execute(board, 1000), 0);
    free(board);
}

static void locking_up(void) {
    struct hil_board *board = with_image();
    memset(board->ram, 0xDE, 16); /* UDF */
    write_word(board, DHCSR, KEY | 3);
    set(board, 15, RAM);
    write_word(board, DHCSR, KEY | 1);
    (void)hil_core_execute(board, 1000);
    CHECK((read_word(board, DHCSR) & S_LOCKUP) != 0);
    write_word(board, DHCSR, KEY | 3);
    set(board, 15, 0x60000000); /* nothing to fetch */
    write_word(board, DHCSR, KEY | 1);
    CHECK((read_word(board, DHCSR) & S_LOCKUP) != 0);
    hil_board_power_cycle(board);
    EQUAL(board->core.running, HIL_FIRMWARE);
    EQUAL(board->core.dhcsr, 0); /* power-on forgets the debugger */
    free(board);
}

int main(void) {
    blank();
    identity();
    halting();
    resets();
    stepping();
    locking_up();
    return failures();
}
