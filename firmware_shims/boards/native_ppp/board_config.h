/* A process whose network is PPP on a second terminal. */
#ifndef HIL_BOARD_CONFIG_H
#define HIL_BOARD_CONFIG_H

/* The peer gives our address, and shall be the gateway itself. */
#define HIL_IP_GATEWAY "10.0.2.2"
#define HIL_IP_DNS     "10.0.2.3"

#endif
