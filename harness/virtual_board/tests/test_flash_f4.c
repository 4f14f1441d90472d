/* The flash controller of STM32F4, by the registers and words a loader would write. */
#include "fault.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

#define BASE    0x08000000u
#define ACR     0x40023C00u
#define KEYR    0x40023C04u
#define OPTKEYR 0x40023C08u
#define SR      0x40023C0Cu
#define CR      0x40023C10u
#define OPTCR   0x40023C14u
#define OPTCR1  0x40023C18u
#define BSY     (1u << 16)
#define LOCK    (1u << 31)
#define PG      1u
#define SER     2u
#define STRT    (1u << 16)
enum { WRPERR = 0x10, PGAERR = 0x20, PGPERR = 0x40, PGSERR = 0x80, ERRORS = 0xF0 };

static uint32_t get(struct hil_board *board, uint32_t address, unsigned size) {
    uint32_t value = 0;
    CHECK(hil_bus_read(board, HIL_CORE, address, size, &value));
    return value;
}

static void put(struct hil_board *board, uint32_t address, unsigned size, uint32_t value) {
    CHECK(hil_bus_write(board, HIL_CORE, address, size, value));
}

static struct hil_board *unlocked(const char *part) {
    struct hil_board *board = new_board(part);
    put(board, KEYR, 4, 0x45670123);
    put(board, KEYR, 4, 0xCDEF89AB);
    return board;
}

/* Waits for BSY as a driver does, returns the error bits and clears them. */
static uint32_t result(struct hil_board *board) {
    unsigned polls = 0;
    uint32_t sr;
    while (((sr = get(board, SR, 4)) & BSY) != 0 && polls < 100) {
        polls++;
    }
    CHECK(polls < 100);
    put(board, SR, 4, ERRORS);
    EQUAL(get(board, SR, 4), 0);
    return sr & ERRORS;
}

static void locking(void) {
    struct hil_board *board = new_board("stm32f405");
    EQUAL(get(board, CR, 4), LOCK);
    put(board, CR, 4, PG);
    EQUAL(get(board, CR, 4), LOCK); /* locked: ignored */
    put(board, KEYR, 4, 0x45670123);
    put(board, KEYR, 4, 0xCDEF89AB);
    EQUAL(get(board, CR, 4), 0);
    put(board, CR, 4, LOCK);
    EQUAL(get(board, CR, 4), LOCK);
    put(board, KEYR, 4, 0xDEAD); /* a wrong key: until the next reset */
    put(board, KEYR, 4, 0x45670123);
    put(board, KEYR, 4, 0xCDEF89AB);
    EQUAL(get(board, CR, 4), LOCK);
    hil_board_reset(board);
    put(board, KEYR, 4, 0x45670123);
    put(board, KEYR, 4, 0xCDEF89AB);
    EQUAL(get(board, CR, 4), 0);
    put(board, ACR, 4, 0x102);
    EQUAL(get(board, ACR, 4), 0x102);
    free(board);
}

static void programming(void) {
    struct hil_board *board = unlocked("stm32f405");
    put(board, BASE, 2, 0x1234); /* PG is not set */
    EQUAL(result(board), PGSERR);
    EQUAL(get(board, BASE, 4), UINT32_MAX);
    put(board, CR, 4, PG | 0 << 8);
    put(board, BASE + 3, 1, 0x7F);
    EQUAL(result(board), 0);
    put(board, CR, 4, PG | 1 << 8);
    put(board, BASE, 2, 0x1234);
    EQUAL(result(board), 0);
    put(board, CR, 4, PG | 2 << 8);
    put(board, BASE + 4, 4, 0xA5A5F00F);
    EQUAL(result(board), 0);
    EQUAL(get(board, BASE, 4), 0x7FFF1234);
    put(board, BASE + 4, 4, 0x0FF00FF0); /* bits only go to 0 */
    EQUAL(result(board), 0);
    EQUAL(get(board, BASE + 4, 4), 0xA5A5F00F & 0x0FF00FF0);
    put(board, BASE + 8, 2, 0); /* another size than PSIZE */
    EQUAL(result(board), PGPERR);
    put(board, BASE + 10, 4, 0); /* unaligned */
    EQUAL(result(board), PGAERR);
    EQUAL(get(board, BASE + 8, 4), UINT32_MAX);
    EQUAL(board->programmed, 4);
    put(board, 8, 4, 0x55); /* by the alias at 0 */
    EQUAL(result(board), 0);
    EQUAL(get(board, BASE + 8, 4), 0x55);
    uint32_t ignored = 0;
    CHECK(!hil_bus_write(board, HIL_CORE, BASE + 1024 * 1024, 4, 0));
    CHECK(!hil_bus_read(board, HIL_CORE, BASE + 1024 * 1024 - 2, 4, &ignored));
    free(board);
}

