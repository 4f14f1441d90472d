/* What a compiler makes of ordinary code, for the board's interpreter: the same file is compiled for the
 * core, run in its RAM, and for this machine; both must come to the same number. SEED from the compiler's
 * command line. */
#include <stdint.h>

static uint32_t seed = SEED;

static uint32_t next(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed;
}

static uint32_t crc(const uint8_t *p, uint32_t n) {
    uint32_t c = 0xFFFFFFFFu;
    for (uint32_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++) {
            c = (c & 1) != 0 ? c >> 1 ^ 0xEDB88320u : c >> 1;
        }
    }
    return c;
}

struct record {
    int16_t a;
    uint8_t b : 3, c : 5;
    int32_t d;
    uint64_t e;
};

static uint32_t records(void) {
    struct record r[8];
    uint32_t sum = 0;
    for (int i = 0; i < 8; i++) {
        uint32_t v = next();
        uint32_t d = next();
        uint32_t e = next();
        r[i] = (struct record){(int16_t)v, (uint8_t)(v & 7), (uint8_t)(v >> 3 & 31), (int32_t)d,
                               (uint64_t)v * e};
    }
    for (int i = 0; i < 8; i++) {
        struct record *x = &r[i], *y = &r[next() % 8];
        x->b = (uint8_t)((x->b + y->c) & 7);
        x->a = (int16_t)(x->a - y->b);
        x->d = y->d / (x->a > 0 ? x->a : 3) + (int32_t)(x->e % (y->e | 1));
        x->e = (x->e << (y->b + 1)) ^ (y->e >> 5) ^ (uint64_t)((int64_t)x->d * y->a);
        sum = sum * 31 + (uint32_t)x->a + x->b + x->c + (uint32_t)x->d + (uint32_t)(x->e >> 32);
    }
    return sum;
}

static uint32_t words(void) {
    static const uint16_t table[5] = {3, 500, 70, 11, 9};
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t v = next();
        uint32_t w = next();
        int32_t s = (int32_t)v;
        sum += v / (w | 1) + v % table[i % 5] + (uint32_t)(s / 7) + (uint32_t)(s >> (w & 31));
        sum ^= (v << (w & 31)) | (v >> (31 & (32 - (w & 31))));
        sum += v > w ? (v & ~w) : s < (int32_t)w ? (v | w) : (v ^ w);
        sum = (sum >> 16 | sum << 16) ^ __builtin_bswap32(v);
        sum += v != 0 ? (uint32_t)__builtin_clz(v) : 32;
    }
    return sum;
}

/* C has one answer for each of these, whatever the compiler. */
uint32_t compute(void) {
    uint8_t block[64];
    uint32_t sum = 0;
    for (int round = 0; round < 20; round++) {
        for (unsigned i = 0; i < sizeof block; i++) {
            block[i] = (uint8_t)(next() >> 24);
        }
        sum = sum * 17 + crc(block, sizeof block - (next() & 15));
        sum += records();
        sum += words();
    }
    return sum;
}

#ifdef HOST
#include <stdio.h>

int main(void) {
    printf("%08x\n", (unsigned)compute());
    return 0;
}
#else
__attribute__((section(".first"), used)) void first(void) {
    uint32_t result = compute();
    __asm volatile("mov r0, %0\n bkpt #0" : : "r"(result) : "r0");
}

void *memcpy(void *to, const void *from, __SIZE_TYPE__ n) {
    uint8_t *a = to;
    const uint8_t *b = from;
    while (n-- > 0) {
        *a++ = *b++;
    }
    return to;
}
#endif
