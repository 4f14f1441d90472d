/* The flash controller of STM32H563, by its non-secure registers. */
#include "fault.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

#define BASE      0x08000000u
#define REGISTERS 0x40022000u
enum { NSKEYR = 0x04, OPTKEYR = 0x0C, OPTCR = 0x1C, NSSR = 0x20, NSCR = 0x28, NSCCR = 0x30, OPTSR = 0x50 };
enum { OPTSR_PRG = 0x54, WRP1_CUR = 0xE8, WRP1_PRG = 0xEC };
enum { LOCK = 1, PG = 2, SER = 4, BER = 8, FW = 0x10, STRT = 0x20, MER = 0x8000 };
#define BKSEL  (1u << 31)
#define BSY    1u
#define WBNE   2u
#define EOP    (1u << 16)
#define WRPERR (1u << 17)
#define PGSERR (1u << 18)
#define INCERR (1u << 20)
#define SECTOR ((size_t)8192)
#define FLAGS  0x00FF0000u

static uint32_t get(struct hil_board *board, uint32_t offset) {
    uint32_t value = 0;
    CHECK(hil_bus_read(board, HIL_DEBUGGER, REGISTERS + offset, 4, &value));
    return value;
}

static void put(struct hil_board *board, uint32_t offset, uint32_t value) {
    CHECK(hil_bus_write(board, HIL_DEBUGGER, REGISTERS + offset, 4, value));
}

static uint32_t result(struct hil_board *board) {
    unsigned polls = 0;
    uint32_t sr;
    while (((sr = get(board, NSSR)) & BSY) != 0 && polls < 100) {
        polls++;
    }
    CHECK(polls < 100);
    put(board, NSCCR, FLAGS);
    return sr & FLAGS;
}

static struct hil_board *unlocked(void) {
    struct hil_board *board = new_board("stm32h563");
    put(board, NSKEYR, 0x45670123);
    put(board, NSKEYR, 0xCDEF89AB);
    return board;
}

/* One quad-word, as words. */
static void program(struct hil_board *board, uint32_t address) {
    for (uint32_t i = 0; i < 4; i++) {
        CHECK(hil_bus_write(board, HIL_DEBUGGER, address + 4 * i, 4, 0x01010101u * (i + 1)));
    }
}

static void identity(void) {
    struct hil_board *board = new_board("stm32h563");
    uint32_t value = 0;
    connect_ap(board); /* the core's AP is number 1 */
    EQUAL(read_word(board, 0x44024000), 0x10016484);
    EQUAL(read_word(board, 0xE000ED00), 0x410FD214);
    CHECK(hil_bus_read(board, HIL_DEBUGGER, 0x08FFF80C, 2, &value));
    EQUAL(value, 2048);
    tap_reset(board);
    EQUAL(scan_dr(board, 0, 32), 0x6BA00477);
    free(board);
}

static void programming(void) {
    struct hil_board *board = new_board("stm32h563");
    EQUAL(get(board, NSCR), LOCK);
    put(board, NSCR, PG);
    EQUAL(get(board, NSCR), LOCK);
    program(board, BASE);
    EQUAL(result(board), PGSERR);
    put(board, NSKEYR, 0x45670123);
    put(board, NSKEYR, 0xCDEF89AB);
    EQUAL(get(board, NSCR), 0);
    put(board, NSCR, PG);
    CHECK(hil_bus_write(board, HIL_DEBUGGER, BASE + 0x100, 4, 0x11111111));
    EQUAL(get(board, NSSR) & WBNE, WBNE); /* waits for the rest of its 16 bytes */
    EQUAL(board->flash[0x100], 0xFF);
    CHECK(hil_bus_write(board, HIL_DEBUGGER, BASE + 0x110, 4, 0)); /* another quad-word in between */
    EQUAL(result(board), INCERR);
    program(board, BASE + 0x100);
    EQUAL(result(board), EOP);
    EQUAL(board->flash[0x100], 1);
    EQUAL(board->flash[0x10F], 4);
    EQUAL(board->programmed, 1);
    CHECK(hil_bus_write(board, HIL_DEBUGGER, BASE + 0x200, 2, 0x2222));
    put(board, NSCR, PG | FW); /* forced */
    EQUAL(result(board), EOP);
    EQUAL(board->flash[0x201], 0x22);
    EQUAL(board->flash[0x202], 0xFF);
    put(board, NSCR, LOCK);
    put(board, NSKEYR, 1);
    put(board, NSKEYR, 0x45670123);
    put(board, NSKEYR, 0xCDEF89AB);
    EQUAL(get(board, NSCR), LOCK); /* a wrong key: until reset */
    free(board);
}

