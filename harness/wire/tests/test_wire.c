/* Unit tests of the parsers and the writer, each with its edge cases. Prints what failed and where. */
#include "conn.h"
#include "dns.h"
#include "handshake.h"
#include "json.h"
#include "jwt.h"
#include "keylog.h"
#include "mqtt_packet.h"
#include "names.h"
#include "reader.h"
#include "utf8.h"
#include "x509.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int failures;

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                       \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

static struct hil_span span(const char *s) {
    return (struct hil_span){(const uint8_t *)s, strlen(s)};
}
#define BYTES(...)                                                                                           \
    (struct hil_span) {                                                                                      \
        (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})                               \
    }

static void test_spans(void) {
    struct hil_span s = BYTES(0, 2, 7, 8, 9);
    struct hil_span v;
    uint16_t h;
    CHECK(hil_vec16(&s, &v) && v.n == 2 && v.p[0] == 7 && s.n == 1);
    CHECK(!hil_u16(&s, &h) && s.n == 1); /* a failure moves nothing */
    s = BYTES(3, 1, 2);
    CHECK(!hil_vec8(&s, &v) && s.n == 3);
    s = BYTES(0, 0, 1);
    CHECK(!hil_vec24(&s, &v) && s.n == 3);
}

static void test_utf8(void) {
    uint32_t cp;
    CHECK(hil_utf8_step((const uint8_t *)"\xe2\x82\xac", 3, &cp) == 3 && cp == 0x20ac);
    CHECK(hil_utf8_step((const uint8_t *)"\xf4\x8f\xbf\xbf", 4, &cp) == 4 && cp == 0x10ffff);
    CHECK(hil_utf8_step((const uint8_t *)"\xf4\x90\x80\x80", 4, &cp) == 0); /* above U+10FFFF */
    CHECK(hil_utf8_step((const uint8_t *)"\xc0\x80", 2, &cp) == 0);         /* overlong */
    CHECK(hil_utf8_step((const uint8_t *)"\xe0\x9f\xbf", 3, &cp) == 0);
    CHECK(hil_utf8_step((const uint8_t *)"\xed\xa0\x80", 3, &cp) == 0); /* surrogate */
    CHECK(hil_utf8_step((const uint8_t *)"\xe2\x82", 2, &cp) == 0);     /* cut off */
    CHECK(hil_utf8_check(span("plain")) == HIL_UTF8_OK);
    CHECK(hil_utf8_check(BYTES('a', 0)) == HIL_UTF8_NUL);
    CHECK(hil_utf8_check(BYTES(0xff)) == HIL_UTF8_BAD);
    CHECK(hil_utf8_check(BYTES(0x07)) == HIL_UTF8_DISCOURAGED);
}

