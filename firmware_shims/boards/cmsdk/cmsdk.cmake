# What every CMSDK board has in common. The board sets HIL_CMSDK_CPU (compiler flags of its core) and its folder first.
option(HIL_NET_DHCP "Ask a DHCP server instead of taking the board's static address" OFF)

set(HIL_CMSDK ${HIL_ROOT}/boards/cmsdk)
set(HIL_BOARD_SOURCES
  ${HIL_CMSDK}/startup.c
  ${HIL_CMSDK}/board.c
  ${HIL_CMSDK}/clock.c
  ${HIL_CMSDK}/uart.c
  ${HIL_CMSDK}/fault.c
  ${HIL_CMSDK}/mpu.c
  ${HIL_CMSDK}/syscalls.c
  ${HIL_CMSDK}/lan9118.c
  ${HIL_ROOT}/net/lwip.c)
set(HIL_BOARD_COMPILE_OPTIONS ${HIL_CMSDK_CPU} -mthumb -Os -g --specs=nano.specs -fno-strict-aliasing)
set(HIL_BOARD_DEFINITIONS HIL_SLOT_MAX=32768u) # room for long certificate chains
if(HIL_NET_DHCP)
  list(APPEND HIL_BOARD_DEFINITIONS HIL_NET_DHCP=1)
endif()
set(HIL_BOARD_INCLUDES ${HIL_BOARD_DIR} ${HIL_CMSDK} ${HIL_ROOT})
set(HIL_BOARD_LINK_OPTIONS
  ${HIL_CMSDK_CPU} -mthumb --specs=nano.specs -nostartfiles
  -L${HIL_CMSDK} -T${HIL_BOARD_DIR}/memory.ld
  -Wl,--wrap=_malloc_r,--wrap=_free_r
  -Wl,--no-warn-rwx-segments
  -Wl,-Map=${CMAKE_BINARY_DIR}/firmware.map)
set(HIL_BOARD_LIBS hil_lwip)
set(HIL_FIRMWARE_SUFFIX "")

include(${HIL_ROOT}/cmake/lwip.cmake)

# `size`: the whole image, then the shim against its bound (6 KB of code, 1 KB of RAM).
function(hil_board_finish target)
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS
    ${HIL_CMSDK}/cmsdk.ld ${HIL_BOARD_DIR}/memory.ld)
  add_custom_target(size
    COMMAND ${CMAKE_SIZE} $<TARGET_FILE:${target}>
    COMMAND ${CMAKE_COMMAND} -DSIZE=${CMAKE_SIZE} "-DOBJECTS=$<JOIN:$<TARGET_OBJECTS:${target}>,|>"
            -P ${HIL_ROOT}/cmake/shim_size.cmake
    DEPENDS ${target} VERBATIM)
endfunction()
