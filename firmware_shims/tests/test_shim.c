/* Event lines: numbering, escaping, checksum, the bound of 240 bytes. */
#include "check.h"
#include "format.h"
#include "hil/shim.h"
#include "stub_board.h"

static void checksums(void) {
    CHECK_EQ(hil_crc16(0xFFFF, "123456789", 9), 0x29B1);
    CHECK_EQ(hil_crc32(0, "123456789", 9), 0xCBF43926);
    CHECK_EQ(hil_crc32(hil_crc32(0, "1234", 4), "56789", 5), 0xCBF43926);
}

/* The one line that was written: ends in its checksum, which is right. */
static const char *line(void) {
    CHECK(stub_out_len > 0 && stub_out_len <= HIL_LINE_MAX);
    CHECK(stub_out[stub_out_len - 1] == '\n');
    CHECK(strchr(stub_out, '\n') == stub_out + stub_out_len - 1);
    char *star = strrchr(stub_out, '*');
    CHECK(star != NULL && star[-1] == ' ' && strlen(star) == 6);
    CHECK_EQ(strtoul(star + 1, NULL, 16), hil_crc16(0xFFFF, stub_out, (size_t)(star - stub_out)));
    *star = '\0';
    return stub_out;
}

static void lines(void) {
    stub_clear();
    stub_ms = 4294967295u;
    hil_shim_init();
    hil_event("boot", NULL);
    CHECK(strcmp(line(), "@H1 0 4294967295 boot ") == 0);
    stub_clear();
    hil_event("x", "a=%s b=%d c=%u d=%x e=%08x f=%ld g=%lu h=%c i=%% j=%08lx", "y", -7, 8u, 0xabcu, 0x1fu,
              -2147483648L, 4294967295UL, 'q', 0x7f00UL);
    CHECK(strcmp(line(),
                 "@H1 1 4294967295 x a=y b=-7 c=8 d=abc e=0000001f f=-2147483648 g=4294967295 h=q i=% "
                 "j=00007f00 ") == 0);
    stub_clear();
    hil_event("x", "v=%s", "a b%\n\x7f\xc3\xa4*=");
    CHECK(strstr(line(), " v=a%20b%25%0a%7f%c3%a4*= ") != NULL);
    stub_clear();
    const char *volatile nothing = NULL;
    hil_event("x", "v=%s", nothing);
    CHECK(strstr(line(), " x v= ") != NULL);
    stub_clear();
    hil_event_api("f", -30592, 1);
    CHECK(strstr(line(), " api name=f rc=-0x7780 ") != NULL);
    stub_clear();
    hil_event_api("f", -313, 0);
    CHECK(strstr(line(), " api name=f rc=-313 ") != NULL);
    stub_clear();
    hil_event_api("f", 0, 1);
    CHECK(strstr(line(), " rc=0 ") != NULL);
}

/* Whatever the length, a line is whole: never more than 240 bytes, never half an escape. */
static void long_values(void) {
    char value[400];
    for (size_t n = 0; n < sizeof value; n++) {
        memset(value, n % 2 == 0 ? 'v' : ' ', n);
        value[n] = '\0';
        stub_clear();
        hil_event("long", "value=%s", value);
        const char *text = line();
        const char *last = strrchr(text, '%');
        CHECK(last == NULL || (hil_hex_digit(last[1]) >= 0 && hil_hex_digit(last[2]) >= 0));
    }
}

static void unescaping(void) {
    char text[] = "a%20b%00%fF";
    CHECK_EQ(hil_unescape(text, strlen(text)), 5);
    CHECK(memcmp(text, "a b\0\xff", 5) == 0);
    const char *const bad[] = {"%", "%1", "a%", "a%2", "%g0", "%0g", "%%"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char copy[8];
        snprintf(copy, sizeof copy, "%s", bad[i]);
        CHECK_EQ(hil_unescape(copy, strlen(copy)), -1);
    }
}

int main(void) {
    checksums();
    lines();
    long_values();
    unescaping();
    return 0;
}