/* What the writer makes of one call, through a buffer so small that it must flush in between. */
static const char *written(void (*make)(struct hil_json *)) {
    static char text[4096];
    int pipes[2];
    struct hil_json j;
    if (pipe(pipes) != 0 || !hil_json_init(&j, pipes[1], 32)) {
        abort();
    }
    make(&j);
    hil_json_flush(&j);
    ssize_t n = read(pipes[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    hil_json_free(&j);
    close(pipes[0]);
    close(pipes[1]);
    return text;
}

static void make_text(struct hil_json *j) {
    static const uint8_t bad[] = {'a', '"', '\\', '\n', 0x7f, 0xff, 0xc3, 0xa9, 0};
    hil_json_raw(j, "{", 1);
    J_TEXT(j, "k", bad, sizeof bad);
    J_UINT(j, "n", UINT64_MAX);
    J_INT(j, "i", INT64_MIN);
    J_BOOL(j, "b", true);
    J_HEX(j, "h", (const uint8_t *)"\x00\xff", 2);
    hil_json_raw(j, "}", 1);
}

static void make_long(struct hil_json *j) {
    static uint8_t text[1000];
    memset(text, 'x', sizeof text);
    hil_json_text(j, text, sizeof text, 10);
}

static void test_json(void) {
    CHECK(strcmp(written(make_text), "{\"k\":\"a\\\"\\\\\\u000a\\u007f\xef\xbf\xbd\xc3\xa9\\u0000\","
                                     "\"n\":18446744073709551615,\"i\":-9223372036854775808,"
                                     "\"b\":true,\"h\":\"00ff\"}") == 0);
    CHECK(strcmp(written(make_long), "\"xxxxxxxxxx\xe2\x80\xa6\"") == 0);
    char digits[20];
    for (uint64_t v = 1; v < UINT64_MAX / 11; v = v * 10 + 7) {
        char want[24];
        size_t n = hil_decimal(digits, v);
        CHECK(n == (size_t)snprintf(want, sizeof want, "%llu", (unsigned long long)v) &&
              memcmp(digits, want, n) == 0);
    }
}

static void test_suites(void) {
    struct hil_suite s;
    CHECK(strcmp(hil_suite_name(0xc02b), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256") == 0);
    CHECK(hil_suite_name(0xfefe) == NULL);
    CHECK(hil_suite_info(0x1302, &s) && s.tls13 && s.key_len == 32 && s.prf == HIL_HASH_SHA384);
    CHECK(hil_suite_info(0xc0ae, &s) && s.cipher == HIL_CIPHER_CCM && s.tag_len == 8 && !s.tls13);
    CHECK(hil_suite_info(0xc0ac, &s) && s.cipher == HIL_CIPHER_CCM && s.tag_len == 16);
    CHECK(hil_suite_info(0x002f, &s) && s.cipher == HIL_CIPHER_CBC && s.mac == HIL_HASH_SHA1 &&
          s.prf == HIL_HASH_SHA256);
    CHECK(hil_suite_info(0xc028, &s) && s.mac == HIL_HASH_SHA384 && s.prf == HIL_HASH_SHA384);
    CHECK(hil_suite_info(0x0005, &s) && s.cipher == HIL_CIPHER_NONE); /* RC4 is named, not opened */
    CHECK(hil_suite_info(0xcca8, &s) && s.cipher == HIL_CIPHER_CHACHA);
    CHECK(hil_suite_info(0x003b, &s) && s.cipher == HIL_CIPHER_NULL && s.mac == HIL_HASH_SHA256);
    CHECK(strcmp(hil_alert_name(40), "handshake_failure") == 0 && strcmp(hil_alert_name(9), "unknown") == 0);
}

static void test_hello(void) {
    uint8_t b[128] = {3, 3};
    struct hil_client_hello h;
    struct hil_server_hello s;
    size_t n = 2 + 32;
    b[n++] = 0;                /* session id */
    b[n++] = 0, b[n++] = 4;    /* suites */
    b[n++] = 0x13, b[n++] = 1; /* TLS_AES_128_GCM_SHA256 */
    b[n++] = 0x56, b[n++] = 0; /* fallback SCSV */
    b[n++] = 1, b[n++] = 0;    /* compression */
    CHECK(hil_parse_client_hello((struct hil_span){b, n}, &h) == NULL && h.fallback_scsv &&
          h.extension_n == 0);
    for (size_t cut = 0; cut < n; cut++) {
        CHECK(hil_parse_client_hello((struct hil_span){b, cut}, &h) != NULL);
    }
    size_t list = n;
    static const uint8_t extensions[] = {0, 14, 0, 41, 0, 0, 0, 10, 0, 2, 0, 0, 0, 10, 0, 0};
    memcpy(b + list, extensions, sizeof extensions);
    /* pre_shared_key before others, an empty group list, the same extension twice and too short */
    const char *fault = hil_parse_client_hello((struct hil_span){b, list + sizeof extensions}, &h);
    CHECK(fault != NULL && h.psk && h.extension_n == 3 && h.duplicate_n == 1 && h.duplicate[0] == 10);
    CHECK(hil_parse_server_hello((struct hil_span){b, 30}, &s) != NULL);
}

static void test_certificate_list(void) {
    /* Named, because `list` points into them after the check that parsed them. */
    const struct hil_span empty = BYTES(0, 0, 0);
    const struct hil_span one = BYTES(0, 0, 0, 6, 0, 0, 1, 'x', 0, 0);
    const struct hil_span too_long = BYTES(0, 0, 4, 0, 0, 9, 'x');
    struct hil_span context;
    struct hil_span list;
    struct hil_span der;
    CHECK(hil_parse_certificate(empty, false, &context, &list) == NULL && list.n == 0);
    CHECK(hil_next_certificate(&list, false, &der) == 0);
    CHECK(hil_parse_certificate(one, true, &context, &list) == NULL);
    CHECK(hil_next_certificate(&list, true, &der) == 1 && der.n == 1 &&
          hil_next_certificate(&list, true, &der) == 0);
    CHECK(hil_parse_certificate(too_long, false, &context, &list) == NULL);
    CHECK(hil_next_certificate(&list, false, &der) == -1);
    CHECK(hil_parse_certificate(BYTES(0, 0, 9, 1), false, &context, &list) != NULL);
}

static void test_x509(void) {
    static struct hil_cert c;
    char name[HIL_NAME_MAX];
    hil_x509_parse(BYTES(0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0), &c);
    CHECK(c.malformed != NULL);
    hil_x509_parse(BYTES(0x30, 0x80, 0, 0), &c); /* indefinite length is not DER */
    CHECK(c.malformed != NULL);
    hil_x509_parse((struct hil_span){NULL, 0}, &c);
    CHECK(c.malformed != NULL);
    hil_x509_name(BYTES(0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 6, 3, 0x55, 4, 3, 0x0c, 2, 'h', 'i'), name,
                  sizeof name);
    CHECK(strcmp(name, "CN=hi") == 0);
    hil_x509_name(BYTES(0x30, 0x0c, 0x31, 0x0a, 0x30, 0x08, 6, 2, 0x2a, 3, 0x0c, 2, 'h', 'i'), name,
                  sizeof name);
    CHECK(strcmp(name, "oid.2a03=hi") == 0);
    hil_x509_name(BYTES(0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 6, 3, 0x55, 4, 3, 0x0c, 9, 'h', 'i'), name,
                  sizeof name);
    CHECK(strcmp(name, "") == 0);
}

static void test_mqtt_numbers(void) {
    uint32_t v = 0;
    CHECK(hil_mqtt_varint((const uint8_t *)"\x00", 1, &v) == 1 && v == 0);
    CHECK(hil_mqtt_varint((const uint8_t *)"\xff\xff\xff\x7f", 4, &v) == 4 && v == 268435455);
    CHECK(hil_mqtt_varint((const uint8_t *)"\xff\xff\xff\xff", 4, &v) == -1);
    CHECK(hil_mqtt_varint((const uint8_t *)"\x80", 1, &v) == 0);
    struct hil_span list = BYTES(0x21, 0, 7, 0x26, 0, 1, 'k', 0, 1, 'v', 0x0b, 0x80, 1);
    struct hil_property o;
    CHECK(hil_mqtt_property(&list, &o) == 1 && strcmp(o.name, "receive_maximum") == 0 && o.number == 7);
    CHECK(hil_mqtt_property(&list, &o) == 1 && o.kind == HIL_PROPERTY_PAIR && o.second.p[0] == 'v');
    CHECK(hil_mqtt_property(&list, &o) == 1 && o.number == 128 && hil_mqtt_property(&list, &o) == 0);
    list = BYTES(0x26, 0, 9, 'k');
    CHECK(hil_mqtt_property(&list, &o) == -1);
}

static void test_keylog(void) {
    struct hil_keylog k;
    struct hil_secrets s;
    uint8_t random[32];
    char line[512];
    memset(&k, 0, sizeof k);
    memset(random, 0xab, sizeof random);
    size_t n = (size_t)snprintf(line, sizeof line, "CLIENT_RANDOM ");
    for (int i = 0; i < 32; i++) {
        n += (size_t)snprintf(line + n, sizeof line - n, "aB");
    }
    n += (size_t)snprintf(line + n, sizeof line - n, " ");
    for (int i = 0; i < 48; i++) {
        n += (size_t)snprintf(line + n, sizeof line - n, "%02x", (unsigned)i);
    }
    for (size_t i = 0; i < n; i++) { /* byte by byte, and no newline at the end */
        hil_keylog_feed(&k, (const uint8_t *)line + i, 1);
    }
    CHECK(!hil_keylog_find(&k, random, &s));
    hil_keylog_end(&k);
    CHECK(hil_keylog_find(&k, random, &s) && s.len[HIL_LABEL_MASTER] == 48 &&
          s.secret[HIL_LABEL_MASTER][47] == 47);
    random[31] = 0;
    CHECK(!hil_keylog_find(&k, random, &s));
    static const char more[] =
        "# comment\r\n\nCLIENT_RANDOM 12 34\nNONSENSE\nSERVER_TRAFFIC_SECRET_0 zz zz\n";
    hil_keylog_feed(&k, (const uint8_t *)more, sizeof more - 1);
    CHECK(k.lines == 4 && k.bad == 3);
    static char longer[3000];
    memset(longer, 'a', sizeof longer);
    hil_keylog_feed(&k, (const uint8_t *)longer, sizeof longer);
    hil_keylog_feed(&k, (const uint8_t *)"\n", 1);
    CHECK(k.lines == 5 && k.bad == 4);
    hil_keylog_free(&k);
}

static void test_jwt(void) {
    struct hil_jwt j;
    CHECK(!hil_jwt_looks(span("eyJ")) && !hil_jwt_looks(span("a password with. two. dots")));
    CHECK(hil_jwt_looks(span("eyJhbGciOiJub25lIn0.e30.")));
    hil_jwt_parse(span("eyJhbGciOiJub25lIn0.e30."), &j);
    CHECK(j.malformed == NULL && strcmp(j.alg, "none") == 0 && j.segments == 3 && j.sig_len == 0 &&
          !j.has_exp);
    hil_jwt_parse(span("eyJhbGciOiJub25lIn0.e.x"), &j);
    CHECK(j.malformed != NULL);
}

static void test_dns(void) {
    struct hil_dns_message m;
    struct hil_span q =
        BYTES(0x12, 0x34, 0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'b', 2, 'l', 'a', 0, 0, 1, 0, 1);
    CHECK(hil_dns_parse(q, &m) && m.response && m.rcode == 3 && strcmp(m.name, "b.la") == 0 && m.addr_n == 0);
    struct hil_span loop =
        BYTES(0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1); /* points at itself */
    CHECK(!hil_dns_parse(loop, &m));
    struct hil_span a = BYTES(0, 1, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 'b', 0, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0,
                              1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1);
    CHECK(hil_dns_parse(a, &m) && m.addr_n == 1 && m.addr[0].b[15] == 1);
    for (size_t cut = 0; cut < a.n; cut++) {
        hil_dns_parse((struct hil_span){a.p, cut}, &m);
    }
}

static void test_net(void) {
    struct hil_fragments f;
    union hil_packet p;
    memset(&f, 0, sizeof f);
    static const uint8_t tcp[] = {0x45, 0,  0,    41,   0, 0,    0,    0,    64,   6, 0,   0, 10, 0, 0,
                                  1,    10, 0,    0,    2, 0x9c, 0x40, 0x22, 0xb3, 0, 0,   0, 5,  0, 0,
                                  0,    9,  0x50, 0x18, 0, 0,    0,    0,    0,    0, 'x', 0, 0};
    struct hil_span s = {tcp, sizeof tcp};
    CHECK(hil_net_decode(&f, 101, 0, s, sizeof tcp, &p) == HIL_NET_TCP);
    CHECK(p.tcp.len == 1 && p.tcp.wirelen == 1 && p.tcp.dport == 8883 &&
          p.tcp.seq == 5); /* padding left out */
    s.n = 40;
    CHECK(hil_net_decode(&f, 101, 0, s, sizeof tcp, &p) == HIL_NET_TCP && p.tcp.len == 0 &&
          p.tcp.wirelen == 1);
    for (size_t cut = 0; cut < 40; cut++) {
        s.n = cut;
        CHECK(hil_net_decode(&f, 101, 0, s, sizeof tcp, &p) != HIL_NET_TCP);
    }
    char text[48];
    CHECK(hil_link_name(1) != NULL && hil_link_name(999) == NULL);
    hil_addr_text(&p.tcp.src, text);
    CHECK(strcmp(text, "10.0.0.1") == 0);
    hil_fragments_free(&f);
}

int main(void) {
    test_spans();
    test_utf8();
    test_json();
    test_suites();
    test_hello();
    test_certificate_list();
    test_x509();
    test_mqtt_numbers();
    test_keylog();
    test_jwt();
    test_dns();
    test_net();
    if (failures == 0) {
        puts("ok");
    }
    return failures == 0 ? 0 : 1;
}
