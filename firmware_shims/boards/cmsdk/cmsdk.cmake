# What every CMSDK board has in common. The board sets HIL_BOARD_DIR and HIL_CORTEXM_CPU first.
option(HIL_NET_DHCP "Ask a DHCP server instead of taking the board's static address" OFF)

include(${HIL_ROOT}/boards/cortexm/cortexm.cmake)
set(HIL_CMSDK ${HIL_ROOT}/boards/cmsdk)
list(APPEND HIL_BOARD_SOURCES
  ${HIL_CMSDK}/board.c
  ${HIL_CMSDK}/uart.c
  ${HIL_CMSDK}/lan9118.c
  ${HIL_ROOT}/net/ethernet.c)
list(APPEND HIL_BOARD_INCLUDES ${HIL_CMSDK})
list(APPEND HIL_BOARD_DEFINITIONS HIL_SLOT_MAX=32768u) # room for long certificate chains
if(HIL_NET_DHCP)
  list(APPEND HIL_BOARD_DEFINITIONS HIL_NET_DHCP=1)
endif()

include(${HIL_ROOT}/cmake/lwip.cmake)
