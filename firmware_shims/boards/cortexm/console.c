/* Waiting for the console while the network goes on. */
#include "cortexm.h"
#include "net/port.h"

int hil_board_uart_read(void *data, size_t cap, uint32_t timeout_ms) {
    uint32_t start = hil_board_ms();
    for (;;) {
        if (hil_uart_has_input()) {
            return (int)hil_uart_take(data, cap > 0x7FFFu ? 0x7FFFu : cap);
        }
        uint32_t passed = hil_board_ms() - start;
        if (passed >= timeout_ms) {
            return 0;
        }
        uint32_t sleep = hil_net_poll();
        if (sleep > timeout_ms - passed) {
            sleep = timeout_ms - passed;
        }
        uint32_t mask = hil_irq_save();
        if (!hil_uart_has_input() && !hil_net_wants_poll()) {
            hil_clock_sleep(sleep);
        }
        hil_irq_restore(mask);
    }
}