static void fill(struct hil_board *board) {
    memset(board->flash, 0, board->part->flash_size);
}

/* The first and the last byte of the erased range, and their neighbours. */
static void erased(const struct hil_board *board, uint32_t from, uint32_t to) {
    CHECK(board->flash[from] == 0xFF && board->flash[to - 1] == 0xFF);
    CHECK(from == 0 || board->flash[from - 1] == 0);
    CHECK(to >= board->part->flash_size || to >= HIL_FLASH_MAX || board->flash[to] == 0);
}

static void erasing(void) {
    struct hil_board *board = unlocked("stm32f405");
    static const struct {
        unsigned sector;
        uint32_t from, to;
    } map[] = {{0, 0, 0x4000},
               {3, 0xC000, 0x10000},
               {4, 0x10000, 0x20000},
               {5, 0x20000, 0x40000},
               {11, 0xE0000, 0x100000}};
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++) {
        fill(board);
        put(board, CR, 4, SER | map[i].sector << 3 | STRT);
        EQUAL(result(board), 0);
        erased(board, map[i].from, map[i].to);
    }
    fill(board);
    put(board, CR, 4, SER | 12 << 3 | STRT); /* there is none */
    EQUAL(result(board), PGSERR);
    put(board, CR, 4, STRT);
    EQUAL(result(board), PGSERR);
    CHECK(board->flash[0] == 0);
    put(board, CR, 4, 4 | STRT);
    EQUAL(result(board), 0);
    erased(board, 0, 1024 * 1024);
    free(board);
}

static void two_banks(void) {
    struct hil_board *board = unlocked("stm32f429");
    fill(board);
    put(board, CR, 4, SER | 0x10 << 3 | STRT); /* sector 12 */
    EQUAL(result(board), 0);
    erased(board, 0x100000, 0x104000);
    fill(board);
    put(board, CR, 4, SER | 0x1B << 3 | STRT);
    EQUAL(result(board), 0);
    erased(board, 0x1E0000, 0x200000);
    fill(board);
    put(board, CR, 4, 1u << 15 | STRT);
    EQUAL(result(board), 0);
    erased(board, 0x100000, 0x200000);
    free(board);
    board = unlocked("stm32f401");
    fill(board);
    put(board, CR, 4, SER | 8 << 3 | STRT); /* 512 KB end with sector 7 */
    EQUAL(result(board), PGSERR);
    free(board);
}

static void set_options(struct hil_board *board, uint32_t value) {
    put(board, OPTKEYR, 4, 0x08192A3B);
    put(board, OPTKEYR, 4, 0x4C5D6E7F);
    put(board, OPTCR, 4, value);
    put(board, OPTCR, 4, value | 2);
}

