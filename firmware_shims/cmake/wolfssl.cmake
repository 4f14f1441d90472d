# wolfSSL 5.5.4, built from the unpacked sources with our configuration. GPL: built here, never distributed with us.
set(HIL_STACK_SOURCES ${HIL_ROOT}/stacks/wolfssl.c ${HIL_ROOT}/stacks/wolfcrypt_sign.c ${HIL_ROOT}/stacks/netx_pem.c
  ${HIL_ROOT}/stacks/tls_common.c)

function(hil_add_stack_library)
  set(dir ${HIL_LIB_SOURCES}/wolfssl)
  if(NOT EXISTS ${dir}/wolfssl/version.h)
    message(FATAL_ERROR "wolfSSL's sources are not in ${dir}")
  endif()
  set(crypto aes asn chacha chacha20_poly1305 coding cpuid curve25519 ecc ed25519 error fe_low_mem ge_low_mem hash hmac
    kdf logging memory poly1305 random rsa sha sha256 sha512 signature sp_int sp_c32 sp_c64 sp_cortexm
    wc_encrypt wc_port wolfmath)
  list(TRANSFORM crypto PREPEND ${dir}/wolfcrypt/src/)
  list(TRANSFORM crypto APPEND .c)
  add_library(hil_stack STATIC ${crypto}
    ${dir}/src/internal.c ${dir}/src/keys.c ${dir}/src/ssl.c ${dir}/src/tls.c ${dir}/src/tls13.c ${dir}/src/wolfio.c)
  target_include_directories(hil_stack SYSTEM PUBLIC ${dir})
  target_include_directories(hil_stack PUBLIC ${HIL_ROOT}/stacks)
  target_compile_definitions(hil_stack PUBLIC WOLFSSL_USER_SETTINGS)
  target_compile_options(hil_stack PRIVATE -w -fwrapv -include ${HIL_ROOT}/stacks/wolfssl_user_settings.h)
  set_target_properties(hil_stack PROPERTIES C_EXTENSIONS ON)
  target_link_libraries(hil_stack PRIVATE hil_board_flags)
  # (-fwrapv: its big-number code lets signed numbers wrap.)
  # The library looks for its configuration under this name.
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/wolfssl/user_settings.h
    CONTENT "#include \"${HIL_ROOT}/stacks/wolfssl_user_settings.h\"\n")
  target_include_directories(hil_stack PUBLIC ${CMAKE_BINARY_DIR}/wolfssl)
endfunction()
