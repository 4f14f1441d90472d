/* The command parser on any cutting of its input, with noise, losses and time-outs. */
#include "check.h"
#include "hil/shim.h"
#include "stub_board.h"

static char last_key[64], last_value[700], last_put[16];
static uint8_t slot[64 + 1];
static size_t slot_len;
static int sets;

static const char *on_set(void *ctx, const char *key, const char *value) {
    (void)ctx;
    if (strcmp(key, "bad") == 0)
        return "bad_value";
    snprintf(last_key, sizeof last_key, "%s", key);
    snprintf(last_value, sizeof last_value, "%s", value);
    sets++;
    return NULL;
}

static uint8_t *on_put(void *ctx, const char *name, size_t len, const char **reason) {
    (void)ctx;
    (void)name;
    slot_len = 0;
    *reason = "too_long";
    return len < sizeof slot ? slot : NULL;
}

static void on_put_done(void *ctx, const char *name, size_t len) {
    (void)ctx;
    snprintf(last_put, sizeof last_put, "%s", name);
    slot_len = len;
}

static const struct hil_commands COMMANDS = {on_set, on_put, on_put_done, NULL};

static int feed_bytes(const void *data, size_t len, size_t step) {
    stub_clear();
    sets = 0;
    stub_input(data, len, step);
    return hil_command_poll(&COMMANDS, 10);
}

static int feed(const char *text, size_t step) {
    return feed_bytes(text, strlen(text), step);
}

/* text + " *crc" */
static const char *framed(const char *text) {
    static char out[2][800];
    static int which;
    which ^= 1;
    int n = snprintf(out[which], sizeof out[which] - 8, "%s ", text);
    snprintf(out[which] + n, 8, "*%04x\n", hil_crc16(0xFFFF, out[which], (size_t)n));
    return out[which];
}

static void plain_commands(void) {
    for (size_t step = 1; step < 80; step += 3) {
        CHECK_EQ(feed("SET host broker.test\r\n", step), 0);
        CHECK(strcmp(last_key, "host") == 0 && strcmp(last_value, "broker.test") == 0);
        CHECK(strstr(stub_out, "ok cmd=SET key=host") != NULL);
        CHECK_EQ(feed("RUN\n", step), 1);
        CHECK_EQ(feed("\n\r\n  \n", step), 0);
        CHECK_EQ(stub_out_len, 0);
    }
}

/* From the first checksum on, SET and PUT need one. */
static void checked_commands(void) {
    for (size_t step = 1; step < 80; step += 3) {
        CHECK_EQ(feed(framed("SET a b c%20d"), step), 0);
        CHECK(strcmp(last_value, "b c d") == 0);
        CHECK_EQ(feed(framed("SET a "), step), 0);
        CHECK(sets == 1 && strcmp(last_value, "") == 0);
        CHECK_EQ(feed(framed("SET a"), step), 0);
        CHECK(sets == 1 && strcmp(last_value, "") == 0);
        CHECK_EQ(feed(framed("RUN"), step), 1);
        CHECK_EQ(feed("RUN\n", step), 1);
        CHECK_EQ(feed("SET a b\nPUT ca 3\n", step), 0);
        CHECK(sets == 0 && strstr(stub_out, "err cmd=SET reason=crc") &&
              strstr(stub_out, "err cmd=PUT reason=crc"));
    }
}

