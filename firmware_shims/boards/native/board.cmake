# A Linux process. Heap marks come from wrapped allocator calls (boards/native/heap.c).
set(HIL_BOARD_SOURCES
  ${HIL_ROOT}/boards/native/board.c
  ${HIL_ROOT}/boards/native/heap.c
  ${HIL_ROOT}/net/posix.c)
set(HIL_BOARD_COMPILE_OPTIONS -O2 -g -fno-strict-aliasing -fstack-protector-strong)
set(HIL_BOARD_DEFINITIONS _GNU_SOURCE HIL_BOARD_NATIVE=1 HIL_MQTT_RX_MAX=262144u)
set(HIL_BOARD_INCLUDES ${HIL_ROOT}/boards/native)
set(HIL_BOARD_LIBS "")
if(NOT HIL_SANITIZE)
  list(APPEND HIL_BOARD_DEFINITIONS HIL_WRAP_HEAP=1)
  set(HIL_BOARD_LINK_OPTIONS -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=free)
endif()
