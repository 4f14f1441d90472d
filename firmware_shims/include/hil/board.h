/* Board: what the conformance client needs from the machine it runs on. One implementation per board folder.
 *
 * Ownership: buffers belong to the caller. No function allocates. Times are milliseconds since boot (wrap
 * after 49 days) unless a name says otherwise. Every wait has a bound.
 */
#ifndef HIL_BOARD_H
#define HIL_BOARD_H

#include <stddef.h>
#include <stdint.h>

/* Why the board started. */
enum hil_reset { HIL_RESET_POWER, HIL_RESET_PIN, HIL_RESET_SOFTWARE, HIL_RESET_WATCHDOG };

/* Brings up clock, UART, watchdog and interrupts; called once, first. Returns 0, or a negative number the
 * board documents. */
int hil_board_init(void);

const char *hil_board_name(void);
enum hil_reset hil_board_reset_cause(void);

/* Milliseconds since boot. */
uint32_t hil_board_ms(void);

/* UART: write blocks until the bytes are in the hardware (bounded by the baud rate). read waits at most
 * timeout_ms for the first byte and returns how many came (0 on time-out, negative when the line is gone). */
void hil_board_uart_write(const void *data, size_t len);
int hil_board_uart_read(void *data, size_t cap, uint32_t timeout_ms);

/* Gives the processor away until an interrupt or at most timeout_ms (WFI; poll() in a process), and runs the
 * network. */
void hil_board_idle(uint32_t timeout_ms);

/* Watchdog: armed by hil_board_init with HIL_WATCHDOG_MS; the client kicks it in every bounded wait. */
#define HIL_WATCHDOG_MS 8000u
void hil_board_watchdog_kick(void);

/* Random bytes. Boards without a source return -1 and the client uses the injected seed. */
int hil_board_entropy(void *data, size_t len);

/* Peak heap in bytes, heap in use now, stack high-water mark in bytes. 0 where it cannot be known. */
void hil_board_marks(size_t *heap_peak, size_t *heap_now, size_t *stack);

/* Does not return. */
_Noreturn void hil_board_reset(void);

/* Defects that only the machine can do. Neither returns. */
_Noreturn void hil_board_hardfault(void);
_Noreturn void hil_board_lockup(void);

#endif
