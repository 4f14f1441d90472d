/* ThreadX, as far as the shim uses it: types and one-second timers. Declarations of our own for the stand-in;
 * the vendor's header of this name takes their place on the board. */
#ifndef NETX_MODEL_TX_API_H
#define NETX_MODEL_TX_API_H

#define VOID void
typedef char CHAR;
typedef unsigned char UCHAR;
typedef int INT;
typedef unsigned int UINT;
typedef long LONG;
typedef unsigned long ULONG;
typedef short SHORT;
typedef unsigned short USHORT;

#define TX_SUCCESS       0x00u
#define TX_AUTO_ACTIVATE 1u
#define TX_NO_ACTIVATE   0u
#define TX_WAIT_FOREVER  0xFFFFFFFFul
#define TX_NO_WAIT       0ul

typedef struct TX_TIMER_STRUCT {
    VOID (*tx_model_function)(ULONG);
    ULONG tx_model_input, tx_model_next, tx_model_period;
    struct TX_TIMER_STRUCT *tx_model_link;
} TX_TIMER;

/* Ticks are NX_IP_PERIODIC_RATE a second. In the model timers run inside waits, as a higher thread would. */
UINT tx_timer_create(TX_TIMER *timer, CHAR *name, VOID (*function)(ULONG), ULONG input, ULONG initial,
                     ULONG period, UINT activate);
UINT tx_timer_delete(TX_TIMER *timer);

#endif
