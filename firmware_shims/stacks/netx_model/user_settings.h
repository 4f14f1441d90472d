/* wolfSSL as the model of NetX Secure needs it: the suites, groups and hashes that NetX has, obsolete ones
 * too, and nothing that NetX lacks where it would be seen on the wire (tickets, EMS, ETM, ChaCha20, X25519).
 */
#ifndef NETX_MODEL_USER_SETTINGS_H
#define NETX_MODEL_USER_SETTINGS_H

#include <stddef.h>
#include <time.h>

#define SINGLE_THREADED
#define WOLFSSL_USER_IO
#define NO_FILESYSTEM
#define NO_WRITEV
#define NO_DEV_RANDOM
#define NO_MAIN_DRIVER
#define WOLFSSL_IGNORE_FILE_WARN
#define NO_ERROR_QUEUE
#define SIZEOF_LONG_LONG 8
#define WOLFSSL_NO_SERVER_GROUPS_EXT
#define NO_WOLFSSL_SERVER
#define NO_SESSION_CACHE

#define TIME_OVERRIDES
#define HAVE_TIME_T_TYPE
#define HAVE_TM_TYPE
#define XTIME   nx_model_time
#define XGMTIME nx_model_gmtime
#define HAVE_HASHDRBG
#define CUSTOM_RAND_GENERATE_SEED nx_model_generate_seed
int nx_model_generate_seed(unsigned char *output, unsigned int size);

#define WOLFSSL_TLS13
#define NO_OLD_TLS
#define HAVE_TLS_EXTENSIONS
#define HAVE_SUPPORTED_CURVES
#define HAVE_SERVER_RENEGOTIATION_INFO
#define HAVE_SNI
#define HAVE_HKDF
#define WOLFSSL_SEND_HRR_COOKIE /* a client that is given a cookie must return it */
#define WOLFSSL_ALT_CERT_CHAINS
#define WOLFSSL_ALWAYS_VERIFY_CB /* NetX's own rules decide, in ../x509.c */
#define WOLFSSL_ALLOW_NO_CN_IN_SAN
#define MAX_CERTIFICATE_SZ 65536
#define NO_PSK
#define NO_DH
#define HAVE_PK_CALLBACKS
#define WOLFSSL_EXTRA_ALERTS

#define HAVE_AESGCM
#define HAVE_AESCCM
#define HAVE_AES_CBC
#define WOLFSSL_STATIC_RSA
#define WOLFSSL_SHA224
#define WOLFSSL_SHA384
#define WOLFSSL_SHA512
#define NO_MD4
#define NO_DES3
#define NO_RC4
#define NO_DSA
#define NO_PWDBASED
#define NO_PKCS12

#define HAVE_ECC
#define ECC_USER_CURVES
#define HAVE_ECC384
#define HAVE_ECC521
#define ECC_MIN_KEY_SZ 256
#define ECC_TIMING_RESISTANT
#define ECC_SHAMIR
#define WC_RSA_PSS /* the library insists on it in TLS 1.3; it is never offered */
#define WC_RSA_BLINDING
#define TFM_TIMING_RESISTANT
#define RSA_MIN_SIZE 1024
#define WOLFSSL_SP_MATH_ALL
#define SP_INT_BITS 4096
#define WOLFSSL_HAVE_SP_RSA
#define WOLFSSL_HAVE_SP_ECC
#define WOLFSSL_SP_4096
#define WOLFSSL_SP_384
#define WOLFSSL_SP_521
#define HAVE___UINT128_T 1

#endif
