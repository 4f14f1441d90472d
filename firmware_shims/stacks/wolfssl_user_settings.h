/* wolfSSL 5.5 for the conformance client: TLS 1.2 and 1.3, client only, forward-secret AEAD suites, nothing
 * deprecated. The same for a process and a microcontroller; only the arithmetic behind RSA and ECC differs.
 */
#ifndef HIL_WOLFSSL_USER_SETTINGS_H
#define HIL_WOLFSSL_USER_SETTINGS_H

#include <stddef.h>
#include <time.h>

/* Platform: one thread, no sockets, no files. */
#define SINGLE_THREADED
#define WOLFSSL_USER_IO
#define NO_FILESYSTEM
#define NO_WRITEV
#define NO_DEV_RANDOM
#define NO_MAIN_DRIVER
#define WOLFSSL_IGNORE_FILE_WARN
#define NO_ERROR_QUEUE
#define SIZEOF_LONG_LONG 8
#define WOLFSSL_SMALL_STACK
#define WOLFSSL_NO_SERVER_GROUPS_EXT
#define NO_WOLFSSL_SERVER

/* Clock and entropy come from the client (stacks/wolfssl.c). */
#define TIME_OVERRIDES
#define HAVE_TIME_T_TYPE
#define HAVE_TM_TYPE
#define XTIME   hil_wolfssl_time
#define XGMTIME hil_wolfssl_gmtime
#define HAVE_HASHDRBG
#define CUSTOM_RAND_GENERATE_SEED hil_wolfssl_seed
int hil_wolfssl_seed(unsigned char *output, unsigned int size);

/* Protocol */
#define WOLFSSL_TLS13
#define NO_OLD_TLS
#define HAVE_TLS_EXTENSIONS
#define HAVE_SUPPORTED_CURVES
#define HAVE_EXTENDED_MASTER
#define HAVE_SERVER_RENEGOTIATION_INFO
#define HAVE_SNI
#define HAVE_SESSION_TICKET
#define NO_SESSION_CACHE_REF
#define SMALL_SESSION_CACHE
#define HAVE_HKDF
#define WOLFSSL_WPAS /* a server that declines a TLS 1.2 ticket gets a full handshake, not an alert */
#define WOLFSSL_AEAD_ONLY
#define WOLFSSL_HOSTNAME_VERIFY_ALT_NAME_ONLY /* RFC 9525: the common name is no identity */
#define WOLFSSL_ALT_CERT_CHAINS               /* unrelated or unordered extra certificates do no harm */
#define WOLFSSL_IP_ALT_NAME
#define WOLFSSL_ALWAYS_VERIFY_CB /* IP addresses are checked in our callback */
#define MAX_CERTIFICATE_SZ       65536
#define NO_PSK
#define NO_DH
#define WOLFSSL_EXTRA_ALERTS

/* Ciphers and hashes */
#define HAVE_AESGCM
#define GCM_SMALL
#define HAVE_CHACHA
#define HAVE_POLY1305
#define NO_AES_CBC
#define WOLFSSL_SHA384
#define WOLFSSL_SHA512
#define NO_SHA
#define NO_MD4
#define NO_MD5
#define NO_DES3
#define NO_RC4
#define NO_DSA
#define NO_PWDBASED
#define NO_PKCS12

/* Public keys */
#define HAVE_ECC
#define ECC_USER_CURVES /* P-256 and those named here */
#define HAVE_ECC384
#define HAVE_ECC521
#define ECC_MIN_KEY_SZ 256
#define ECC_TIMING_RESISTANT
#define ECC_SHAMIR
#define HAVE_CURVE25519
#define CURVE25519_SMALL
#define HAVE_ED25519
#define ED25519_SMALL
#define WC_RSA_PSS
#define WC_RSA_BLINDING
#define TFM_TIMING_RESISTANT
#define RSA_MIN_SIZE 2048
#define WOLFSSL_SP_MATH_ALL
#define SP_INT_BITS 4096
#define WOLFSSL_HAVE_SP_RSA
#define WOLFSSL_HAVE_SP_ECC
#define WOLFSSL_SP_4096
#define WOLFSSL_SP_384
#define WOLFSSL_SP_521
#if defined(__ARM_ARCH) && __ARM_ARCH_PROFILE == 'M'
#define WOLFSSL_SP_SMALL
#define WOLFSSL_SP_ASM
#define WOLFSSL_SP_ARM_CORTEX_M_ASM
#else
#define HAVE___UINT128_T 1
#endif

#endif
