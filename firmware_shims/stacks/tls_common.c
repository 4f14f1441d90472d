#include "tls_common.h"

#include "hil/board.h"

#include <string.h>

static uint32_t clock_epoch, clock_ms;

void hil_clock_set(uint32_t epoch, uint32_t epoch_ms) {
    clock_epoch = epoch;
    clock_ms = epoch_ms;
}

time_t hil_clock_now(void) {
    if (clock_epoch == 0)
        return (time_t)(hil_board_ms() / 1000) + 1;
    return (time_t)clock_epoch + (time_t)((hil_board_ms() - clock_ms) / 1000);
}

struct tm *hil_clock_gmtime(time_t when, struct tm *out) {
    int64_t seconds = (int64_t)when;
    int64_t days = seconds / 86400, rest = seconds % 86400;
    memset(out, 0, sizeof *out);
    out->tm_hour = (int)(rest / 3600);
    out->tm_min = (int)(rest / 60 % 60);
    out->tm_sec = (int)(rest % 60);
    out->tm_wday = (int)((days + 4) % 7);
    /* Civil from days since 1970, for dates after 1970: eras of 400 years that begin on 1 March. */
    int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t month = mp < 10 ? mp + 3 : mp - 9, year = yoe + era * 400 + (month <= 2 ? 1 : 0);
    out->tm_mday = (int)(doy - (153 * mp + 2) / 5 + 1);
    out->tm_mon = (int)(month - 1);
    out->tm_year = (int)(year - 1900);
    return out;
}

void hil_seed_material(const uint8_t seed[32], uint8_t out[HIL_SEED_MATERIAL]) {
    static uint32_t counter;
    uint32_t words[2] = {++counter, hil_board_ms()};
    uint8_t entropy[24];
    memset(out, 0, HIL_SEED_MATERIAL);
    memcpy(out, seed, 32);
    memcpy(out + 32, words, sizeof words);
    if (hil_board_entropy(entropy, sizeof entropy) == 0)
        memcpy(out + 40, entropy, sizeof entropy);
}

struct name {
    const char *name;
    uint16_t code;
};

static const struct name GROUPS[] = {
    {"secp256r1", 23}, {"P-256", 23}, {"prime256v1", 23}, {"secp384r1", 24}, {"P-384", 24},
    {"secp521r1", 25}, {"P-521", 25}, {"x25519", 29},     {"X25519", 29},    {NULL, 0}};

static const struct name SIGALGS[] = {{"rsa_pkcs1_sha256", 0x0401},       {"rsa_pkcs1_sha384", 0x0501},
                                      {"rsa_pkcs1_sha512", 0x0601},       {"ecdsa_secp256r1_sha256", 0x0403},
                                      {"ecdsa_secp384r1_sha384", 0x0503}, {"ecdsa_secp521r1_sha512", 0x0603},
                                      {"rsa_pss_rsae_sha256", 0x0804},    {"rsa_pss_rsae_sha384", 0x0805},
                                      {"rsa_pss_rsae_sha512", 0x0806},    {"ed25519", 0x0807},
                                      {"rsa_pss_pss_sha256", 0x0809},     {"rsa_pss_pss_sha384", 0x080A},
                                      {"rsa_pss_pss_sha512", 0x080B},     {NULL, 0}};

static int code_list(const struct name *table, const char *names, uint16_t *out, int cap) {
    int count = 0;
    while (*names != '\0') {
        size_t len = strcspn(names, ",:");
        const struct name *row = table;
        while (row->name != NULL && (strlen(row->name) != len || memcmp(row->name, names, len) != 0))
            row++;
        if (row->name == NULL || count == cap)
            return -1;
        out[count++] = row->code;
        names += len;
        if (*names != '\0')
            names++;
    }
    return count;
}

int hil_group_list(const char *names, uint16_t *out, int cap) {
    return code_list(GROUPS, names, out, cap);
}

int hil_sigalg_list(const char *names, uint16_t *out, int cap) {
    return code_list(SIGALGS, names, out, cap);
}

bool hil_host_is_ip(const char *host, uint8_t ip[4]) {
    for (int part = 0; part < 4; part++) {
        unsigned value = 0, digits = 0;
        while (*host >= '0' && *host <= '9' && digits < 3) {
            value = value * 10 + (unsigned)(*host++ - '0');
            digits++;
        }
        if (digits == 0 || value > 255 || *host != (part < 3 ? '.' : '\0'))
            return false;
        ip[part] = (uint8_t)value;
        host += part < 3 ? 1 : 0;
    }
    return true;
}

bool hil_blob_is_pem(struct hil_blob blob) {
    static const char MARK[] = "-----BEGIN ";
    /* Text may come before the first block. */
    for (size_t i = 0; blob.len >= sizeof MARK && i <= blob.len - (sizeof MARK - 1); i++)
        if (blob.data[i] == '-' && memcmp(blob.data + i, MARK, sizeof MARK - 1) == 0)
            return true;
    return false;
}