static void erasing(void) {
    struct hil_board *board = unlocked();
    memset(board->flash, 0, sizeof board->flash);
    put(board, NSCR, SER | 5 << 6 | STRT);
    EQUAL(result(board), EOP);
    CHECK(board->flash[5 * SECTOR - 1] == 0 && board->flash[5 * SECTOR] == 0xFF);
    CHECK(board->flash[6 * SECTOR - 1] == 0xFF && board->flash[6 * SECTOR] == 0);
    put(board, NSCR, SER | BKSEL | 127u << 6 | STRT);
    EQUAL(result(board), EOP);
    CHECK(board->flash[255 * SECTOR - 1] == 0 && board->flash[255 * SECTOR] == 0xFF);
    put(board, NSCR, STRT);
    EQUAL(result(board), PGSERR);
    put(board, NSCR, BER | BKSEL | STRT);
    EQUAL(result(board), EOP);
    CHECK(board->flash[128 * SECTOR - 1] == 0 && board->flash[128 * SECTOR] == 0xFF);
    put(board, NSCR, MER | STRT);
    EQUAL(result(board), EOP);
    EQUAL(board->flash[0], 0xFF);
    free(board);
}

static void protection(void) {
    struct hil_board *board = unlocked();
    (void)hil_fault_arm(board, hil_fault_named("nwrp"), 1);
    EQUAL(get(board, WRP1_CUR), UINT32_MAX - 1);
    put(board, NSCR, SER | 3 << 6 | STRT); /* group 0 is sectors 0–3 */
    EQUAL(result(board), WRPERR);
    put(board, NSCR, SER | 4 << 6 | STRT);
    EQUAL(result(board), EOP);
    put(board, NSCR, PG);
    program(board, BASE + 0x7FF0);
    EQUAL(result(board), WRPERR);
    put(board, WRP1_PRG, UINT32_MAX);
    EQUAL(get(board, WRP1_PRG), UINT32_MAX - 1); /* locked */
    put(board, OPTKEYR, 0x08192A3B);
    put(board, OPTKEYR, 0x4C5D6E7F);
    put(board, WRP1_PRG, UINT32_MAX);
    put(board, OPTCR, 2);
    (void)result(board);
    EQUAL(get(board, WRP1_CUR), UINT32_MAX);
    put(board, OPTCR, LOCK);
    EQUAL(get(board, OPTCR), LOCK);
    program(board, BASE + 0x7FF0);
    EQUAL(result(board), EOP);
    free(board);
}

/* A closed product answers no access to its memory; the option bytes are out of reach, too. */
static void closed(void) {
    struct hil_board *board = new_board("stm32h563");
    connect_ap(board);
    (void)hil_fault_arm(board, hil_fault_named("rdp1"), 0);
    (void)read_word(board, 0x44024000);
    EQUAL(ctrl_stat(board) & 1u << 5, 1u << 5);
    hil_fault_clear(board);
    connect_ap(board);
    EQUAL(read_word(board, 0x44024000), 0x10016484);
    board->flash[9] = 0;
    hil_fault_arm(board, hil_fault_named("rdp1"), 0);
    put(board, OPTKEYR, 0x08192A3B);
    put(board, OPTKEYR, 0x4C5D6E7F);
    put(board, OPTSR_PRG, 0xED00); /* from inside: open again */
    put(board, OPTCR, 2);
    (void)result(board);
    EQUAL(get(board, OPTSR), 0xED00);
    EQUAL(board->flash[9], 0xFF); /* at a price */
    free(board);
}

int main(void) {
    identity();
    programming();
    erasing();
    protection();
    closed();
    return failures();
}
