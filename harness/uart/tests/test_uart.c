/* Unit tests of hil-uart: every printed form, damage, windows, bounds. Output is compared as the JSON people
 * get. */
#include "hil_uart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *out;
static size_t out_len, out_cap;
static int failures;

static void collect(void *ctx, const char *s, size_t n) {
    (void)ctx;
    if (out_len + n + 1 > out_cap) {
        out_cap = (out_len + n + 1) * 2;
        out = realloc(out, out_cap);
        if (!out)
            abort();
    }
    memcpy(out + out_len, s, n);
    out_len += n;
    out[out_len] = 0;
}

/* Scan `n` bytes in pieces of `piece`; the result is in `out`. */
static void scan(const void *data, size_t n, size_t piece) {
    static struct hil_uart u;
    struct hil_emit *e = malloc(hil_emit_size());
    if (!e)
        abort();
    out_len = 0;
    hil_emit_init(e, collect, NULL);
    hil_uart_init(&u, hil_emit_hit, e);
    for (size_t i = 0; i < n; i += piece)
        hil_uart_feed(&u, (const uint8_t *)data + i, n - i < piece ? n - i : piece);
    hil_uart_end(&u);
    hil_emit_end(e, &u);
    free(e);
}

static void check(const char *what, bool ok) {
    if (!ok) {
        fprintf(stderr, "FAILED %s\n%s\n", what, out);
        failures++;
    }
}

static size_t count(const char *part) {
    size_t n = 0, len = strlen(part); /* not strstr: under ASan each call measures the whole rest */
    for (const char *p = out; (p = memmem(p, out_len - (size_t)(p - out), part, len)); p++)
        n++;
    return n;
}

/* The line must give output that contains `wanted`. */
static void gives(const char *line, const char *wanted) {
    scan(line, strlen(line), strlen(line));
    check(line, strstr(out, wanted) != NULL);
}

/* The line must not give any hit of this kind. */
static void gives_no(const char *line, const char *kind) {
    char key[64];
    snprintf(key, sizeof key, "\"kind\":\"%s\"", kind);
    scan(line, strlen(line), strlen(line));
    check(line, strstr(out, key) == NULL);
}

/* A shim line with its CRC, for the tests. */
static const char *shim(const char *body) {
    static char line[512];
    snprintf(line, sizeof line, "@H1 %s ", body);
    size_t n = strlen(line);
    snprintf(line + n, sizeof line - n, "*%04x", hil_uart_crc((const uint8_t *)line, n));
    return line;
}

