/* The conformance client: boots, says so, and runs what the bench asks for. */
#ifndef HIL_CLIENT_H
#define HIL_CLIENT_H

/* Returns only when the UART is gone (a process whose terminal was closed), or -1 when the board does not
 * come up. */
int hil_client_main(void);

#endif
