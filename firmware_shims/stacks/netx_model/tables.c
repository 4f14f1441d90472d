/* The stock tables of NetX with ECC, AEAD and TLS 1.3, as their ClientHello shows them. */
#include "nx_secure_tls_api.h"

/* Code points (IANA). */
#define TLS_AES_128_GCM_SHA256                  0x1301
#define TLS_AES_128_CCM_SHA256                  0x1304
#define TLS_AES_128_CCM_8_SHA256                0x1305
#define TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 0xC02B
#define TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256   0xC02F
#define TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 0xC023
#define TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256   0xC027
#define TLS_RSA_WITH_AES_128_GCM_SHA256         0x009C
#define TLS_RSA_WITH_AES_256_CBC_SHA256         0x003D
#define TLS_RSA_WITH_AES_128_CBC_SHA256         0x003C

NX_CRYPTO_METHOD crypto_method_ecdhe = {1}, crypto_method_ecdsa = {2}, crypto_method_rsa = {3},
                 crypto_method_null = {4}, crypto_method_aes_128_gcm_16 = {5},
                 crypto_method_aes_256_gcm_16 = {6}, crypto_method_aes_ccm_16 = {7},
                 crypto_method_aes_ccm_8 = {8}, crypto_method_aes_cbc_128 = {9},
                 crypto_method_aes_cbc_256 = {10}, crypto_method_sha256 = {11},
                 crypto_method_hmac_sha256 = {12}, crypto_method_hkdf = {13},
                 crypto_method_tls_prf_sha256 = {14}, crypto_method_tls_prf_sha384 = {15},
                 crypto_method_ec_secp256 = {16}, crypto_method_ec_secp384 = {17},
                 crypto_method_ec_secp521 = {18};

#define SUITE_13(code, cipher)                                                                               \
    {                                                                                                        \
        (code), &crypto_method_ecdhe, &crypto_method_ecdsa, &(cipher), 96, 16, &crypto_method_sha256, 32,    \
            &crypto_method_hkdf                                                                              \
    }
#define SUITE_12(code, kea, auth, cipher, key, hash, hash_size)                                              \
    { (code), &(kea), &(auth), &(cipher), 16, (key), &(hash), (hash_size), &crypto_method_tls_prf_sha256 }

static NX_SECURE_TLS_CIPHERSUITE_INFO suites[] = {
    SUITE_13(TLS_AES_128_GCM_SHA256, crypto_method_aes_128_gcm_16),
    SUITE_13(TLS_AES_128_CCM_SHA256, crypto_method_aes_ccm_16),
    SUITE_13(TLS_AES_128_CCM_8_SHA256, crypto_method_aes_ccm_8),
    SUITE_12(TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, crypto_method_ecdhe, crypto_method_ecdsa,
             crypto_method_aes_128_gcm_16, 16, crypto_method_null, 0),
    SUITE_12(TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, crypto_method_ecdhe, crypto_method_rsa,
             crypto_method_aes_128_gcm_16, 16, crypto_method_null, 0),
    SUITE_12(TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, crypto_method_ecdhe, crypto_method_ecdsa,
             crypto_method_aes_cbc_128, 16, crypto_method_hmac_sha256, 32),
    SUITE_12(TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, crypto_method_ecdhe, crypto_method_rsa,
             crypto_method_aes_cbc_128, 16, crypto_method_hmac_sha256, 32),
    SUITE_12(TLS_RSA_WITH_AES_128_GCM_SHA256, crypto_method_rsa, crypto_method_rsa,
             crypto_method_aes_128_gcm_16, 16, crypto_method_null, 0),
    SUITE_12(TLS_RSA_WITH_AES_256_CBC_SHA256, crypto_method_rsa, crypto_method_rsa, crypto_method_aes_cbc_256,
             32, crypto_method_hmac_sha256, 32),
    SUITE_12(TLS_RSA_WITH_AES_128_CBC_SHA256, crypto_method_rsa, crypto_method_rsa, crypto_method_aes_cbc_128,
             16, crypto_method_hmac_sha256, 32),
};

/* Here an entry's identifier is its code point in signature_algorithms: the hello is made from this table. */
static NX_SECURE_X509_CRYPTO signatures[] = {{0x0403}, {0x0503}, {0x0603}, {0x0401}, {0x0501},
                                             {0x0601}, {0x0303}, {0x0203}, {0x0201}, {0x0101}};

extern const NX_SECURE_TLS_CRYPTO nx_crypto_tls_ciphers_ecc;
const NX_SECURE_TLS_CRYPTO nx_crypto_tls_ciphers_ecc = {suites, sizeof suites / sizeof *suites, signatures,
                                                        sizeof signatures / sizeof *signatures};

extern const USHORT nx_crypto_ecc_supported_groups[];
extern const UINT nx_crypto_ecc_supported_groups_size;
extern const NX_CRYPTO_METHOD *nx_crypto_ecc_curves[];
const USHORT nx_crypto_ecc_supported_groups[] = {23, 24, 25}; /* P-256, P-384, P-521 */
const UINT nx_crypto_ecc_supported_groups_size =
    sizeof nx_crypto_ecc_supported_groups / sizeof *nx_crypto_ecc_supported_groups;
const NX_CRYPTO_METHOD *nx_crypto_ecc_curves[] = {&crypto_method_ec_secp256, &crypto_method_ec_secp384,
                                                  &crypto_method_ec_secp521};
