/* The interpreter: one row an area, assembled by GNU as (the source stands above each row), run in RAM to its
 * BKPT. */
#include "thumb.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM   0x20000000u
#define STACK (RAM + 0x1000)

struct row {
    const char *name;
    uint16_t code[48];
    size_t n;
    struct {
        uint8_t reg;
        uint32_t value;
    } wanted[12];
    size_t wanted_n;
};

// clang-format off
static const struct row rows[] = {
    /* movs r0,#0x81; lsls r1,r0,#24; asrs r2,r1,#24; lsrs r3,r1,#31; rors r1,r3; mvns r4,r0; rev r5,r0; rev16 r6,r0; sxtb r7,r0 */
    {"moves and shifts", {0x2081, 0x0601, 0x160A, 0x0FCB, 0x41D9, 0x43C4, 0xBA05, 0xBA46, 0xB247, 0xBE00}, 10, {{1, 0x40800000}, {2, 0xFFFFFF81}, {3, 0x1}, {4, 0xFFFFFF7E}, {5, 0x81000000}, {6, 0x8100}, {7, 0xFFFFFF81}}, 7},
    /* movs r0,#1; rsbs r0,r0,#0; movs r1,#32; movs r2,#33; mov r3,r0; lsls r3,r1; mov r4,r0; lsrs r4,r2; mov r5,r0; asrs r5,r2; lsrs r6,r0,#32; asrs r7,r0,#32 */
    {"shifts by 32 and more", {0x2001, 0x4240, 0x2120, 0x2221, 0x4603, 0x408B, 0x4604, 0x40D4, 0x4605, 0x4115, 0x0806, 0x1007, 0xBE00}, 13, {{3, 0x0}, {4, 0x0}, {5, 0xFFFFFFFF}, {6, 0x0}, {7, 0xFFFFFFFF}}, 5},
    /* movs r0,#0; mvns r0,r0; movs r1,#1; adds r2,r0,r1; adcs r1,r1; movs r3,#0; sbcs r3,r0; cmp r0,#1; sbcs r2,r1; cmn r0,r1 */
    {"carry chain", {0x2000, 0x43C0, 0x2101, 0x1842, 0x4149, 0x2300, 0x4183, 0x2801, 0x418A, 0x42C8, 0xBE00}, 11, {{1, 0x3}, {2, 0xFFFFFFFD}, {3, 0x0}}, 3},
    /* movs r0,#0; movs r1,#5; cmp r1,#5; bne 1f; adds r0,#1; 1: cmp r1,#6; bge 2f; adds r0,#2; 2: cmp r1,#4; bls 3f; adds r0,#4; 3: movs r2,#0; mvns r2,r2; cmp r2,#0; bpl 4f; adds r0,#8; 4: cmp r1,r2; bhi 5f; adds r0,#16; 5: bgt 6f; b 7f; 6: adds r0,#32; 7: lsls r3,r2,#31; adds r3,r3,r3; bvc 8f; adds r0,#64; 8: nop */
    {"conditions", {0x2000, 0x2105, 0x2905, 0xD100, 0x3001, 0x2906, 0xDA00, 0x3002, 0x2904, 0xD900, 0x3004, 0x2200, 0x43D2, 0x2A00, 0xD500, 0x3008, 0x4291, 0xD800, 0x3010, 0xDC00, 0xE000, 0x3020, 0x07D3, 0x18DB, 0xD700, 0x3040, 0xBF00, 0xBE00}, 28, {{0, 0x7F}}, 1},
    /* movs r0,#3; cmp r0,#3; ittee eq; addeq r0,#1; moveq r1,#7; addne r0,#100; movne r1,#9; beq 1f; movs r0,#0; 1: cmp r0,#9; it lt; movlt r2,#1; it ge; movge r3,#1 */
    {"IT blocks keep flags", {0x2003, 0x2803, 0xBF07, 0x3001, 0x2107, 0x3064, 0x2109, 0xD000, 0x2000, 0x2809, 0xBFB8, 0x2201, 0xBFA8, 0x2301, 0xBE00}, 15, {{0, 0x4}, {1, 0x7}, {2, 0x1}, {3, 0x0}}, 4},
    /* mov r0,sp; ldr r1,=0x89ABCDEF; str r1,[r0,#4]; ldrh r2,[r0,#4]; ldrb r3,[r0,#7]; movs r4,#6; ldrsh r5,[r0,r4]; ldrsb r6,[r0,r4]; strb r2,[r0,#5]; strh r3,[r0,#6]; ldr r7,[r0,#4]; b 1f; .pool; 1: nop */
    {"loads and stores", {0x4668, 0x4905, 0x6041, 0x8882, 0x79C3, 0x2406, 0x5F05, 0x5706, 0x7142, 0x80C3, 0x6847, 0xE001, 0xCDEF, 0x89AB, 0xBF00, 0xBE00}, 16, {{2, 0xCDEF}, {3, 0x89}, {5, 0xFFFF89AB}, {6, 0xFFFFFFAB}, {7, 0x89EFEF}}, 5},
    /* movs r0,#1; movs r1,#2; movs r2,#3; push {r0-r2}; movs r0,#0; pop {r3-r5}; mov r6,sp; stmia r6!,{r3,r4}; subs r6,#8; ldmia r6!,{r0,r1}; sub sp,#8; add r7,sp,#4; add sp,#8; mov r2,sp; subs r7,r2,r7 */
    {"push, pop, multiple", {0x2001, 0x2102, 0x2203, 0xB407, 0x2000, 0xBC38, 0x466E, 0xC618, 0x3E08, 0xCE03, 0xB082, 0xAF01, 0xB002, 0x466A, 0x1BD7, 0xBE00}, 16, {{0, 0x1}, {1, 0x2}, {3, 0x1}, {4, 0x2}, {5, 0x3}, {7, 0x4}}, 6},
    /* movs r0,#0; bl 1f; adds r0,#1; b 2f; 1: push {lr}; adds r0,#16; pop {pc}; 2: nop */
    {"calls and returns", {0x2000, 0xF000, 0xF802, 0x3001, 0xE002, 0xB500, 0x3010, 0xBD00, 0xBF00, 0xBE00}, 10, {{0, 0x11}}, 1},
    /* movs r0,#0; movs r1,#1; cbz r0,1f; movs r1,#9; 1: cbnz r1,2f; movs r1,#8; 2: adr r2,3f; adds r2,#1; bx r2; movs r1,#7; .align 2; 3: movs r3,#4 */
    {"compare and branch on zero", {0x2000, 0x2101, 0xB100, 0x2109, 0xB901, 0x2108, 0xA201, 0x3201, 0x4710, 0x2107, 0x2304, 0xBE00}, 12, {{1, 0x1}, {3, 0x4}}, 2},
    /* movw r0,#0x1234; movt r0,#0xABCD; mov.w r1,#0x00AB00AB; mov.w r2,#0xAB00AB00; mov.w r3,#0x3FC00; mvn.w r4,#0xFF; add.w r5,r0,#0x1000; addw r6,r0,#0xFFF; subw r7,r0,#0xFFF */
    {"wide moves", {0xF241, 0x2034, 0xF6CA, 0x30CD, 0xF04F, 0x11AB, 0xF04F, 0x22AB, 0xF44F, 0x337F, 0xF06F, 0x04FF, 0xF500, 0x5580, 0xF600, 0x76FF, 0xF6A0, 0x77FF, 0xBE00}, 19, {{0, 0xABCD1234}, {1, 0xAB00AB}, {2, 0xAB00AB00}, {3, 0x3FC00}, {4, 0xFFFFFF00}, {5, 0xABCD2234}, {6, 0xABCD2233}, {7, 0xABCD0235}}, 8},
    /* ldr r0,=0xF0F01234; ldr r1,=0x00FF00FF; and.w r2,r0,r1; bic.w r3,r0,r1; orr.w r4,r0,r1,lsl #8; orn r5,r0,r1; eor.w r6,r0,r1,ror #4; rsb r7,r0,#1; tst.w r0,#0x10000; it ne; addne r7,#1; b 1f; .pool; 1: nop */
    {"wide logic", {0x4809, 0xF04F, 0x11FF, 0xEA00, 0x0201, 0xEA20, 0x0301, 0xEA40, 0x2401, 0xEA60, 0x0501, 0xEA80, 0x1631, 0xF1C0, 0x0701, 0xF410, 0x3F80, 0xBF18, 0x3701, 0xE001, 0x1234, 0xF0F0, 0xBF00, 0xBE00}, 24, {{2, 0xF00034}, {3, 0xF0001200}, {4, 0xFFF0FF34}, {5, 0xFFF0FF34}, {6, 0xFFE23B}, {7, 0xF0FEDCD}}, 6},
    /* ldr r0,=0x12345678; ubfx r1,r0,#4,#8; sbfx r2,r0,#3,#5; movs r3,#0; mvns r3,r3; bfi r3,r0,#8,#12; bfc r0,#0,#16; clz r4,r1; uxtb.w r5,r3,ror #8; sxth r6,r3; lsl.w r7,r1,r4; b 1f; .pool; 1: nop */
    {"bit fields", {0x4809, 0xF3C0, 0x1107, 0xF340, 0x02C4, 0x2300, 0x43DB, 0xF360, 0x2313, 0xF36F, 0x000F, 0xFAB1, 0xF481, 0xFA5F, 0xF593, 0xB21E, 0xFA01, 0xF704, 0xE002, 0x0000, 0x5678, 0x1234, 0xBF00, 0xBE00}, 24, {{0, 0x12340000}, {1, 0x67}, {2, 0xF}, {3, 0xFFF678FF}, {4, 0x19}, {5, 0x78}, {6, 0x78FF}, {7, 0xCE000000}}, 8},
    /* ldr r0,=0xFFFFFFF9; movs r1,#2; sdiv r2,r0,r1; udiv r3,r0,r1; mul r4,r0,r1; mla r5,r1,r1,r0; mls r6,r1,r1,r0; umull r7,r8,r0,r0; smull r9,r10,r0,r1; movs r1,#0; udiv r11,r0,r1; b 1f; .pool; 1: nop */
    {"multiply and divide", {0xF06F, 0x0006, 0x2102, 0xFB90, 0xF2F1, 0xFBB0, 0xF3F1, 0xFB00, 0xF401, 0xFB01, 0x0501, 0xFB01, 0x0611, 0xFBA0, 0x7800, 0xFB80, 0x9A01, 0x2100, 0xFBB0, 0xFBF1, 0xE7FF, 0xBF00, 0xBE00}, 23, {{2, 0xFFFFFFFD}, {3, 0x7FFFFFFC}, {4, 0xFFFFFFF2}, {5, 0xFFFFFFFD}, {6, 0xFFFFFFF5}, {7, 0x31}, {8, 0xFFFFFFF2}, {9, 0xFFFFFFF2}, {10, 0xFFFFFFFF}, {11, 0x0}}, 10},
    /* mov.w r0,#0x80000000; mov.w r1,#-1; sdiv r2,r0,r1 */
    {"signed overflow of a division", {0xF04F, 0x4000, 0xF04F, 0x31FF, 0xFB90, 0xF2F1, 0xBE00}, 7, {{2, 0x80000000}}, 1},
    /* mov r0,sp; ldr r1,=0x11223344; str r1,[r0],#4; strh.w r1,[r0],#2; strb.w r1,[r0,#1]!; ldr r2,[r0,#-7]; ldrh.w r3,[r0,#-3]; ldrsb.w r4,[r0]; mov r5,sp; movs r6,#1; ldr.w r7,[r5,r6,lsl #2]; ldr.w r8,[r5,#0]; b 1f; .pool; 1: subs r0,r0,r5 */
    {"wide loads and stores", {0x4668, 0x490A, 0xF840, 0x1B04, 0xF820, 0x1B02, 0xF800, 0x1F01, 0xF850, 0x2C07, 0xF830, 0x3C03, 0xF990, 0x4000, 0x466D, 0x2601, 0xF855, 0x7026, 0xF8D5, 0x8000, 0xE002, 0x0000, 0x3344, 0x1122, 0x1B40, 0xBE00}, 26, {{0, 0x7}, {2, 0x11223344}, {3, 0x3344}, {4, 0x44}, {8, 0x11223344}}, 5},
    /* mov r0,sp; movs r1,#1; movs r2,#2; strd r1,r2,[r0,#8]; ldrd r3,r4,[r0,#8]; strd r2,r1,[r0],#8; stmdb r0!,{r1-r4}; mov r5,sp; subs r5,#8; ldmia.w r5!,{r6,r7}; subs r0,r5,r0 */
    {"double words and lists", {0x4668, 0x2101, 0x2202, 0xE9C0, 0x1202, 0xE9D0, 0x3402, 0xE8E0, 0x2102, 0xE920, 0x001E, 0x466D, 0x3D08, 0xE8B5, 0x00C0, 0x1A28, 0xBE00}, 17, {{0, 0x8}, {3, 0x1}, {4, 0x2}, {6, 0x1}, {7, 0x2}}, 5},
    /* movs r0,#0; cmp r0,#0; beq.w 1f; adds r0,#1; 1: bne.w 2f; adds r0,#2; 2: b.w 3f; adds r0,#4; 3: dsb; isb; nop.w; cpsid i; adds r0,#8 */
    {"wide branches", {0x2000, 0x2800, 0xF000, 0x8001, 0x3001, 0xF040, 0x8001, 0x3002, 0xF000, 0xB801, 0x3004, 0xF3BF, 0x8F4F, 0xF3BF, 0x8F6F, 0xF3AF, 0x8000, 0xB672, 0x3008, 0xBE00}, 20, {{0, 0xA}}, 1},
    /* add r0,pc,#0; adr.w r1,.; mov r2,pc; add r2,pc; ldr.w r3,1f; b 2f; .align 2; 1: .word 0x600DF00D; 2: subs r4,r1,r0 */
    {"the pc as an operand", {0xA000, 0xF2AF, 0x0102, 0x467A, 0x447A, 0xF8DF, 0x3004, 0xE001, 0xF00D, 0x600D, 0x1A0C, 0xBE00}, 12, {{3, 0x600DF00D}, {4, 0xFFFFFFFE}}, 2},
    /* ldr r0,=0x12345678; rev.w r8,r0; rbit r1,r0; rev16.w r2,r0; movw r3,#0xFFFE; smulbb r4,r3,r0; smultb r5,r0,r3; smlabt r6,r3,r0,r4; movs r7,#1; mov r9,r7; umlal r7,r9,r0,r3; movs r10,#0; mov r11,r10; smlal r10,r11,r4,r7; b 1f; .pool; 1: nop */
    {"reversals, halves, long sums", {0x480C, 0xFA90, 0xF880, 0xFA90, 0xF1A0, 0xFA90, 0xF290, 0xF64F, 0x73FE, 0xFB13, 0xF400, 0xFB10, 0xF523, 0xFB13, 0x4610, 0x2701, 0x46B9, 0xFBE0, 0x7903, 0xF05F, 0x0A00, 0x46D3, 0xFBC4, 0xAB07, 0xE002, 0x0000, 0x5678, 0x1234, 0xBF00, 0xBE00}, 30, {{8, 0x78563412}, {1, 0x1E6A2C48}, {2, 0x34127856}, {4, 0xFFFF5310}, {5, 0xFFFFDB98}, {6, 0xFFFF2EA8}, {7, 0x320F5311}, {9, 0x1235}}, 8},
    /* movs r0,#2; movs r2,#0; tbb [pc,r0]; 1: .byte 2,3,5,0; adds r2,#1; adds r2,#2; adds r2,#4; adds r2,#8; movs r0,#1; tbh [pc,r0,lsl #1]; .hword 3,4; adds r2,#16; adds r2,#32; adds r2,#64 */
    {"table branches", {0x2002, 0x2200, 0xE8DF, 0xF000, 0x0302, 0x0005, 0x3201, 0x3202, 0x3204, 0x3208, 0x2001, 0xE8DF, 0xF010, 0x0003, 0x0004, 0x3210, 0x3220, 0x3240, 0xBE00}, 19, {{2, 0x48}}, 1},
};
// clang-format on

