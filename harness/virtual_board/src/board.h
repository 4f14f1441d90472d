/* The board as one value: every part of it works on `struct hil_board`. Nothing in it knows of sockets, ptys
 * or processes; what concerns the outside goes through `struct hil_outside`. */
#ifndef HIL_BOARD_H
#define HIL_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HIL_FLASH_MAX    (2u * 1024 * 1024)
#define HIL_RAM_MAX      (640u * 1024)
#define HIL_CCM_SIZE     (64u * 1024)
#define HIL_PENDING_MAX  8
#define HIL_LOG_LINES    128
#define HIL_LOG_COLUMNS  120
#define HIL_COMPARATORS  8
#define HIL_MEMORY_RESET 0xA5u /* what RAM holds after power-on: not zero, so that nothing relies on it */

enum hil_family { HIL_F4, HIL_H5 };

/* One microcontroller: a row of the table in part.c. Sizes in bytes. */
struct hil_part {
    const char *name;
    enum hil_family family;
    uint32_t idcode;    /* of the JTAG-DP */
    uint32_t bs_idcode; /* of the boundary-scan TAP behind it */
    uint32_t cpuid, mvfr0, mvfr1;
    uint8_t ap; /* which AP is the core's MEM-AP */
    uint32_t ap_idr;
    uint32_t tar_wrap;  /* auto-increment stays within a block of this size */
    uint32_t device_id; /* DBGMCU_IDCODE */
    uint32_t flash_size, ram_size;
    bool ccm;
    uint32_t size_register; /* address of the 16-bit "flash size in KB" */
};

/* Who accesses the bus: read protection is against the debugger only. */
enum hil_master { HIL_CORE, HIL_DEBUGGER };

/* What the core does when it is neither halted nor held in reset. */
enum hil_running {
    HIL_IDLE,     /* does not run: no power, or held in reset */
    HIL_CODE,     /* a loader in RAM, by the interpreter */
    HIL_FIRMWARE, /* the flashed image: the outside emulates it, or nobody */
    HIL_LOCKUP,
};

struct hil_core {
    uint32_t r[16]; /* r15: address of the next instruction */
    uint32_t xpsr;
    uint32_t msp, psp, special; /* special: CONTROL, FAULTMASK, BASEPRI, PRIMASK */
    uint32_t fp[33];            /* s0–s31, FPSCR */
    uint8_t it;                 /* ITSTATE */
    enum hil_running running;
    bool halted, in_reset, reset_seen, retired, regrdy;
    uint32_t dhcsr; /* the control bits C_* */
    uint32_t demcr, dcrdr, dfsr, cfsr, hfsr, vtor, shcsr, ccr;
    uint32_t fp_ctrl, fp_comp[HIL_COMPARATORS];
    uint32_t dwt_ctrl, dwt[16];
    bool activity; /* the last instructions changed something: not a waiting loop */
};

struct hil_flash_f4 {
    uint32_t acr, sr, cr, optcr, optcr1; /* as registers */
    uint32_t options, options1;          /* as programmed */
    uint8_t key_step, optkey_step;       /* keys given; KEY_DEAD after a wrong one */
    uint8_t busy;                        /* reads of SR that still say BSY */
};

struct hil_flash_h5 {
    uint32_t acr, nssr, nscr, optcr, optsr_prg, optsr, wrp[2], wrp_prg[2];
    uint8_t key_step, optkey_step, busy;
    uint32_t row;    /* offset of the flash word that is being filled */
    uint16_t filled; /* bit n: byte n of it has been written */
    uint8_t buffer[16];
};

struct hil_dap {
    uint32_t ctrl_stat, select, rdbuff;
    uint32_t csw, tar;
    bool stuck; /* an AP access does not end */
};

struct hil_jtag {
    uint8_t state, cpu_ir, bs_ir;
    uint64_t cpu_shift, bs_shift;
    uint8_t cpu_bits, bs_bits;
    bool tck, trst, srst, tdo;
};

enum hil_tdo { HIL_TDO_DRIVEN, HIL_TDO_ZEROES, HIL_TDO_ONES };
/* What makes the faults go away by itself, besides `clear`. */
enum hil_heal { HIL_HEAL_NEVER, HIL_HEAL_RESET, HIL_HEAL_POWER };
enum hil_probe { HIL_PROBE_WELL, HIL_PROBE_EOF, HIL_PROBE_KILLED, HIL_PROBE_SILENT, HIL_PROBE_UNPLUGGED };

/* What the faults in force do; fault.c sets it, the parts obey. */
struct hil_effects {
    enum hil_tdo tdo;
    enum hil_probe probe;
    uint32_t flash_error;       /* bits of FLASH_SR that each programming sets */
    uint32_t flip;              /* offset whose programming stores a wrong bit; see `flips` */
    uint32_t device_id, idcode; /* 0: the part's own */
    bool flips, bsy, ap_wait, ap_fault, loader_stuck, no_halt, reset_ignored, lockup;
    bool console_silent, uplink_silent, console_noise, boots_nothing;
};

struct hil_fault; /* fault.h */

struct hil_pending {
    const struct hil_fault *fault;
    uint32_t argument;
    uint64_t at; /* count of programmings when it strikes */
};

struct hil_board;

/* What the board asks of the outside. All may be NULL. */
struct hil_outside {
    void *self;
    bool (*start_firmware)(void *self, struct hil_board *board); /* true: it is emulated */
    void (*stop_firmware)(void *self);
};