static void write_protection(void) {
    struct hil_board *board = unlocked("stm32f405");
    EQUAL(get(board, OPTCR, 4), 0x0FFFAAED);
    put(board, OPTCR, 4, 0);
    EQUAL(get(board, OPTCR, 4), 0x0FFFAAED); /* locked */
    set_options(board, 0x0FFEAAEC);          /* nWRP0 */
    EQUAL(result(board), 0);
    put(board, CR, 4, SER | STRT);
    EQUAL(result(board), WRPERR);
    put(board, CR, 4, SER | 1 << 3 | STRT);
    EQUAL(result(board), 0);
    put(board, CR, 4, PG | 1 << 8);
    put(board, BASE, 2, 0);
    EQUAL(result(board), WRPERR);
    put(board, BASE + 0x4000, 2, 0);
    EQUAL(result(board), 0);
    put(board, CR, 4, 4 | STRT); /* mass erase with one protected sector */
    EQUAL(result(board), WRPERR);
    hil_board_power_cycle(board);
    EQUAL(get(board, OPTCR, 4), 0x0FFEAAED); /* option bytes stay */
    hil_fault_clear(board);
    EQUAL(get(board, OPTCR, 4), 0x0FFFAAED);
    free(board);
}

static void read_protection(void) {
    struct hil_board *board = unlocked("stm32f405");
    uint32_t value = 0;
    board->flash[0x20000] = 1;
    set_options(board, 0x0FFF55EC);
    EQUAL(result(board), 0);
    EQUAL(hil_f4_rdp_level(board), 1);
    CHECK(!hil_bus_read(board, HIL_DEBUGGER, BASE, 4, &value));
    CHECK(hil_bus_read(board, HIL_CORE, BASE, 4, &value));
    put(board, CR, 4, SER | STRT);
    EQUAL(result(board), WRPERR);
    put(board, OPTCR, 4, 0x0FFFAAEC | 2); /* back to level 0: everything goes */
    EQUAL(result(board), 0);
    CHECK(hil_bus_read(board, HIL_DEBUGGER, BASE + 0x20000, 4, &value));
    EQUAL(value, UINT32_MAX);
    put(board, OPTCR, 4, 0x0FFFCCEC | 2);
    EQUAL(result(board), 0);
    EQUAL(hil_f4_rdp_level(board), 2);
    put(board, OPTCR, 4, 0x0FFFAAEC | 2); /* for ever */
    EQUAL(result(board), WRPERR);
    EQUAL(hil_f4_rdp_level(board), 2);
    free(board);
}

static void faults(void) {
    struct hil_board *board = unlocked("stm32f405");
    put(board, CR, 4, PG | 1 << 8);
    (void)hil_fault_arm(board, hil_fault_named("wrperr"), 0);
    put(board, BASE, 2, 0);
    EQUAL(result(board), WRPERR);
    EQUAL(get(board, BASE, 2), 0xFFFF);
    hil_fault_clear(board);
    (void)hil_fault_arm(board, hil_fault_named("verify-mismatch"), 1);
    put(board, BASE, 2, 0x2040);
    EQUAL(result(board), 0);
    EQUAL(get(board, BASE, 2), 0x2140);
    hil_fault_clear(board);
    CHECK(hil_fault_arm(board, hil_fault_named("reset_mid_write"), 2));
    uint64_t resets = board->resets;
    put(board, BASE + 2, 2, 0);
    EQUAL(board->resets, resets);
    put(board, BASE + 4, 2, 0);
    EQUAL(board->resets, resets + 1);
    EQUAL(get(board, CR, 4), LOCK);
    for (int i = 0; i < HIL_PENDING_MAX; i++) {
        CHECK(hil_fault_arm(board, hil_fault_named("ap_fault"), 9));
    }
    CHECK(!hil_fault_arm(board, hil_fault_named("ap_fault"), 9));
    hil_fault_clear(board);
    (void)hil_fault_arm(board, hil_fault_named("bsy_stuck"), 0);
    for (int i = 0; i < 50; i++) {
        EQUAL(get(board, SR, 4) & BSY, BSY);
    }
    free(board);
}

int main(void) {
    locking();
    programming();
    erasing();
    two_banks();
    write_protection();
    read_protection();
    faults();
    return failures();
}
