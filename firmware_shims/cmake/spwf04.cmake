# SPWF04SA: the driver of the AT module, and for a Linux process the model of the module on OpenSSL (at_model/).
set(HIL_STACK_SOURCES ${HIL_ROOT}/at/line.c ${HIL_ROOT}/at/certificate.c ${HIL_ROOT}/at/driver.c ${HIL_ROOT}/at/socket.c
  ${HIL_ROOT}/stacks/tls_common.c)

function(hil_add_stack_library)
  if(NOT HIL_BOARD STREQUAL native)
    add_library(hil_stack INTERFACE) # TLS is in the module
    return()
  endif()
  find_package(OpenSSL REQUIRED)
  set(model ${HIL_ROOT}/at_model)
  add_library(hil_stack STATIC ${model}/module.c ${model}/command.c ${model}/store.c ${model}/tls.c)
  target_include_directories(hil_stack PUBLIC ${model})
  target_link_libraries(hil_stack PUBLIC OpenSSL::SSL OpenSSL::Crypto PRIVATE hil_flags)
endfunction()

# The module has the TCP: its driver takes the place of the board's.
if(HIL_BOARD STREQUAL native)
  list(REMOVE_ITEM HIL_BOARD_SOURCES ${HIL_ROOT}/net/posix.c)
  list(APPEND HIL_BOARD_SOURCES ${HIL_ROOT}/at/uart_native.c)
endif()

# The module for a person at a terminal: cmake --build … --target at-module
function(hil_stack_finish)
  if(HIL_BOARD STREQUAL native)
    add_executable(at-module ${HIL_ROOT}/at_model/main.c)
    target_link_libraries(at-module PRIVATE hil_flags hil_stack)
    set_target_properties(at-module PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  endif()
endfunction()