static struct hil_board *at_code(const uint16_t *code, size_t n) {
    struct hil_board *board = new_board("stm32f405");
    memset(board->core.r, 0, sizeof board->core.r);
    memcpy(board->ram, code, n * sizeof code[0]);
    board->core.r[13] = STACK;
    board->core.r[15] = RAM;
    board->core.xpsr = 1u << 24;
    board->core.dhcsr = 1;
    board->core.running = HIL_CODE;
    return board;
}

static void run(const struct row *row) {
    struct hil_board *board = at_code(row->code, row->n);
    (void)hil_core_execute(board, 1000);
    if (!board->core.halted || board->core.r[15] != RAM + 2 * (row->n - 1)) {
        fprintf(stderr, "%s: ended at %08x: %s\n", row->name, board->core.r[15],
                board->log[(board->logged - 1) % HIL_LOG_LINES]);
        CHECK(board->core.halted);
    }
    for (size_t i = 0; i < row->wanted_n; i++) {
        if (board->core.r[row->wanted[i].reg] != row->wanted[i].value) {
            fprintf(stderr, "%s: r%u\n", row->name, row->wanted[i].reg);
            EQUAL(board->core.r[row->wanted[i].reg], row->wanted[i].value);
        }
    }
    free(board);
}

/* Encodings nobody gave a meaning, floating point, and faults: a lockup that is logged, never a guess. */
static void refused(void) {
    static const uint16_t bad[][2] = {{0xDE00, 0},      {0xDF01, 0},      {0xEE00, 0x0A10}, {0xB740, 0},
                                      {0xE850, 0x0F00}, {0xF7F0, 0xA000}, {0xF3C0, 0x0F1F}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct hil_board *board = at_code(bad[i], 2);
        (void)hil_core_execute(board, 1);
        if (board->core.running != HIL_LOCKUP) {
            fprintf(stderr, "%04x %04x: ", bad[i][0], bad[i][1]);
        }
        EQUAL(board->core.running, HIL_LOCKUP);
        free(board);
    }
    static const uint16_t to_arm[] = {0x4700};  /* bx r0, with 0: no Thumb state */
    static const uint16_t nowhere[] = {0x6801}; /* ldr r1, [r0] */
    struct hil_board *board = at_code(to_arm, 1);
    (void)hil_core_execute(board, 1);
    EQUAL(board->core.running, HIL_LOCKUP);
    free(board);
    board = at_code(nowhere, 1);
    board->core.r[0] = 0x70000000;
    (void)hil_core_execute(board, 1);
    EQUAL(board->core.running, HIL_LOCKUP);
    free(board);
}

/* Each of the 65,536 half-words, alone and before each of some others, in a board that must survive it. */
static void everything(void) {
    struct hil_board *board = at_code((const uint16_t[]){0xBE00}, 1);
    uint32_t seed = 1;
    for (uint32_t op = 0; op < 0x10000; op++) {
        for (int i = 0; i < 4; i++) {
            seed = seed * 1664525u + 1013904223u;
            uint32_t low = i == 0 ? 0xBF00 : seed >> 16;
            for (unsigned r = 0; r < 15; r++) {
                board->core.r[r] = RAM + (seed >> r & 0xFFC);
            }
            memcpy(board->ram, (const uint16_t[]){(uint16_t)op, (uint16_t)low}, 4);
            board->core.r[15] = RAM;
            board->core.it = 0;
            board->core.halted = false;
            board->core.running = HIL_CODE;
            (void)hil_core_execute(board, 1);
            CHECK((board->core.r[15] & 1) == 0);
        }
    }
    free(board);
}

int main(void) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run(&rows[i]);
    }
    refused();
    everything();
    return failures();
}
