# NetX Duo's API as a model on wolfSSL 5.5.4 (stacks/netx_model), for the stand-in h563-sim. On the board the same shim
# is compiled against the vendor's headers by the project that holds them (docs/boards/h563-netx.md).
set(HIL_STACK_SOURCES ${HIL_ROOT}/stacks/netx.c ${HIL_ROOT}/stacks/netx_setup.c ${HIL_ROOT}/stacks/netx_pem.c
  ${HIL_ROOT}/stacks/tls_common.c)

option(HIL_NETX_TLS13 "NetX Secure with TLS 1.3 (the Synergy Software Package has none)" ON)
if(NOT HIL_NETX_TLS13)
  target_compile_definitions(hil_board_flags INTERFACE NX_SECURE_TLS_TLS_1_3_ENABLED=0)
endif()

function(hil_add_stack_library)
  set(dir ${HIL_LIB_SOURCES}/wolfssl)
  set(model ${HIL_ROOT}/stacks/netx_model)
  if(NOT EXISTS ${dir}/wolfssl/version.h)
    message(FATAL_ERROR "wolfSSL's sources are not in ${dir}")
  endif()
  set(crypto aes asn coding cpuid ecc error hash hmac kdf logging md5 memory random rsa sha sha256 sha512 signature sp_int
    sp_c32 sp_c64 wc_encrypt wc_port wolfmath)
  list(TRANSFORM crypto PREPEND ${dir}/wolfcrypt/src/)
  list(TRANSFORM crypto APPEND .c)
  add_library(hil_model_tls STATIC ${crypto}
    ${dir}/src/internal.c ${dir}/src/keys.c ${dir}/src/ssl.c ${dir}/src/tls.c ${dir}/src/tls13.c ${dir}/src/wolfio.c)
  target_include_directories(hil_model_tls SYSTEM PUBLIC ${dir})
  target_compile_definitions(hil_model_tls PUBLIC WOLFSSL_USER_SETTINGS)
  target_compile_options(hil_model_tls PRIVATE -w -fwrapv -include ${model}/user_settings.h)
  set_target_properties(hil_model_tls PROPERTIES C_EXTENSIONS ON)
  target_link_libraries(hil_model_tls PRIVATE hil_board_flags)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/wolfssl/user_settings.h CONTENT "#include \"${model}/user_settings.h\"\n")
  target_include_directories(hil_model_tls PUBLIC ${CMAKE_BINARY_DIR}/wolfssl)

  add_library(hil_stack STATIC ${HIL_NETX_HOST} ${model}/tcp.c ${model}/tables.c ${model}/codes.c ${model}/x509.c
    ${model}/tls.c ${model}/transport.c ${model}/hello.c ${model}/decide.c ${model}/mqtt.c ${model}/board.c)
  target_include_directories(hil_stack PUBLIC ${model}/include ${HIL_ROOT}/include ${HIL_ROOT}/stacks)
  target_compile_definitions(hil_stack PUBLIC NX_MODEL=1)
  target_link_libraries(hil_stack PRIVATE hil_model_tls hil_flags ${HIL_BOARD_LIBS})
  # An object, not a member of the archive: the client has weak functions of these names.
  add_library(hil_sign OBJECT ${HIL_ROOT}/stacks/wolfcrypt_sign.c)
  target_link_libraries(hil_sign PRIVATE hil_model_tls hil_flags)
  target_sources(hil_stack INTERFACE $<TARGET_OBJECTS:hil_sign>)
  # The library makes the hello and sealed alerts in other objects than those that call for them.
  target_link_options(hil_stack PUBLIC -Wl,--wrap=TLSX_PopulateExtensions -Wl,--wrap=BuildTls13Message)
endfunction()

# The shim's own TCP takes the place of the board's.
if(HIL_BOARD MATCHES native)
  list(REMOVE_ITEM HIL_BOARD_SOURCES ${HIL_ROOT}/net/posix.c ${HIL_ROOT}/net/lwip.c)
  set(HIL_NETX_HOST ${HIL_ROOT}/stacks/netx_model/host$<$<STREQUAL:${HIL_BOARD},native_ppp>:_lwip>.c)
  list(APPEND HIL_BOARD_SOURCES ${HIL_ROOT}/net/netx.c)
endif()

# A product with NetX's own MQTT client (examples/netx_product.c): cmake --build … --target product
function(hil_stack_finish)
  add_executable(product EXCLUDE_FROM_ALL ${HIL_ROOT}/examples/netx_product.c ${HIL_ROOT}/stacks/netx_mqtt.c
    ${HIL_CLIENT_SOURCES} ${HIL_STACK_SOURCES} ${HIL_BOARD_SOURCES})
  get_target_property(sources product SOURCES)
  list(REMOVE_ITEM sources ${HIL_ROOT}/client/main.c ${HIL_ROOT}/client/client.c)
  set_target_properties(product PROPERTIES SOURCES "${sources}" RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  target_link_libraries(product PRIVATE hil_flags hil_stack ${HIL_BOARD_LIBS})
  target_link_options(product PRIVATE -Wl,--gc-sections -Wl,--wrap=_nxe_secure_tls_session_start ${HIL_BOARD_LINK_OPTIONS})
endfunction()