static void refusals(void) {
    static const char *const BAD[][2] = {
        {"SET bad x\n", "err cmd=SET key=bad reason=bad_value"},
        {"SET\n", "err cmd=SET reason=syntax"},
        {"SET  x\n", "err cmd=SET reason=syntax"},
        {"SET a %0\n", "err cmd=SET key=a reason=bad_value"},
        {"SET a x%00y\n", "err cmd=SET key=a reason=bad_value"},
        {"SET a b *0000\n", "err cmd=SET reason=crc"},
        {"PUT ca\n", "err cmd=PUT reason=syntax"},
        {"PUT ca -1\n", "err cmd=PUT name=ca reason=syntax"},
        {"PUT ca 99999999999999999999\n", "err cmd=PUT name=ca reason="},
        {"PUT ca 65\n", "err cmd=PUT name=ca reason=too_long"},
        {"PUT name.of.sixteen. 1\n", "err cmd=PUT reason=syntax"},
        {"RUNNING\n", "err cmd=%3f reason=unknown"},
        {"hello\n", "reason=unknown"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        CHECK_EQ(feed(BAD[i][0], 7), 0);
        if (strstr(BAD[i][1], "%3f") != NULL)
            CHECK(strstr(stub_out, "reason=unknown") != NULL);
        else
            CHECK(strstr(stub_out, BAD[i][1]) != NULL);
        CHECK_EQ(sets, 0);
    }
    CHECK_EQ(feed_bytes("SET a b\0c\n", 10, 64), 0);
    CHECK_EQ(sets, 0);
}

static void long_lines(void) {
    static char text[2000], xs[701];
    memset(xs, 'x', sizeof xs - 1);
    for (size_t n = 600; n < 700; n++) {
        int filler = (int)n - 6;
        snprintf(text, sizeof text, "SET a %s\nSET b y\n", xs + sizeof xs - 1 - filler);
        CHECK_EQ(feed(text, 64), 0);
        CHECK_EQ(sets, n <= 640 ? 2 : 1);
        CHECK(strcmp(last_key, "b") == 0);
        CHECK((strstr(stub_out, "err cmd=SET reason=too_long") != NULL) == (n > 640));
    }
}

static void noise_and_loss(void) {
    char text[1000];
    snprintf(text, sizeof text, "\x01\x7f garbage SET SET%s", framed("SET key value"));
    CHECK_EQ(feed(text, 5), 0);
    CHECK(sets == 1 && strcmp(last_value, "value") == 0);
    /* A lost line end: the second command is found behind the first. */
    const char *first = framed("SET one 1");
    snprintf(text, sizeof text, "%.*s%s", (int)strlen(first) - 1, first, framed("SET two 2"));
    CHECK_EQ(feed(text, 64), 0);
    CHECK(sets == 1 && strcmp(last_key, "two") == 0);
    /* Any one byte lost, or changed: never a wrong value. */
    const char *good = framed("SET key value");
    size_t len = strlen(good);
    for (size_t i = 0; i < len - 1; i++) {
        snprintf(text, sizeof text, "%.*s%s", (int)i, good, good + i + 1);
        CHECK_EQ(feed(text, 3), 0);
        CHECK(sets == 0 || strcmp(last_value, "value") == 0); /* another case of a hex digit */
        for (int bit = 0; bit < 7; bit++) {
            snprintf(text, sizeof text, "%s", good);
            text[i] = (char)(text[i] ^ (1 << bit));
            last_value[0] = '\0';
            (void)feed(text, 64);
            CHECK(sets == 0 || strcmp(last_value, "value") == 0); /* another case of a hex digit */
            (void)feed("\n", 1);                                  /* whatever is left of it */
        }
    }
}

static void puts_(void) {
    for (size_t step = 1; step < 64; step++) {
        CHECK_EQ(feed("PUT ca 9\n123456789SET a b\n", step), 0);
        CHECK(strcmp(last_put, "ca") == 0 && slot_len == 9 && memcmp(slot, "123456789\0", 10) == 0);
        CHECK(strstr(stub_out, "put name=ca len=9 crc32=cbf43926") != NULL);
        CHECK_EQ(sets, 1);
    }
    CHECK_EQ(feed("PUT ca 0\nRUN\n", 64), 1);
    CHECK(strstr(stub_out, "put name=ca len=0 crc32=00000000") != NULL);
    /* RUN ends a poll; what came with it is kept for the next. */
    CHECK_EQ(feed("RUN\nSET a b\n", 64), 1);
    CHECK_EQ(sets, 0);
    CHECK_EQ(hil_command_poll(&COMMANDS, 10), 0);
    CHECK_EQ(sets, 1);
}

static void put_timeout(void) {
    stub_clear();
    last_put[0] = '\0';
    stub_input("PUT ca 9\n1234", 13, 64);
    CHECK_EQ(hil_command_poll(&COMMANDS, 900), 0);
    CHECK(strstr(stub_out, "timeout") == NULL);
    stub_input("5678", 4, 64); /* the pause counts from the last byte */
    CHECK_EQ(hil_command_poll(&COMMANDS, 900), 0);
    CHECK(strstr(stub_out, "timeout") == NULL);
    CHECK_EQ(hil_command_poll(&COMMANDS, 400), 0);
    CHECK(strstr(stub_out, "err cmd=PUT name=ca reason=timeout") != NULL);
    CHECK_EQ(slot_len, 0);
    CHECK(last_put[0] == '\0');
    CHECK_EQ(feed("SET a b\n", 64), 0);
    CHECK_EQ(sets, 1);
}

int main(void) {
    hil_shim_init();
    plain_commands();
    refusals();
    long_lines();
    puts_();
    put_timeout();
    checked_commands();
    noise_and_loss();
    return 0;
}
