/* lwIP for one TLS client connection at a time: IPv4, raw API, no operating system. */
#ifndef HIL_LWIPOPTS_H
#define HIL_LWIPOPTS_H

#define NO_SYS                   1
#define SYS_LIGHTWEIGHT_PROT     0
#define LWIP_NETCONN             0
#define LWIP_SOCKET              0
#define LWIP_IPV6                0
#define LWIP_RAW                 0
#define LWIP_STATS               0
#define LWIP_DNS                 1
#define LWIP_NETIF_LINK_CALLBACK 0
#define LWIP_SINGLE_NETIF        0 /* there is one, but only so is the routing hook asked */
#define IP_REASSEMBLY            0
#define IP_FRAG                  0

#ifndef MEM_ALIGNMENT
#define MEM_ALIGNMENT 4
#endif
#define MEMP_NUM_TCP_PCB        6 /* the connection, and those of before that wait out TIME_WAIT */
#define MEMP_NUM_TCP_PCB_LISTEN 1
#define MEMP_NUM_TCP_SEG        24
#define MEMP_NUM_UDP_PCB        4

#define TCP_MSS             1460
#define TCP_QUEUE_OOSEQ     1
#define LWIP_TCP_KEEPALIVE  0
#define LWIP_TCP_TIMESTAMPS 0

#ifdef HIL_NET_PPP
#define PPP_SUPPORT    1
#define PPPOS_SUPPORT  1
#define VJ_SUPPORT     0
#define FSM_DEFTIMEOUT 1 /* s; on a wire, not on a modem */
/* A peer that was restarted knows of no link and says nothing: only unanswered echoes tell. */
#define LCP_ECHOINTERVAL 1 /* s */
#define LCP_MAXECHOFAILS 3
#define PPP_MAXIDLEFLAG  0 /* every frame begins with a flag: the first one after boot would have none */
#endif

#ifdef HIL_NET_SERIAL
/* A serial line, and RAM of a small part: what comes at once is four segments, in pieces that fit the pool.
 */
#define LWIP_ARP          0
#define LWIP_ETHERNET     0
#define LWIP_DHCP         0
#define MEM_SIZE          (12 * 1024)
#define PBUF_POOL_SIZE    24
#define PBUF_POOL_BUFSIZE 512
#define TCP_WND           (4 * TCP_MSS)
#define TCP_SND_BUF       (4 * TCP_MSS)
#define TCP_SND_QUEUELEN  16
#else
#define LWIP_DHCP                1
#define LWIP_DHCP_DOES_ACD_CHECK 0
#define DHCP_DOES_ARP_CHECK      0
#define MEM_SIZE                 (24 * 1024)
#define PBUF_POOL_SIZE           20
#define PBUF_POOL_BUFSIZE        1536 /* a frame is never split */
/* The window stays below the 10,560 bytes of the LAN9118's receive FIFO, or frames are dropped silently. */
#define TCP_WND                  (6 * TCP_MSS)
#define TCP_SND_BUF              (6 * TCP_MSS)
#define TCP_SND_QUEUELEN         20
#endif

#define LWIP_HOOK_FILENAME "hooks.h"

#endif
