/* Both USARTs: polled transmit, interrupt-driven receive into a ring.
 *
 * A ring that is full masks the interrupt, and the byte stays in the USART: an emulator then holds its sender
 * back; real hardware would set the overrun flag. Transmit is polled, for QEMU raises no interrupt for an
 * empty register.
 */
#include "f405.h"
#include "net/port.h"
#include "ring.h"

#define USART_SR(u)   HIL_REG((u)->base + 0x00u)
#define USART_DR(u)   HIL_REG((u)->base + 0x04u)
#define USART_BRR(u)  HIL_REG((u)->base + 0x08u)
#define USART_CR1(u)  HIL_REG((u)->base + 0x0Cu)
#define SR_RXNE       (1u << 5)
#define SR_TXE        (1u << 7)
#define CR1_RX        (1u << 2)
#define CR1_TX        (1u << 3)
#define CR1_RX_INT    (1u << 5)
#define CR1_ENABLE    (1u << 13)
#define CR1_QUIET     (CR1_ENABLE | CR1_TX | CR1_RX)
#define CR1_LISTEN    (CR1_QUIET | CR1_RX_INT)
#define PERIPHERAL_HZ (HIL_CLOCK_HZ / 4u)
#define BAUD          115200u
#define TX_BOUND_MS                                                                                          \
    100u /* one byte takes 87 us at 115200; a reader that stalls longer loses bytes, we do not hang */

struct usart {
    uint32_t base; /* 0 until it is started */
    bool tx_stalled;
    struct hil_ring ring;
};

static struct usart console, uplink;

static void start(struct usart *u, uint32_t base, unsigned irq) {
    u->base = base;
    USART_CR1(u) = 0;
    USART_BRR(u) = PERIPHERAL_HZ / BAUD;
    USART_CR1(u) = CR1_LISTEN;
    hil_irq_enable(irq);
}

static void on_receive(struct usart *u) {
    while ((USART_SR(u) & SR_RXNE) != 0) {
        if (hil_ring_full(&u->ring)) {
            USART_CR1(u) = CR1_QUIET;
            return;
        }
        hil_ring_put(&u->ring, (uint8_t)USART_DR(u));
    }
    hil_jitter_stir();
}

static size_t take(struct usart *u, uint8_t *out, size_t cap) {
    size_t n = hil_ring_take(&u->ring, out, cap);
    uint32_t mask = hil_irq_save();
    if ((USART_CR1(u) & CR1_RX_INT) == 0) { /* it was full: take the byte that waits and listen again */
        USART_CR1(u) = CR1_LISTEN;
        on_receive(u);
    }
    hil_irq_restore(mask);
    return n;
}

static bool wait_for_room(struct usart *u) {
    if ((USART_SR(u) & SR_TXE) != 0) {
        u->tx_stalled = false;
        return true;
    }
    if (u->tx_stalled) {
        return false;
    }
    uint32_t begun = hil_counter();
    while ((USART_SR(u) & SR_TXE) == 0) {
        if (hil_counter() - begun > TX_BOUND_MS * (HIL_COUNTER_HZ / 1000u)) {
            u->tx_stalled = true;
            return false;
        }
    }
    return true;
}

/* Returns how many bytes the hardware took. */
static size_t put(struct usart *u, const uint8_t *bytes, size_t len) {
    size_t done = 0;
    for (size_t i = 0; i < len; i++) {
        if (wait_for_room(u)) {
            USART_DR(u) = bytes[i];
            done++;
        }
    }
    return done;
}

void hil_console_handler(void) {
    on_receive(&console);
}

void hil_uplink_handler(void) {
    on_receive(&uplink);
}

void hil_console_start(void) {
    start(&console, HIL_CONSOLE_BASE, HIL_CONSOLE_IRQ);
}

bool hil_uart_has_input(void) {
    return !hil_ring_empty(&console.ring);
}

size_t hil_uart_take(uint8_t *out, size_t cap) {
    return take(&console, out, cap);
}

void hil_board_uart_write(const void *data, size_t len) {
    (void)put(&console, data, len);
}

int hil_serial_start(void) {
    start(&uplink, HIL_UPLINK_BASE, HIL_UPLINK_IRQ);
    return 0;
}

bool hil_serial_pending(void) {
    return !hil_ring_empty(&uplink.ring);
}

size_t hil_serial_read(void *data, size_t cap) {
    return take(&uplink, data, cap);
}

int hil_serial_write(const void *data, size_t len) {
    return put(&uplink, data, len) == len ? 0 : -1;
}
