/* Which words of a log mean something, and which symbols belong to a library. Tables; one binary search each.
 */
#include "hil_uart.h"

#include <string.h>

static const struct {
    const char *word;
    unsigned flags;
} words[] = {
    /* sorted */
    {"abort", HIL_W_CALL | HIL_W_ERR},
    {"aborted", HIL_W_ERR},
    {"alert", HIL_W_ALERT | HIL_W_ERR | HIL_W_NUM},
    {"assert", HIL_W_ASSERT},
    {"assertion", HIL_W_ASSERT},
    {"backtrace", HIL_W_PANIC},
    {"bad", HIL_W_ERR},
    {"bearssl", HIL_W_BANNER},
    {"bfar", HIL_W_REG},
    {"bite", HIL_W_ERR},
    {"boot", HIL_W_BOOT},
    {"booted", HIL_W_BOOT},
    {"booting", HIL_W_BOOT},
    {"brownout", HIL_W_BOOT},
    {"busfault", HIL_W_FAULT},
    {"cannot", HIL_W_ERR},
    {"cfsr", HIL_W_FAULT},
    {"ciphersuite", HIL_W_MILE},
    {"closed", HIL_W_ERR},
    {"code", HIL_W_NUM},
    {"connack", HIL_W_CONNACK | HIL_W_MILE | HIL_W_NUM},
    {"connected", HIL_W_MILE},
    {"coremqtt", HIL_W_BANNER},
    {"corrupt", HIL_W_ERR},
    {"corrupted", HIL_W_ERR},
    {"couldn", HIL_W_ERR},
    {"denied", HIL_W_ERR},
    {"disconnect", HIL_W_ERR},
    {"disconnected", HIL_W_ERR},
    {"eof", HIL_W_ERR},
    {"err", HIL_W_ERR | HIL_W_NUM},
    {"errcode", HIL_W_ERR | HIL_W_NUM},
    {"errno", HIL_W_ERR | HIL_W_NUM},
    {"error", HIL_W_ERR | HIL_W_NUM},
    {"errors", HIL_W_ERR},
    {"exception", HIL_W_ERR},
    {"expired", HIL_W_ERR},
    {"fail", HIL_W_ERR | HIL_W_NUM},
    {"failed", HIL_W_ERR | HIL_W_NUM},
    {"fails", HIL_W_ERR | HIL_W_NUM},
    {"failure", HIL_W_ERR | HIL_W_NUM},
    {"fatal", HIL_W_ERR},
    {"fault", HIL_W_OFKIND},
    {"flags", HIL_W_NUM},
    {"freertos", HIL_W_BANNER},
    {"gnutls", HIL_W_BANNER},
    {"guru", HIL_W_PANIC},
    {"handshake", HIL_W_MILE},
    {"hardfault", HIL_W_FAULT},
    {"heap", HIL_W_MEM},
    {"hfsr", HIL_W_FAULT},
    {"invalid", HIL_W_ERR},
    {"iwdg", HIL_W_WDG},
    {"lockup", HIL_W_FAULT},
    {"lost", HIL_W_ERR},
    {"lr", HIL_W_REG},
    {"lwip", HIL_W_BANNER},
    {"malloc", HIL_W_MEM},
    {"mbed", HIL_W_BANNER},
    {"mbedtls", HIL_W_BANNER},
    {"memfault", HIL_W_FAULT},
    {"memmanage", HIL_W_FAULT},
    {"memory", HIL_W_MEM},
    {"mismatch", HIL_W_ERR},
    {"mmfar", HIL_W_REG},
    {"mosquitto", HIL_W_BANNER},
    {"netx", HIL_W_BANNER},
    {"netxduo", HIL_W_BANNER},
    {"not", HIL_W_ERR},
    {"num", HIL_W_NUM},
    {"openssl", HIL_W_BANNER},
    {"overflow", HIL_W_ERR},
    {"paho", HIL_W_BANNER},
    {"panic", HIL_W_PANIC},
    {"pc", HIL_W_REG},
    {"psr", HIL_W_REG},
    {"pubsubclient", HIL_W_BANNER},
    {"rc", HIL_W_NUM},
    {"reason", HIL_W_NUM},
    {"refused", HIL_W_ERR},
    {"rejected", HIL_W_ERR},
    {"res", HIL_W_NUM},
    {"reset", HIL_W_BOOT | HIL_W_ERR},
    {"result", HIL_W_NUM},
    {"ret", HIL_W_NUM},
    {"return", HIL_W_NUM},
    {"returned", HIL_W_NUM},
    {"returns", HIL_W_NUM},
    {"retval", HIL_W_NUM},
    {"revoked", HIL_W_ERR},
    {"rst", HIL_W_BOOT},
    {"rv", HIL_W_NUM},
    {"smashing", HIL_W_PANIC},
    {"sockerr", HIL_W_ERR | HIL_W_NUM},
    {"sp", HIL_W_REG},
    {"spwf04sa", HIL_W_BANNER},
    {"state", HIL_W_NUM},
    {"status", HIL_W_NUM},
    {"suite", HIL_W_MILE},
    {"test", HIL_W_MILE},
    {"threadx", HIL_W_BANNER},
    {"timeout", HIL_W_ERR},
    {"triggered", HIL_W_ERR},
    {"trusted", HIL_W_ERR},
    {"unable", HIL_W_ERR},
    {"unauthorised", HIL_W_ERR},
    {"unauthorized", HIL_W_ERR},
    {"undefined", HIL_W_ERR},
    {"unexpected", HIL_W_ERR},
    {"unknown", HIL_W_ERR},
    {"unreachable", HIL_W_ERR},
    {"unsupported", HIL_W_ERR},
    {"untrusted", HIL_W_ERR},
    {"usagefault", HIL_W_FAULT},
    {"verify", HIL_W_ERR},
    {"w5500", HIL_W_BANNER},
    {"watchdog", HIL_W_WDG},
    {"wdt", HIL_W_WDG},
    {"with", HIL_W_NUM},
    {"wiznet", HIL_W_BANNER},
    {"wolfssl", HIL_W_BANNER},
    {"wwdg", HIL_W_WDG},
    {"xpsr", HIL_W_REG},
    {"zephyr", HIL_W_BANNER},
};