static void test_words_sorted(void) {
    /* The table is searched by bisection: a word at each end and in the middle must be found. */
    check("abort", hil_uart_word((const uint8_t *)"abort", 5) & HIL_W_CALL);
    check("not", hil_uart_word((const uint8_t *)"not", 3) & HIL_W_ERR);
    check("couldn", hil_uart_word((const uint8_t *)"couldn", 6) & HIL_W_ERR);
    check("zephyr", hil_uart_word((const uint8_t *)"Zephyr", 6) & HIL_W_BANNER);
    static const char *const all[] = {
        "alert",     "assert",       "bad",        "boot",      "busfault", "code",     "connack",
        "err",       "errno",        "error",      "failed",    "fault",    "guru",     "handshake",
        "hardfault", "heap",         "invalid",    "iwdg",      "lockup",   "malloc",   "mbed",
        "mbedtls",   "memmanage",    "mismatch",   "mosquitto", "netx",     "num",      "openssl",
        "panic",     "pubsubclient", "rc",         "reason",    "refused",  "res",      "reset",
        "result",    "ret",          "returned",   "revoked",   "rst",      "rv",       "smashing",
        "state",     "status",       "suite",      "test",      "timeout",  "trusted",  "unable",
        "unknown",   "unreachable",  "usagefault", "verify",    "w5500",    "watchdog", "wdt",
        "with",      "wolfssl",      "wwdg"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check(all[i], hil_uart_word((const uint8_t *)all[i], strlen(all[i])) != 0);
    check("cat", hil_uart_word((const uint8_t *)"cat", 3) == 0);
}

static void test_shim(void) {
    check("crc of 123456789", hil_uart_crc((const uint8_t *)"123456789", 9) == 0x29B1);
    gives(shim("0 12 boot build=abc stack=wolfssl-5.5.4 caps=tls1.2,tls1.3"),
          "\"kind\":\"event\",\"event\":\"boot\",\"seq\":0,\"ms\":12,\"fields\":{\"build\":\"abc\",\"stack\":"
          "\"wolfssl-5.5.4\",");
    gives(shim("5 120 tls state=failed rc=-0x7780 alert=40"),
          "\"fields\":{\"state\":\"failed\",\"rc\":\"-0x7780\",\"alert\":\"40\"},\"ok\":true");
    gives(shim("6 1 ready"), "\"event\":\"ready\",\"seq\":6,\"ms\":1,\"fields\":{}");
    gives(shim("7 1 err reason=a%20b%25%0a%ff"), "\"reason\":\"a b% \xEF\xBF\xBD\"");
    gives(shim("8 1 x a=1 a=2"), "\"fields\":{\"a\":\"1\"}");
    char line[700];
    snprintf(line, sizeof line, "\x1b[32mI (12) app: noise %s tail rc=5 %s\n", shim("1 5 ready"), "end");
    scan(line, strlen(line), 7);
    check("inside a line", strstr(out, "\"event\":\"ready\"") && strstr(out, "\"token\":\"5\""));
    snprintf(line, sizeof line, "%s", shim("1 5 ready"));
    line[6] = '7';
    gives(line, "\"kind\":\"damaged\",\"reason\":\"crc\"");
    gives("@H1 1 5 read", "\"kind\":\"damaged\",\"reason\":\"cut\"");
    gives("@H1 1 5 re@H1 2 6 ready *0000", "\"reason\":\"cut\",\"text\":\"@H1 1 5 re\"");
    gives(shim("x 5 ready"), "\"reason\":\"syntax\"");
    gives(shim("1 5 ready novalue"), "\"reason\":\"syntax\"");
    char big[600] = "@H1 1 5 x k=";
    memset(big + 12, 'a', 400);
    gives(big, "\"reason\":\"long\"");
    snprintf(line, sizeof line, "%s\n", shim("3 1 net state=up"));
    size_t n = strlen(line);
    snprintf(line + n, sizeof line - n, "%s\n", shim("6 2 ready"));
    scan(line, strlen(line), 64);
    check("gap", strstr(out, "\"kind\":\"gap\",\"from\":4,\"to\":6,\"missing\":2") != NULL);
    n = strlen(line);
    snprintf(line + n, sizeof line - n, "%s\n", shim("0 0 boot reset=watchdog"));
    scan(line, strlen(line), 64);
    check("a boot is no gap", count("\"kind\":\"gap\"") == 1 && strstr(out, "\"boots\":1"));
    snprintf(line, sizeof line, "%s", shim("9 9 ready"));
    scan(line, strlen(line) - 1, 1);
    check("cut in the CRC", strstr(out, "\"reason\":\"cut\"") && !strstr(out, "\"kind\":\"event\""));
}

static void test_numbers(void) {
    gives("nx_secure_tls_session_start: 0x00000114",
          "\"form\":\"hex\",\"value\":276,\"token\":\"0x00000114\"");
    gives("nx_secure_tls_session_start: 0x00000114", "\"api\":\"nx_secure_tls_session_start\"");
    gives("handshake: -0x7780 SSL", "\"form\":\"neg_hex\",\"value\":-30592");
    gives("mbedtls_ssl_handshake() returned -29184 (-0x7200)", "\"form\":\"neg_dec\",\"value\":-29184");
    gives("nxd_mqtt_client_secure_connect error 65541", "\"value\":65541,\"token\":\"65541\"");
    gives("failed, rc=-2 try again in 5 seconds", "\"form\":\"neg_dec\",\"value\":-2");
    gives("failed, rc=5", "\"form\":\"dec\",\"value\":5");
    gives("MQTTConnect() returned: 255", "\"value\":255");
    gives("Fails with 56 (0x38) error", "\"value\":56,\"token\":\"0x38\"");
    gives("read: -313 received alert fatal error", "\"value\":-313");
    gives("1995769248:error:14094412:SSL routines:ssl3_read_bytes",
          "\"form\":\"openssl\",\"value\":336151570");
    gives("OpenSSL Error[0]: error:0A0000C1:SSL routines::no shared cipher",
          "\"form\":\"openssl\",\"value\":167772353");
    gives("verify error:num=20:unable to get", "\"form\":\"verify\",\"value\":20");
    gives("AT-S.ERROR:74:Failed to open socket", "\"form\":\"at\",\"value\":74");
    gives("ERROR: 74", "\"form\":\"at\",\"value\":74");
    gives("+WIND:46:WPA: Handshake Complete", "\"form\":\"wind\",\"value\":46");
    gives("CONNACK 20 02 00 05", "\"form\":\"connack\",\"value\":5");
    gives("CONNACK 20 03 00 87 00", "\"form\":\"connack\",\"value\":135");
    gives("Client m received CONNACK (5)", "\"form\":\"connack\",\"value\":5");
    gives("00000000: 2002 0004  ...", "\"form\":\"connack\",\"value\":4");
    gives("0x10005 error", "\"value\":65541");
    gives_no("ssl->f_recv(_timeout)() (-0xfffffffb)", "number");
    gives_no("16 03 03 00 51 02 00", "number");
    gives_no("connecting to 10.77.0.1:8883 (tls)", "number");
    gives_no("temperature 23.5 C, humidity 40%", "number");
    gives_no("free heap at 0x20001234 is fine", "number");
    gives_no("pointer 0x7ffe192ef2a0 error", "number");
    gives_no("uptime 12345s error in 10ms", "number");
    gives_no("12345678901234567890123", "number");
    gives_no("version 5.5.4", "number");
}

static void test_names_alerts(void) {
    gives("(NX_NOT_CONNECTED)", "\"kind\":\"name\",\"name\":\"NX_NOT_CONNECTED\"");
    gives("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1", "\"name\":\"TLSV1_ALERT_UNKNOWN_CA\"");
    gives("[SSL: WRONG_VERSION_NUMBER] wrong version", "\"name\":\"WRONG_VERSION_NUMBER\"");
    gives("Subscribed (mid: 1): 128", "\"form\":\"suback\",\"value\":128");
    gives_no("Subscribed (mid: 1): 0", "number");
    gives("check_private_key 0", "\"class\":\"milestone\"");
    gives("err ASN_NO_SIGNER_E", "\"name\":\"ASN_NO_SIGNER_E\"");
    gives("return MBEDTLS_ERR_SSL_WANT_READ;", "\"name\":\"MBEDTLS_ERR_SSL_WANT_READ\"");
    gives_no("CONFIG_FOO_BAR", "name");
    gives("got an alert message, type: [2:40]", "\"dir\":\"rx\",\"level\":2,\"code\":40");
    gives("is a fatal alert message (msg 48)", "\"dir\":\"rx\",\"level\":-1,\"code\":48");
    gives("send alert level=2 message=48", "\"dir\":\"tx\",\"level\":2,\"code\":48");
    gives("alert history: rx level 2 code 45, tx level -1 code -1", "\"dir\":\"rx\",\"level\":2,\"code\":45");
    check("no alert -1", count("\"kind\":\"alert\"") == 1 && !strstr(out, "\"kind\":\"number\""));
    gives("tx level 2 code 48, alert history", "\"dir\":\"tx\",\"level\":2,\"code\":48");
    gives("rec_layer_s3.c:1602:SSL alert number 42", "\"dir\":\"rx\",\"level\":-1,\"code\":42");
    gives("*** Received alert [45]: Certificate is expired", "\"dir\":\"rx\",\"level\":-1,\"code\":45");
    gives("alert level is 0x2 and alert value 0x28", "\"dir\":\"\",\"level\":2,\"code\":40");
    gives("TLS alert sent: 48", "\"dir\":\"tx\",\"level\":-1,\"code\":48");
    gives_no("Content Type: Alert (21)", "alert");
    static const char *const cut[] = {"alert rx level ",
                                      "alert rx level 2",
                                      "alert tx level 2 code ",
                                      "alert message, type: [",
                                      "alert number ",
                                      "alert 0x",
                                      "alert"};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        size_t n = strlen(cut[i]);
        char *exact = malloc(n); /* no byte behind the line: a read past it is seen by ASan */
        if (!exact)
            abort();
        memcpy(exact, cut[i], n);
        struct hil_alert found[4];
        check(cut[i], hil_uart_alerts((const uint8_t *)exact, n, found, 4) <= 1);
        free(exact);
    }
}