struct hil_board {
    const struct hil_part *part;
    uint8_t flash[HIL_FLASH_MAX];
    uint8_t ram[HIL_RAM_MAX];
    uint8_t ccm[HIL_CCM_SIZE];
    bool powered, emulated;
    struct hil_core core;
    struct hil_flash_f4 f4;
    struct hil_flash_h5 h5;
    struct hil_dap dap;
    struct hil_jtag jtag;
    struct hil_effects effects;
    enum hil_heal heal;
    struct hil_pending pending[HIL_PENDING_MAX];
    uint64_t programmed, erased, resets, power_cycles, boots, halts, instructions, clocks;
    struct hil_outside outside;
    char log[HIL_LOG_LINES][HIL_LOG_COLUMNS];
    uint64_t logged; /* lines ever logged */
};

/* Returns the part or NULL; hil_part_at(n) goes through all and ends with NULL. */
const struct hil_part *hil_part_named(const char *name);
const struct hil_part *hil_part_at(size_t n);

/* `board` becomes a board with erased flash and no power. */
void hil_board_init(struct hil_board *board, const struct hil_part *part);
void hil_board_power(struct hil_board *board, bool on);
void hil_board_power_cycle(struct hil_board *board);
/* NRST: asserted until released. hil_board_reset does both. */
void hil_board_nrst(struct hil_board *board, bool asserted);
void hil_board_reset(struct hil_board *board);
/* A line of the board's log (bounded, the oldest go). */
void hil_board_log(struct hil_board *board, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* memory.c: one access of 1, 2 or 4 bytes; false: bus fault. */
bool hil_bus_read(struct hil_board *board, enum hil_master who, uint32_t address, unsigned size,
                  uint32_t *value);
bool hil_bus_write(struct hil_board *board, enum hil_master who, uint32_t address, unsigned size,
                   uint32_t value);
/* `n` bytes of RAM that start at `address`, or NULL. */
uint8_t *hil_ram_at(struct hil_board *board, uint32_t address, size_t n);
/* Offset of `address` in the flash (either alias); false: not flash. */
bool hil_flash_offset(const struct hil_board *board, uint32_t address, uint32_t *offset);
uint32_t hil_flash_word(const struct hil_board *board, uint32_t offset);

/* flash_*.c: registers by offset, and writes into the array. */
void hil_f4_reset(struct hil_board *board);
void hil_f4_default_options(struct hil_board *board);
void hil_f4_reload_options(struct hil_board *board);
int hil_f4_rdp_level(const struct hil_board *board);
uint32_t hil_f4_read(struct hil_board *board, uint32_t offset);
void hil_f4_write(struct hil_board *board, uint32_t offset, uint32_t value);
void hil_f4_program(struct hil_board *board, uint32_t offset, unsigned size, uint32_t value);

void hil_h5_reset(struct hil_board *board);
void hil_h5_default_options(struct hil_board *board);
void hil_h5_reload_options(struct hil_board *board);
bool hil_h5_closed(const struct hil_board *board);
uint32_t hil_h5_read(struct hil_board *board, uint32_t offset);
void hil_h5_write(struct hil_board *board, uint32_t offset, uint32_t value);
void hil_h5_program(struct hil_board *board, uint32_t offset, unsigned size, uint32_t value);

/* Stores programmed bytes (bits only go from 1 to 0), obeys `flips` and counts; then mid-write faults strike.
 */
void hil_flash_store(struct hil_board *board, uint32_t offset, const uint8_t *bytes, unsigned n);
void hil_flash_erase(struct hil_board *board, uint32_t offset, uint32_t n);

/* cortexm.c */
void hil_core_power_on(struct hil_board *board);
void hil_core_reset(struct hil_board *board, bool asserted);
uint32_t hil_ppb_read(struct hil_board *board, uint32_t address);
void hil_ppb_write(struct hil_board *board, uint32_t address, uint32_t value);
void hil_core_halt(struct hil_board *board, uint32_t why); /* why: bits of DFSR */
void hil_core_lockup(struct hil_board *board, const char *why);
const char *hil_core_state(const struct hil_board *board);

/* execute.c: up to `budget` instructions, fewer when the core halts or only waits. Returns how many. */
unsigned hil_core_execute(struct hil_board *board, unsigned budget);
bool hil_thumb_condition(uint32_t xpsr, unsigned condition);
/* thumb.c, thumb32.c: one instruction; r15 is already behind it. False: it faults, or there is none such
 * here. */
bool hil_thumb16(struct hil_board *board, uint32_t op);
bool hil_thumb32(struct hil_board *board, uint32_t high, uint32_t low);

/* dap.c: one scan of 35 bits; returns the acknowledge of it, and the posted value in *value. */
unsigned hil_dap_capture(struct hil_board *board, bool ap, uint32_t *value);
void hil_dap_update(struct hil_board *board, bool ap, bool read, unsigned address, uint32_t value);
void hil_dap_abort(struct hil_board *board, uint32_t value);
void hil_dap_power_on(struct hil_board *board);

/* jtag.c */
void hil_jtag_reset(struct hil_board *board);
void hil_jtag_write(struct hil_board *board, bool tck, bool tms, bool tdi);
bool hil_jtag_tdo(const struct hil_board *board);

#endif
