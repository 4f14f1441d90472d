/* Port: what lies between lwIP here and a board. One with an Ethernet MAC implements the hil_eth_* functions
 * and takes net/ethernet.c, one with a UART for it the hil_serial_* functions and net/ppp.c; both
 * hil_board_jitter(). net/lwip.c implements hil_net_poll() and hil_net_wants_poll(), which the board's idle
 * calls.
 */
#ifndef HIL_NET_PORT_H
#define HIL_NET_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pbuf;

/* Resets and starts the MAC; gives its address. 0, or -1 when there is none. */
int hil_eth_start(uint8_t mac[6]);
bool hil_eth_link(void);
/* True when an interrupt said that hil_eth_input has something to do. Callable with interrupts masked. */
bool hil_eth_pending(void);
/* Hands over the next frame (the caller owns the pbuf), NULL when there is no more; then the interrupt is
 * armed again. */
struct pbuf *hil_eth_input(void);
/* Sends a copy. 0, or -1 when the hardware did not take it in time. */
int hil_eth_output(const struct pbuf *frame);

/* Starts the UART that carries the network. 0, or -1. */
int hil_serial_start(void);
/* True when bytes wait. Callable with interrupts masked. */
bool hil_serial_pending(void);
/* Bytes that came, at most `cap`; 0 when there are none. Does not wait. */
size_t hil_serial_read(void *data, size_t cap);
/* Sends all of it. 0, or -1 when the hardware did not take it in time. */
int hil_serial_write(const void *data, size_t len);

/* Unpredictable from run to run, for port numbers and sequence numbers. Not for keys. */
uint32_t hil_board_jitter(void);

/* Handles what came and what is due; returns how many ms may pass until the next call: 0 when frames came,
 * for then the caller's condition may have become true and it must not sleep before it looks again. */
uint32_t hil_net_poll(void);
bool hil_net_wants_poll(void);

#endif
