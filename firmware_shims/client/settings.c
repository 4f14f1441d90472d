/* The table of SET keys, and the PUT slots. */
#include "settings.h"

#include "format.h"
#include "hil/board.h"
#include "jwt_password.h"
#include "script.h"

#include <string.h>

struct hil_settings hil_settings;

static struct {
    size_t len;
    uint8_t data[HIL_SLOT_MAX + 1];
} slots[HIL_SLOT_COUNT];

static const char *const SLOT_NAMES[HIL_SLOT_COUNT] = {"ca", "cert", "key", "ca.alt", "key.alt"};

static const struct hil_defect_name DEFECTS[] = {
    {"verify_off", HIL_DEFECT_VERIFY_OFF},
    {"name_unchecked", HIL_DEFECT_NAME_UNCHECKED},
    {"dates_unchecked", HIL_DEFECT_DATES_UNCHECKED},
    {"no_sni", HIL_DEFECT_NO_SNI},
    {"ecdsa_sigalgs_only", HIL_DEFECT_ECDSA_SIGALGS_ONLY},
    {"no_rsa_pss", HIL_DEFECT_NO_RSA_PSS},
    {"no_groups", HIL_DEFECT_NO_GROUPS},
    {"no_client_cert", HIL_DEFECT_NO_CLIENT_CERT},
    {"wrong_ca", HIL_DEFECT_WRONG_CA},
    {"key_mismatch", HIL_DEFECT_KEY_MISMATCH},
    {"no_backoff", HIL_DEFECT_NO_BACKOFF},
    {"hang", HIL_DEFECT_HANG},
    {"hardfault", HIL_DEFECT_HARDFAULT},
    {"lockup", HIL_DEFECT_LOCKUP},
    {"uart_flood", HIL_DEFECT_UART_FLOOD},
};
#define DEFECT_COUNT (sizeof DEFECTS / sizeof *DEFECTS)

/* Defects that are the client's and the board's own; the others are the stack's. */
#define CLIENT_DEFECTS                                                                                       \
    ((uint32_t)HIL_DEFECT_NO_CLIENT_CERT | HIL_DEFECT_WRONG_CA | HIL_DEFECT_KEY_MISMATCH |                   \
     HIL_DEFECT_NO_BACKOFF | HIL_DEFECT_HANG | HIL_DEFECT_HARDFAULT | HIL_DEFECT_LOCKUP |                    \
     HIL_DEFECT_UART_FLOOD)

enum kind { TEXT, NUMBER, TLS_VERSION, EPOCH, SEED, WILL, SCRIPT, DEFECT, ALGORITHM };
#define AT(field) offsetof(struct hil_settings, field)
#define TEXT_ROW(key, field)                                                                                 \
    { key, TEXT, AT(field), 0, sizeof hil_settings.field }
static const struct row {
    const char *key;
    enum kind kind;
    size_t offset;
    uint32_t min, max; /* of a number; of a text: max is its room */
} ROWS[] = {
    TEXT_ROW("host", host),
    TEXT_ROW("address", address),
    {"port", NUMBER, AT(port), 1, 65535},
    {"tls.min", TLS_VERSION, AT(tls_min), 0, 0},
    {"tls.max", TLS_VERSION, AT(tls_max), 0, 0},
    TEXT_ROW("tls.suites", suites),
    TEXT_ROW("tls.groups", groups),
    TEXT_ROW("tls.sigalgs", sigalgs),
    {"epoch", EPOCH, AT(epoch), 0, UINT32_MAX},
    {"seed", SEED, AT(seed), 0, 0},
    {"mqtt.level", NUMBER, AT(level), 4, 5},
    TEXT_ROW("mqtt.client_id", client_id),
    TEXT_ROW("mqtt.username", username),
    TEXT_ROW("mqtt.password", password),
    {"mqtt.keepalive", NUMBER, AT(keepalive), 0, 65535},
    {"mqtt.clean", NUMBER, AT(clean), 0, 1},
    {"mqtt.will", WILL, AT(will), 0, sizeof hil_settings.will},
    TEXT_ROW("mqtt.topic", topic),
    TEXT_ROW("mqtt.payload", payload),
    TEXT_ROW("mqtt.filter", filter),
    TEXT_ROW("jwt.audience", jwt_audience),
    {"jwt.lifetime", NUMBER, AT(jwt_lifetime), 1, 604800},
    {"jwt.alg", ALGORITHM, AT(jwt_alg), 0, sizeof hil_settings.jwt_alg},
    {"script", SCRIPT, AT(script), 0, sizeof hil_settings.script},
    {"reconnect", NUMBER, AT(reconnect), 0, 1000},
    {"backoff.base", NUMBER, AT(backoff_base), 1, 600000},
    {"backoff.cap", NUMBER, AT(backoff_cap), 1, 3600000},
    {"resume", NUMBER, AT(resume), 0, 1},
    {"timeout", NUMBER, AT(timeout), 100, 600000},
    {"uart.log", NUMBER, AT(uart_log), 0, 1},
    {"defect", DEFECT, AT(defects), 0, 0},
};

