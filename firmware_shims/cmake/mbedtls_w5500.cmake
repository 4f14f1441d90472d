# mbedTLS, a Paho-style client and a W5500 (story 002). On `native` the chip is w5500_model, behind which are the host's
# sockets; a board of its own implements hil_w5500_select, _exchange and _address (net/w5500.h).
include(${HIL_ROOT}/cmake/mbedtls.cmake)
list(APPEND HIL_STACK_SOURCES ${HIL_ROOT}/net/w5500_tls.c)
list(APPEND HIL_CLIENT_SOURCES ${HIL_ROOT}/client/paho.c ${HIL_ROOT}/client/paho_session.c)
list(REMOVE_ITEM HIL_BOARD_SOURCES ${HIL_ROOT}/net/posix.c)
list(APPEND HIL_BOARD_SOURCES ${HIL_ROOT}/net/w5500.c ${HIL_ROOT}/net/w5500_net.c ${HIL_ROOT}/net/w5500_dns.c)
target_include_directories(hil_flags INTERFACE ${HIL_ROOT}/net)
if(HIL_BOARD STREQUAL native)
  list(APPEND HIL_BOARD_SOURCES ${HIL_ROOT}/boards/native/w5500.c ${HIL_ROOT}/w5500_model/model.c
    ${HIL_ROOT}/w5500_model/sockets.c ${HIL_ROOT}/w5500_model/host.c)
  target_include_directories(hil_flags INTERFACE ${HIL_ROOT}/w5500_model)
  # The length of the input buffer becomes a variable, so that `small_input` can be switched on. Nothing on the wire
  # changes: no maximum fragment length is offered.
  target_compile_definitions(hil_board_flags INTERFACE MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH
    MBEDTLS_SSL_MAX_FRAGMENT_LENGTH)
endif()
