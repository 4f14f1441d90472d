/* Tables: the alert NetX sends for a code of its own, and the code it would have for an error of wolfSSL. */
#include "model.h"

#include <wolfssl/wolfcrypt/settings.h>
#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

int nx_model_alert_for(UINT code) {
    switch (code) {
    case 0x102:
    case 0x14F:
        return 10;
    case 0x108:
    case 0x150:
        return 20;
    case NX_SECURE_TLS_HANDSHAKE_FAILURE:
    case NX_SECURE_TLS_UNSUPPORTED_ECC_CURVE:
    case NX_SECURE_TLS_UNSUPPORTED_SIGNATURE_ALGORITHM:
        return 40;
    case NX_SECURE_TLS_CERTIFICATE_SIG_CHECK_FAILED:
    case NX_SECURE_TLS_CERTIFICATE_NOT_FOUND:
    case NX_SECURE_X509_PKCS7_PARSING_FAILED:
        return 42;
    case 0x10D:
    case NX_SECURE_TLS_UNSUPPORTED_CERT_SIGN_TYPE:
    case NX_SECURE_TLS_UNSUPPORTED_CERT_SIGN_ALG:
        return 43;
    case NX_SECURE_X509_CERTIFICATE_EXPIRED:
    case NX_SECURE_X509_CERTIFICATE_NOT_YET_VALID:
        return 45;
    case NX_SECURE_TLS_INVALID_SELF_SIGNED_CERT:
    case NX_SECURE_TLS_UNKNOWN_CERT_SIG_ALGORITHM:
        return 46;
    case 0x142:
    case 0x13E:
    case 0x154:
        return 47;
    case NX_SECURE_TLS_ISSUER_CERTIFICATE_NOT_FOUND:
    case 0x18C:
        return 48;
    case NX_SECURE_TLS_INCORRECT_MESSAGE_LENGTH:
        return 50;
    case NX_SECURE_TLS_FINISHED_HASH_FAILURE:
    case 0x14E:
        return 51;
    case NX_SECURE_TLS_UNKNOWN_TLS_VERSION:
    case NX_SECURE_TLS_UNSUPPORTED_TLS_VERSION:
        return 70;
    case 0x151:
        return 22;
    default:
        return 80; /* whatever has none of its own */
    }
}

UINT nx_model_code_for(int error, bool handshake) {
    switch (error) {
    case VERIFY_FINISHED_ERROR:
        return NX_SECURE_TLS_FINISHED_HASH_FAILURE;
    case VERIFY_SIGN_ERROR:
    case VERIFY_CERT_ERROR:
    case SIG_VERIFY_E:
        return 0x14E; /* NX_SECURE_TLS_SIGNATURE_VERIFICATION_ERROR */
    case VERSION_ERROR:
        return NX_SECURE_TLS_UNSUPPORTED_TLS_VERSION;
    case VERIFY_MAC_ERROR:
    case DECRYPT_ERROR:
    case AES_GCM_AUTH_E:
        return 0x150; /* NX_SECURE_TLS_AEAD_DECRYPT_FAIL */
    case UNKNOWN_RECORD_TYPE:
    case UNKNOWN_HANDSHAKE_TYPE:
        return NX_SECURE_TLS_UNRECOGNIZED_MESSAGE_TYPE;
    case OUT_OF_ORDER_E:
    case DUPLICATE_MSG_E:
        return 0x14F; /* NX_SECURE_TLS_UNEXPECTED_MESSAGE */
    case BUFFER_ERROR:
    case INCOMPLETE_DATA:
        return NX_SECURE_TLS_INCORRECT_MESSAGE_LENGTH;
    case LENGTH_ERROR:
        return 0x151; /* NX_SECURE_TLS_RECORD_OVERFLOW */
    case ECC_CURVE_ERROR:
    case ECC_CURVETYPE_ERROR:
        return NX_SECURE_TLS_UNSUPPORTED_ECC_CURVE;
    default:
        return handshake ? NX_SECURE_TLS_HANDSHAKE_FAILURE : NX_NOT_CONNECTED;
    }
}