static void test_texts(void) {
    gives("HardFault_Handler pc=0x08001234", "\"class\":\"fault\"");
    gives("CFSR 0x00008200 HFSR 0x40000000", "\"class\":\"fault\"");
    gives("Guru Meditation Error: Core 0 panic'ed", "\"class\":\"panic\"");
    gives("ASSERT failed at main.c:12", "\"class\":\"assert\"");
    gives("IWDG reset", "\"class\":\"watchdog\"");
    gives("*** Booting Zephyr OS build v3.4.0 ***", "\"class\":\"boot\"");
    gives("rst:0x7 (TG0WDT_SYS_RESET)", "\"class\":\"boot\"");
    gives("2026-11-21T01:48:00.123456Z -- hil: board reset, error 5", "\"class\":\"note\"");
    gives_no("-- hil: error 5", "number");
    gives("\\x1b[31mfailed\\x1b[0m rc=5", "\"value\":5");
    gives("\\x1b[31mfailed", "\"class\":\"error\"");
    gives("PC = 0x08001234 LR = 08000f00", "\"class\":\"registers\"");
    gives_no("my PC is fine", "text");
    gives_no("no fault found", "text");
    gives("Bus Fault", "\"class\":\"fault\"");
    gives_no("watchdog started", "text");
    gives(">>UART TX buffer: AT+S.TLSCERT=Auth,40", "\"class\":\"at\"");
    gives("-S.Time:09.05.38", "\"class\":\"at\"");
    gives_no("AT the end", "text");
    gives("abort() was called at PC 0x400d1234", "\"class\":\"panic\"");
    gives("Software caused connection abort", "\"class\":\"error\"");
    gives("(CN) does not match with", "\"class\":\"error\"");
    gives("malloc failed", "\"class\":\"memory\"");
    gives("Out of memory", "\"class\":\"memory\"");
    gives_no("heap 12345 free", "text");
    gives("NetX Duo 6.4.2 firmware", "\"class\":\"banner\",\"name\":\"NetX Duo\",\"version\":\"6.4.2\"");
    gives("wolfSSL 5.5.4", "\"name\":\"wolfSSL\",\"version\":\"5.5.4\"");
    gives("Mbed TLS v3.6.0", "\"version\":\"3.6.0\"");
    gives("mbedtls-2.28.3", "\"version\":\"2.28.3\"");
    gives_no("File \"/etc/mosquitto/paho.py\"", "text");
    gives("certificate \x01\x02 expired\xff \"x\\", "certificate    expired\xEF\xBF\xBD \\\"x\\\\");
    gives("\x1b[31mfailed\x1b[0m to connect", "\"text\":\"failed to connect\"");
}

