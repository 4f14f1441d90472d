/* Drives a board as OpenOCD does, by remote_bitbang bytes, and counts what went wrong. */
#ifndef HIL_VBOARD_TEST_WIRE_H
#define HIL_VBOARD_TEST_WIRE_H

#include "bitbang.h"
#include "board.h"

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)
#define EQUAL(a, b)      equal((uint64_t)(a), (uint64_t)(b), #a, __FILE__, __LINE__)

enum { ABORT = 0x8, DPACC = 0xA, APACC = 0xB, IDCODE = 0xE, BYPASS = 0xF };
enum { CTRL_STAT = 0x4, SELECT = 0x8, RDBUFF = 0xC, CSW = 0x0, TAR = 0x4, DRW = 0xC };
enum { WAIT = 1, OK = 2 };

void check(bool good, const char *what, const char *file, int line);
void equal(uint64_t a, uint64_t b, const char *what, const char *file, int line);
int failures(void);

/* A powered board of its own; freed at exit. */
struct hil_board *new_board(const char *part);
/* Bytes to the board; what it answers. At most 4096 of both. */
size_t bytes(struct hil_board *board, const char *text, char *answers);
void tap_reset(struct hil_board *board);
/* The instruction registers: JTAG-DP, and BYPASS for the other TAP. Returns what was captured (9 bits). */
unsigned scan_ir(struct hil_board *board, unsigned instruction);
/* `bits` (at most 64) through the whole chain, and what came out. */
uint64_t scan_dr(struct hil_board *board, uint64_t out, unsigned bits);
/* One DPACC or APACC scan; returns the acknowledge; *in (may be NULL) is the result of the scan before. */
unsigned scan_acc(struct hil_board *board, unsigned instruction, bool read, unsigned address, uint32_t out,
                  uint32_t *in);
/* Powers the debug port up and sets the MEM-AP to 32-bit accesses with single increment. */
void connect_ap(struct hil_board *board);
uint32_t read_word(struct hil_board *board, uint32_t address);
void write_word(struct hil_board *board, uint32_t address, uint32_t value);
uint32_t ctrl_stat(struct hil_board *board);

#endif
