# mbedTLS 2.28.3, built from the unpacked sources with our configuration.
set(HIL_STACK_SOURCES ${HIL_ROOT}/stacks/mbedtls.c ${HIL_ROOT}/stacks/mbedtls_hello.c ${HIL_ROOT}/stacks/mbedtls_sign.c
  ${HIL_ROOT}/stacks/mbedtls_platform.c ${HIL_ROOT}/stacks/tls_common.c)

function(hil_add_stack_library)
  set(dir ${HIL_LIB_SOURCES}/mbedtls)
  if(NOT EXISTS ${dir}/include/mbedtls/version.h)
    message(FATAL_ERROR "mbedTLS's sources are not in ${dir}")
  endif()
  set(sources aes asn1parse asn1write base64 bignum chacha20 chachapoly cipher cipher_wrap constant_time ecdh ecdsa ecp
    ecp_curves gcm hmac_drbg md oid pem pk pk_wrap pkparse platform platform_util poly1305 rsa rsa_internal sha256 sha512
    ssl_ciphersuites ssl_cli ssl_msg ssl_tls x509 x509_crt)
  list(TRANSFORM sources PREPEND ${dir}/library/)
  list(TRANSFORM sources APPEND .c)
  add_library(hil_stack STATIC ${sources})
  target_include_directories(hil_stack SYSTEM PUBLIC ${dir}/include)
  target_include_directories(hil_stack PUBLIC ${HIL_ROOT}/stacks)
  target_compile_definitions(hil_stack PUBLIC MBEDTLS_CONFIG_FILE=<mbedtls_config.h>)
  target_compile_options(hil_stack PRIVATE -w)
  set_target_properties(hil_stack PROPERTIES C_EXTENSIONS ON)
  target_link_libraries(hil_stack PRIVATE hil_board_flags)
endfunction()