static void test_stamps(void) {
    gives("2026-11-21T01:48:00.123456Z failed", "\"t\":1795225680.123456");
    gives("[   0.105] failed", "\"t\":0.105000");
    gives("12:34:56.5 failed", "\"t\":45296.500000");
    gives("I (1234) app: failed", "\"t\":1.234000");
    gives("[00:00:05.123,000] <err> net_mqtt: failed", "\"t\":5.123000");
    gives("[0000002175][main.c:0244] failed", "\"t\":null");
    gives("2026-13-21T01:48:00Z failed", "\"t\":null");
    gives("failed", "\"t\":null");
}

static void test_windows(void) {
    /* A line of 100,000 bytes: every hit once, wherever the windows are cut. */
    size_t n = 100000;
    char *line = malloc(n + 1);
    if (!line)
        abort();
    memset(line, '.', n);
    for (size_t at = 50; at + 300 < n; at += 997) { /* 997 is prime: all positions relative to the windows */
        char body[64];
        snprintf(body, sizeof body, "%zu 1 ready", at / 997);
        const char *shim_line = shim(body);
        /* Into the midst of a line. NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
        memcpy(line + at, shim_line, strlen(shim_line));
    }
    size_t expected = 0;
    for (size_t at = 50; at + 300 < n; at += 997)
        expected++;
    static const size_t pieces[] = {1, 13, 4096, 8191, 8192, 8193, 100000};
    char *first = NULL;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        scan(line, n, pieces[i]);
        check("events in a long line",
              count("\"kind\":\"event\"") == expected && !strstr(out, "damaged\",\""));
        check("no gap in a long line", strstr(out, "\"gaps\":0") != NULL);
        if (!first) {
            first = malloc(out_len + 1);
            if (!first)
                abort();
            memcpy(first, out, out_len + 1);
        } else {
            check("pieces do not matter", strcmp(first, out) == 0);
        }
    }
    free(first);
    check("longest", strstr(out, "\"longest_line\":100000") && strstr(out, "\"lines\":1,"));
    free(line);
}

static void test_flood(void) {
    size_t n = 1u << 20;
    char *data = malloc(n);
    if (!data)
        abort();
    size_t len = 0;
    unsigned i = 0;
    while (len + 100 < n)
        len += (size_t)snprintf(data + len, 100, "sensor %u: failed rc=%u\n", i, i % 3), i++;
    len += (size_t)snprintf(data + len, 100, "HardFault at the end");
    scan(data, len, 65536);
    check("flood is collapsed",
          out_len < 100000 && strstr(out, "\"kind\":\"repeat\"") && strstr(out, "HardFault at the end"));
    /* All different: the budget holds, and the newest are kept. */
    len = 0;
    for (i = 0; len + 100 < n; i++)
        len += (size_t)snprintf(data + len, 100, "a%c%c%c%c failed -0x%x\n", 'a' + (char)(i % 26),
                                'a' + (char)(i / 26 % 26), 'a' + (char)(i / 676 % 26),
                                'a' + (char)(i / 17576 % 26), i + 0x1000);
    scan(data, len, 65536);
    char last[64];
    snprintf(last, sizeof last, "\"token\":\"-0x%x\"", i - 1 + 0x1000);
    check("budget", count("\"kind\":\"number\"") <= 5256 && strstr(out, last));
    free(data);
}

static void test_skip(void) {
    static struct hil_uart u;
    struct hil_emit *e = malloc(hil_emit_size());
    if (!e)
        abort();
    out_len = 0;
    hil_emit_init(e, collect, NULL);
    hil_uart_init(&u, hil_emit_hit, e);
    hil_uart_feed(&u, (const uint8_t *)"a\nfailed rc=1 and", 17);
    hil_uart_skip(&u, (const uint8_t *)" more rc=2\nrc=3\nhalf", 20);
    hil_uart_feed(&u, (const uint8_t *)" line\nrc=4\n", 11);
    hil_uart_end(&u);
    hil_emit_end(e, &u);
    free(e);
    check("skipped bytes are not looked at", count("\"kind\":\"number\"") == 2 &&
                                                 strstr(out, "\"token\":\"1\"") &&
                                                 strstr(out, "{\"line\":5,\"t\":null,\"kind\":\"number\""));
    check("their lines are counted", strstr(out, "\"lines\":5,") && strstr(out, "\"skipped_bytes\":20"));
}

static void test_hostile(void) {
    uint8_t noise[20000];
    uint32_t x = 12345;
    for (size_t i = 0; i < sizeof noise; i++) {
        x = x * 1664525u + 1013904223u;
        noise[i] = (uint8_t)(x >> 24);
    }
    scan(noise, sizeof noise, 333);
    check("noise has an end", strstr(out, "\"kind\":\"end\"") != NULL);
    scan("", 0, 1);
    check("empty", strstr(out, "\"lines\":0,\"bytes\":0"));
    scan("\n\n\n", 3, 1);
    check("three empty lines", strstr(out, "\"lines\":3,"));
    scan("a\nb", 3, 1);
    check("no newline at the end", strstr(out, "\"lines\":2,"));
}

int main(void) {
    test_words_sorted();
    test_shim();
    test_numbers();
    test_names_alerts();
    test_texts();
    test_stamps();
    test_windows();
    test_flood();
    test_skip();
    test_hostile();
    free(out);
    if (failures)
        fprintf(stderr, "%d failures\n", failures);
    return failures ? 1 : 0;
}