void hil_settings_init(void) {
    struct hil_settings *s = &hil_settings;
    memset(s, 0, sizeof *s);
    memset(slots, 0, sizeof slots);
    s->port = 8883;
    s->tls_min = 12;
    s->tls_max = 13;
    s->level = 4;
    s->keepalive = 60;
    s->clean = 1;
    s->backoff_base = 500;
    s->backoff_cap = 30000;
    s->timeout = 8000;
    s->jwt_lifetime = 3600;
    strcpy(s->client_id, "hil-device");
    strcpy(s->topic, "hil/device");
    strcpy(s->payload, "hello");
    strcpy(s->filter, "hil/device");
    strcpy(s->script, "connect;disconnect");
}

static bool number(const char *text, uint32_t min, uint32_t max, uint32_t *out) {
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > max)
            return false;
    }
    *out = (uint32_t)value;
    return value >= min;
}

static bool parse_seed(const char *text, uint8_t *seed) {
    if (strlen(text) != 64)
        return false;
    for (size_t i = 0; i < 32; i++) {
        int high = hil_hex_digit(text[2 * i]), low = hil_hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        seed[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

/* topic,qos,retain,payload: the topic ends at the first comma, the payload holds any. */
static bool parse_will(const char *text, struct hil_mqtt_will *will) {
    const char *comma = strchr(text, ',');
    if (comma == NULL || comma[1] < '0' || comma[1] > '2' || comma[2] != ',' || (comma[3] & ~1) != '0' ||
        comma[4] != ',')
        return false;
    memset(will, 0, sizeof *will);
    will->topic = (struct hil_slice){(const uint8_t *)text, (size_t)(comma - text)};
    will->qos = (unsigned)(comma[1] - '0');
    will->retain = comma[3] == '1';
    will->payload = hil_slice_of(comma + 5);
    return hil_mqtt_check_topic(will->topic) == 0;
}

bool hil_settings_will(struct hil_mqtt_will *will) {
    return hil_settings.will[0] != '\0' && parse_will(hil_settings.will, will);
}

__attribute__((weak)) const struct hil_defect_name *hil_own_defects(size_t *count) {
    *count = 0;
    return NULL;
}

/* The `index`-th defect that this firmware knows, the stack's own last; NULL behind the last. */
static const struct hil_defect_name *known_defect(size_t index) {
    size_t count = 0;
    const struct hil_defect_name *own = hil_own_defects(&count);
    if (index < DEFECT_COUNT)
        return &DEFECTS[index];
    return index - DEFECT_COUNT < count ? &own[index - DEFECT_COUNT] : NULL;
}

/* Those of the client, of the stack, and of what has its own, which would not name what it cannot do. */
static uint32_t possible_defects(void) {
    return CLIENT_DEFECTS | hil_tls_defects() | ~((1u << HIL_DEFECT_OWN_FIRST) - 1u);
}

static bool parse_defects(const char *text, uint32_t *out, uint32_t *tokens) {
    uint32_t bits = 0, can = possible_defects(), token_bits = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        const struct hil_defect_name *found = known_defect(0);
        for (size_t i = 1;
             found != NULL && (strlen(found->name) != len || memcmp(found->name, text, len) != 0); i++)
            found = known_defect(i);
        uint32_t token = found == NULL ? hil_jwt_fault(text, len) : 0;
        if (token == 0 && (found == NULL || (found->bit & can) == 0))
            return false;
        bits |= found != NULL ? found->bit : 0;
        token_bits |= token;
        text += len;
        if (*text == ',')
            text++;
    }
    *out = bits;
    *tokens = token_bits;
    return true;
}

static void add_name(struct hil_text *text, const char *name) {
    if (text->len > 0)
        hil_text_bytes(text, ",", 1);
    hil_text_string(text, name);
}

size_t hil_settings_defect_names(char *out, size_t cap) {
    struct hil_text text = {.data = out, .cap = cap - 1};
    uint32_t can = possible_defects();
    const struct hil_defect_name *known;
    for (size_t i = 0; (known = known_defect(i)) != NULL; i++)
        if ((known->bit & can) != 0)
            add_name(&text, known->name);
    const char *token;
    for (size_t i = 0; (token = hil_jwt_fault_name(i)) != NULL; i++)
        add_name(&text, token);
    out[text.len] = '\0';
    return text.len;
}

static const char *set_row(const struct row *row, const char *value) {
    char *field = (char *)&hil_settings + row->offset;
    struct hil_mqtt_will will;
    bool good = true;
    switch (row->kind) {
    case NUMBER:
    case EPOCH: {
        uint32_t parsed = 0;
        good = number(value, row->min, row->max, &parsed);
        if (good)
            memcpy(field, &parsed, sizeof parsed);
        if (good && row->kind == EPOCH)
            hil_settings.epoch_ms = hil_board_ms();
        break;
    }
    case TLS_VERSION: {
        int version = strcmp(value, "1.2") == 0 ? 12 : strcmp(value, "1.3") == 0 ? 13 : 0;
        good = version != 0 || strcmp(value, "none") == 0;
        if (good)
            memcpy(field, &version, sizeof version);
        break;
    }
    case SEED:
        good = parse_seed(value, (uint8_t *)field);
        break;
    case DEFECT:
        good = parse_defects(value, &hil_settings.defects, &hil_settings.jwt_faults);
        break;
    case WILL:
        good = *value == '\0' || parse_will(value, &will);
        break;
    case SCRIPT:
        good = hil_script_valid(value);
        break;
    case ALGORITHM:
        good = *value == '\0' || strcmp(value, "RS256") == 0 || strcmp(value, "ES256") == 0;
        break;
    case TEXT:
        break;
    }
    if (!good)
        return "bad_value";
    if (row->kind == TEXT || row->kind == WILL || row->kind == SCRIPT || row->kind == ALGORITHM) {
        if (strlen(value) >= row->max)
            return "too_long";
        memcpy(field, value, strlen(value) + 1);
    }
    return NULL;
}

static const char *set(void *ctx, const char *key, const char *value) {
    (void)ctx;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
        if (strcmp(ROWS[i].key, key) == 0)
            return set_row(&ROWS[i], value);
    return "unknown_key";
}

static int slot_of(const char *name) {
    for (int i = 0; i < HIL_SLOT_COUNT; i++)
        if (strcmp(SLOT_NAMES[i], name) == 0)
            return i;
    return -1;
}

static uint8_t *put_begin(void *ctx, const char *name, size_t len, const char **reason) {
    (void)ctx;
    int slot = slot_of(name);
    if (slot < 0) {
        *reason = "unknown_name";
        return NULL;
    }
    if (len > HIL_SLOT_MAX) {
        *reason = "too_long";
        return NULL;
    }
    slots[slot].len = 0; /* half a certificate is none */
    return slots[slot].data;
}

static void put_done(void *ctx, const char *name, size_t len) {
    (void)ctx;
    slots[slot_of(name)].len = len;
}

const struct hil_commands hil_settings_commands = {.set = set, .put = put_begin, .put_done = put_done};

struct hil_blob hil_settings_slot(enum hil_slot slot) {
    struct hil_blob blob = {NULL, 0};
    if (slots[slot].len > 0) {
        blob.data = slots[slot].data;
        blob.len = slots[slot].len;
    }
    return blob;
}
