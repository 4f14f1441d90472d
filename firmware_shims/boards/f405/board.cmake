# STM32F405 (QEMU `netduinoplus2`): console on USART1, network by PPP or SLIP on USART2.
set(HIL_SERIAL_NET ppp CACHE STRING "ppp or slip")

set(HIL_BOARD_DIR ${HIL_ROOT}/boards/f405)
set(HIL_CORTEXM_CPU -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16)
set(HIL_FIRMWARE_BIN ON) # what a flasher writes at 0x08000000
include(${HIL_ROOT}/boards/cortexm/cortexm.cmake)
list(APPEND HIL_BOARD_SOURCES
  ${HIL_BOARD_DIR}/board.c
  ${HIL_BOARD_DIR}/usart.c
  ${HIL_ROOT}/net/${HIL_SERIAL_NET}.c)
list(APPEND HIL_BOARD_DEFINITIONS HIL_NET_SERIAL=1 HIL_SLOT_MAX=4096u)
if(HIL_SERIAL_NET STREQUAL ppp)
  list(APPEND HIL_BOARD_DEFINITIONS HIL_NET_PPP=1)
  set(HIL_LWIP_PPP ON)
endif()
include(${HIL_ROOT}/cmake/lwip.cmake)
