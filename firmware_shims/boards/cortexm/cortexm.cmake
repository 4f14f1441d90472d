# What every bare-metal board has in common. Before including it a board sets
#   HIL_BOARD_DIR, HIL_CORTEXM_CPU   its folder with board_config.h and memory.ld; compiler flags of its core
# and adds to the HIL_BOARD_* lists afterwards. `size` prints what the image takes, and checks the shim's bound.
set(HIL_CORTEXM ${HIL_ROOT}/boards/cortexm)
set(HIL_BOARD_SOURCES
  ${HIL_CORTEXM}/startup.c
  ${HIL_CORTEXM}/board.c
  ${HIL_CORTEXM}/clock.c
  ${HIL_CORTEXM}/console.c
  ${HIL_CORTEXM}/fault.c
  ${HIL_CORTEXM}/mpu.c
  ${HIL_CORTEXM}/syscalls.c
  ${HIL_ROOT}/net/lwip.c ${HIL_ROOT}/net/lwip_dns.c ${HIL_ROOT}/net/lwip_hooks.c)
set(HIL_BOARD_COMPILE_OPTIONS ${HIL_CORTEXM_CPU} -mthumb -Os -g --specs=nano.specs -fno-strict-aliasing)
set(HIL_BOARD_DEFINITIONS "")
set(HIL_BOARD_INCLUDES ${HIL_BOARD_DIR} ${HIL_CORTEXM} ${HIL_ROOT})
set(HIL_BOARD_LINK_OPTIONS
  ${HIL_CORTEXM_CPU} -mthumb --specs=nano.specs -nostartfiles
  -L${HIL_CORTEXM} -T${HIL_BOARD_DIR}/memory.ld
  -Wl,--wrap=_malloc_r,--wrap=_free_r
  -Wl,--no-warn-rwx-segments
  -Wl,-Map=${CMAKE_BINARY_DIR}/firmware.map)
set(HIL_BOARD_LIBS hil_lwip)
set(HIL_FIRMWARE_SUFFIX "")

# `size`: the whole image, then the shim against its bound (6 KB of code, 1 KB of RAM).
function(hil_board_finish target)
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS
    ${HIL_CORTEXM}/cortexm.ld ${HIL_BOARD_DIR}/memory.ld)
  add_custom_target(size
    COMMAND ${CMAKE_SIZE} $<TARGET_FILE:${target}>
    COMMAND ${CMAKE_COMMAND} -DSIZE=${CMAKE_SIZE} "-DOBJECTS=$<JOIN:$<TARGET_OBJECTS:${target}>,|>"
            -P ${HIL_ROOT}/cmake/shim_size.cmake
    DEPENDS ${target} COMMENT "size of ${target}" VERBATIM)
  if(HIL_FIRMWARE_BIN)
    add_custom_command(TARGET ${target} POST_BUILD
      COMMAND ${CMAKE_OBJCOPY} -O binary $<TARGET_FILE:${target}> $<TARGET_FILE:${target}>.bin VERBATIM)
  endif()
endfunction()
