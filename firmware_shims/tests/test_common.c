/* Clock, addresses and name lists of the stack ports. */
#include "check.h"
#include "stub_board.h"
#include "tls_common.h"

static void calendar(void) {
    for (int64_t when = 0; when < 253402300799; when += 86400 * 13 + 3671) {
        time_t t = (time_t)when;
        struct tm want, got;
        gmtime_r(&t, &want);
        hil_clock_gmtime(t, &got);
        CHECK(got.tm_year == want.tm_year && got.tm_mon == want.tm_mon && got.tm_mday == want.tm_mday);
        CHECK(got.tm_hour == want.tm_hour && got.tm_min == want.tm_min && got.tm_sec == want.tm_sec);
        CHECK(got.tm_wday == want.tm_wday);
    }
}

static void given_time(void) {
    stub_ms = 5000;
    hil_clock_set(1700000000, 3000);
    CHECK_EQ(hil_clock_now(), 1700000002);
    hil_clock_set(0, 0);
    CHECK(hil_clock_now() < 86400); /* never set: 1970 */
}

static void addresses(void) {
    uint8_t ip[4];
    CHECK(hil_host_is_ip("192.0.2.10", ip) && ip[0] == 192 && ip[3] == 10);
    static const char *const NAMES[] = {"",       "broker.test", "1.2.3",    "1.2.3.4.5",  "1.2.3.256",
                                        "1.2.3.", "1..2.3",      "1.2.3.4x", "0001.2.3.4", "1.2.3.4."};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        CHECK(!hil_host_is_ip(NAMES[i], ip));
}

static void lists(void) {
    uint16_t codes[4];
    CHECK_EQ(hil_group_list("secp256r1,x25519", codes, 4), 2);
    CHECK(codes[0] == 23 && codes[1] == 29);
    CHECK_EQ(hil_group_list("P-384:P-521", codes, 4), 2);
    CHECK_EQ(hil_group_list("", codes, 4), 0);
    CHECK_EQ(hil_group_list("secp256r1,nothing", codes, 4), -1);
    CHECK_EQ(hil_group_list("P-256,P-256,P-256,P-256,P-256", codes, 4), -1);
    CHECK_EQ(hil_sigalg_list("ed25519,rsa_pss_rsae_sha256", codes, 4), 2);
    CHECK(codes[0] == 0x0807 && codes[1] == 0x0804);
}

static void blobs(void) {
    static const char PEM[] = "subject=x\n-----BEGIN CERTIFICATE-----\n";
    CHECK(hil_blob_is_pem((struct hil_blob){(const uint8_t *)PEM, sizeof PEM - 1}));
    CHECK(!hil_blob_is_pem((struct hil_blob){(const uint8_t *)"\x30\x82", 2}));
    CHECK(!hil_blob_is_pem((struct hil_blob){(const uint8_t *)"-----BEGIN", 10}));
    CHECK(!hil_blob_is_pem((struct hil_blob){NULL, 0}));
}

static void seeds(void) {
    uint8_t seed[32] = {1}, a[HIL_SEED_MATERIAL], b[HIL_SEED_MATERIAL];
    hil_seed_material(seed, a);
    hil_seed_material(seed, b);
    CHECK(memcmp(a, b, 32) == 0 && memcmp(a + 32, b + 32, 4) != 0); /* the counter */
}

int main(void) {
    calendar();
    given_time();
    addresses();
    lists();
    blobs();
    seeds();
    return 0;
}
