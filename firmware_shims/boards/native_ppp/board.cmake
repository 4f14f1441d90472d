# A Linux process without sockets: its network is lwIP's PPP on a second terminal, --uplink-fd N.
include(${HIL_ROOT}/boards/native/board.cmake)
list(REMOVE_ITEM HIL_BOARD_SOURCES ${HIL_ROOT}/net/posix.c)
list(APPEND HIL_BOARD_SOURCES ${HIL_ROOT}/boards/native_ppp/uplink.c ${HIL_ROOT}/net/lwip.c
  ${HIL_ROOT}/net/lwip_dns.c ${HIL_ROOT}/net/lwip_hooks.c ${HIL_ROOT}/net/ppp.c)
list(APPEND HIL_BOARD_DEFINITIONS HIL_NET_SERIAL=1 HIL_NET_PPP=1 MEM_ALIGNMENT=8)
list(APPEND HIL_BOARD_INCLUDES ${HIL_ROOT}/boards/native_ppp ${HIL_ROOT})
list(APPEND HIL_BOARD_LIBS hil_lwip)
set(HIL_LWIP_PPP ON)
include(${HIL_ROOT}/cmake/lwip.cmake)
