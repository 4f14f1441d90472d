/* The W5500's pins on a NUCLEO-F429ZI with a WIZ850io on the Arduino header: SPI1 on PA5 (SCK), PA6 (MISO)
 * and PA7 (MOSI), chip select on PD14, reset pulled up. Registers as in RM0090; SPI1 at APB2 / 8. Everything
 * else of the board (clocks, UART, time) is the project's. Not run on a board by those who wrote it. */
#include "w5500.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define RCC_AHB1ENR REG(0x40023830u)
#define RCC_APB2ENR REG(0x40023844u)
#define GPIOA       0x40020000u
#define GPIOD       0x40020C00u
#define MODER(port) REG((port) + 0x00u)
#define SPEED(port) REG((port) + 0x08u)
#define BSRR(port)  REG((port) + 0x18u)
#define AFRL(port)  REG((port) + 0x20u)
#define SPI1_CR1    REG(0x40013000u)
#define SPI1_CR2    REG(0x40013004u)
#define SPI1_SR     REG(0x40013008u)
#define SPI1_DR     (*(volatile uint8_t *)(uintptr_t)0x4001300Cu)

#define CR1_MASTER  (1u << 2)
#define CR1_DIV8    (2u << 3)
#define CR1_ENABLE  (1u << 6)
#define CR1_SSM_SSI (3u << 8) /* chip select is a pin of ours */
#define SR_RXNE     (1u << 0)
#define SR_TXE      (1u << 1)
#define SELECT_PIN  14u
#define TRIES       100000u /* a byte takes 8 clocks of SPI1: far less */

/* The lab's addresses; change them here, or build with your own. The dns of all zeros is none. */
#ifndef HIL_W5500_ADDRESS
#define HIL_W5500_ADDRESS                                                                                    \
    {                                                                                                        \
        .mac = {0x02, 0x08, 0xDC, 0x00, 0x00, 0x01}, .ip = {192, 168, 7, 10}, .mask = {255, 255, 255, 0},    \
        .gateway = {192, 168, 7, 1}, .dns = {                                                                \
            192,                                                                                             \
            168,                                                                                             \
            7,                                                                                               \
            1                                                                                                \
        }                                                                                                    \
    }
#endif

static bool started;

static void start(void) {
    started = true;
    RCC_AHB1ENR |= 1u << 0 | 1u << 3;
    RCC_APB2ENR |= 1u << 12;
    (void)RCC_APB2ENR; /* two cycles until the clock is there */
    BSRR(GPIOD) = 1u << SELECT_PIN;
    MODER(GPIOD) = (MODER(GPIOD) & ~(3u << (2 * SELECT_PIN))) | 1u << (2 * SELECT_PIN);
    for (unsigned pin = 5; pin <= 7; pin++) {
        MODER(GPIOA) = (MODER(GPIOA) & ~(3u << (2 * pin))) | 2u << (2 * pin);
        SPEED(GPIOA) |= 3u << (2 * pin);
        AFRL(GPIOA) = (AFRL(GPIOA) & ~(15u << (4 * pin))) | 5u << (4 * pin);
    }
    SPI1_CR2 = 0;
    SPI1_CR1 = CR1_MASTER | CR1_DIV8 | CR1_SSM_SSI | CR1_ENABLE; /* mode 0, most significant bit first */
}

void hil_w5500_select(bool low) {
    if (!started)
        start();
    BSRR(GPIOD) = 1u << (low ? SELECT_PIN + 16u : SELECT_PIN);
}

static bool ready(uint32_t flag) {
    for (uint32_t i = 0; i < TRIES; i++)
        if ((SPI1_SR & flag) != 0)
            return true;
    return false;
}

int hil_w5500_exchange(const uint8_t *out, uint8_t *in, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (!ready(SR_TXE))
            return -1;
        SPI1_DR = out != NULL ? out[i] : 0;
        if (!ready(SR_RXNE))
            return -1;
        uint8_t byte = SPI1_DR;
        if (in != NULL)
            in[i] = byte;
    }
    return 0;
}

const struct hil_w5500_address *hil_w5500_address(void) {
    static const struct hil_w5500_address ADDRESS = HIL_W5500_ADDRESS;
    return &ADDRESS;
}