unsigned hil_uart_word(const uint8_t *p, size_t n) {
    char low[16];
    if (n < 2 || n >= sizeof low)
        return 0;
    for (size_t i = 0; i < n; i++)
        low[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]);
    low[n] = 0;
    size_t a = 0, b = sizeof words / sizeof *words;
    while (a < b) {
        size_t m = (a + b) / 2;
        int order = strcmp(low, words[m].word);
        if (order == 0)
            return words[m].flags;
        if (order < 0)
            b = m;
        else
            a = m + 1;
    }
    return 0;
}

static bool has_prefix(const uint8_t *p, size_t n, const char *prefix) {
    size_t len = strlen(prefix);
    return n > len && memcmp(p, prefix, len) == 0;
}

static bool has_suffix(const uint8_t *p, size_t n, const char *suffix) {
    size_t len = strlen(suffix);
    return n > len && memcmp(p + n - len, suffix, len) == 0;
}

bool hil_uart_is_name(const uint8_t *p, size_t n) {
    static const char *const prefixes[] = {
        "NX_",
        "NXD_",
        "MBEDTLS_ERR_",
        "MBEDTLS_X509_BAD",
        "PSA_ERROR_",
        "BR_ERR_",
        "SOCKERR_",
        "X509_V_ERR_",
        "SSL_R_",
        "MOSQ_ERR_",
        "ESP_ERR_",
        "TLSV1_ALERT_",
        "SSLV3_ALERT_",
        "TLSV13_ALERT_",
        "MQTT_CONNECT_",
        "MQTT_CONNECTION_",
        "CERTIFICATE_VERIFY_FAILED",
    };
    static const char *const exact[] = {
        "ECONNREFUSED",
        "ECONNRESET",
        "ETIMEDOUT",
        "EHOSTUNREACH",
        "ENETUNREACH",
        "ENOTCONN",
        "EPIPE",
        "ECONNABORTED",
        "ENOMEM",
        "ENOBUFS",
        "EAGAIN",
        "ERR_MEM",
        "ERR_RST",
        "ERR_ABRT",
        "ERR_CLSD",
        "ERR_CONN",
        "ERR_RTE",
        "ERR_TIMEOUT",
        "ERR_VAL",
        "ERR_USE",
        "ERR_BUF",
        "ERR_ARG",
        "ERR_IF",
        "SOCK_BUSY",
        "SOCK_ERROR",
        "BAD_FUNC_ARG",
        "NOT_COMPILED_IN",
        "WANT_READ",
        "ZERO_RETURN",
        "MQTTBadParameter",
        "MQTTNoMemory",
        "MQTTSendFailed",
        "MQTTRecvFailed",
        "MQTTBadResponse",
        "MQTTServerRefused",
        "MQTTNoDataAvailable",
        "MQTTIllegalState",
        "MQTTStateCollision",
        "MQTTKeepAliveTimeout",
        "MQTTNeedMoreBytes",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
    };
    if (n < 5 || n > 64)
        return false;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (has_prefix(p, n, prefixes[i]))
            return true;
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        if (strlen(exact[i]) == n && memcmp(exact[i], p, n) == 0)
            return true;
    if (!memchr(p, '_', n))
        return false;
    for (size_t i = 0; i < n; i++) /* wolfSSL: ASN_NO_SIGNER_E, DOMAIN_NAME_MISMATCH, VERIFY_CERT_ERROR */
        if (!((p[i] >= 'A' && p[i] <= 'Z') || (p[i] >= '0' && p[i] <= '9') || p[i] == '_'))
            return false;
    return has_suffix(p, n, "_E") || has_suffix(p, n, "_ERROR") || has_suffix(p, n, "_MISMATCH");
}
