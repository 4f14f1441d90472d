/* The least firmware that shows a flashed board runs: a banner on both UARTs, then an echo of the console.
 * BANNER and PADDING (bytes of flash the image is made longer by) come from the compiler's command line. */
#include <stdint.h>

#ifndef BANNER
#define BANNER "virtual board"
#endif

struct usart {
    volatile uint32_t sr, dr, brr, cr1;
};

#define CONSOLE ((struct usart *)0x40011000u) /* USART1 */
#define UPLINK  ((struct usart *)0x40004400u) /* USART2 */

static void say(struct usart *u, const char *text) {
    for (; *text != '\0'; text++) {
        while ((u->sr & 0x80) == 0) {
        }
        u->dr = (uint32_t)*text;
    }
}

void start(void) {
    CONSOLE->cr1 = 0x200C; /* UE, TE, RE */
    UPLINK->cr1 = 0x200C;
    say(CONSOLE, "HELLO " BANNER "\r\n");
    say(UPLINK, "UPLINK\r\n");
    for (;;) {
        if ((CONSOLE->sr & 0x20) != 0) {
            CONSOLE->dr = CONSOLE->dr;
        }
    }
}

void fault(void) {
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    (void *)0x20020000, (void *)start, (void *)fault, (void *)fault,
    (void *)fault,      (void *)fault, (void *)fault,
};

#ifdef PADDING
__attribute__((section(".padding"), used)) static const uint8_t padding[PADDING] = {[0] = 1,
                                                                                    [PADDING - 1] = 2};
#endif
