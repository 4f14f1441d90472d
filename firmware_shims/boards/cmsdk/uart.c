/* CMSDK APB UART: polled transmit, interrupt-driven receive into a ring.
 *
 * The UART holds one byte. When the ring is full the interrupt is masked and the byte stays in the UART: an
 * emulator then holds its sender back; real hardware would set the overrun flag.
 */
#include "cmsdk.h"
#include "ring.h"

#define UART_DATA     HIL_REG(HIL_UART0_BASE + 0x0u)
#define UART_STATE    HIL_REG(HIL_UART0_BASE + 0x4u)
#define UART_CTRL     HIL_REG(HIL_UART0_BASE + 0x8u)
#define UART_INTCLEAR HIL_REG(HIL_UART0_BASE + 0xCu)
#define UART_BAUDDIV  HIL_REG(HIL_UART0_BASE + 0x10u)
#define STATE_TXFULL  1u
#define STATE_RXFULL  2u
#define CTRL_TX       1u
#define CTRL_RX       2u
#define CTRL_RX_INT   8u
#define INT_RX        2u
#define BAUD          115200u
#define TX_BOUND_MS                                                                                          \
    100u /* one byte takes 87 us at 115200; a reader that stalls longer loses bytes, we do not hang */

static struct hil_ring ring;

static bool tx_stalled;

void hil_uart_start(void) {
    UART_CTRL = 0;
    UART_BAUDDIV = HIL_CLOCK_HZ / BAUD;
    UART_INTCLEAR = 0xFu;
    UART_CTRL = CTRL_TX | CTRL_RX | CTRL_RX_INT;
    hil_irq_enable(HIL_UART0_RX_IRQ);
}

bool hil_uart_has_input(void) {
    return !hil_ring_empty(&ring);
}

/* Interrupt status is cleared before the drain, or an edge between the two is lost. */
void hil_uart_rx_handler(void) {
    UART_INTCLEAR = INT_RX;
    while ((UART_STATE & STATE_RXFULL) != 0) {
        if (hil_ring_full(&ring)) {
            UART_CTRL = CTRL_TX | CTRL_RX;
            return;
        }
        hil_ring_put(&ring, (uint8_t)UART_DATA);
    }
    hil_jitter_stir();
}

static bool wait_for_room(void) {
    if ((UART_STATE & STATE_TXFULL) == 0) {
        tx_stalled = false;
        return true;
    }
    if (tx_stalled) {
        return false;
    }
    uint32_t start = hil_counter();
    while ((UART_STATE & STATE_TXFULL) != 0) {
        if (hil_counter() - start > TX_BOUND_MS * (HIL_COUNTER_HZ / 1000u)) {
            tx_stalled = true;
            return false;
        }
    }
    return true;
}

void hil_board_uart_write(const void *data, size_t len) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        if (wait_for_room()) {
            UART_DATA = bytes[i];
        }
    }
}

size_t hil_uart_take(uint8_t *out, size_t cap) {
    size_t n = hil_ring_take(&ring, out, cap);
    uint32_t mask = hil_irq_save();
    if ((UART_CTRL & CTRL_RX_INT) == 0) { /* it was full: take the byte that waits and listen again */
        UART_CTRL = CTRL_TX | CTRL_RX | CTRL_RX_INT;
        hil_uart_rx_handler();
    }
    hil_irq_restore(mask);
    return n;
}
