/* The table of SET keys through its own interface, and the script interpreter over recorded sessions. */
#include "check.h"
#include "hil/shim.h"
#include "script.h"
#include "settings.h"
#include "stub_board.h"
#include "stub_session.h"

static const char *set(const char *key, const char *value) {
    return hil_settings_commands.set(NULL, key, value);
}

static void keys(void) {
    struct hil_mqtt_will will;
    char names[256];
    hil_settings_init();
    CHECK(set("port", "65535") == NULL && hil_settings.port == 65535);
    CHECK(set("epoch", "4294967295") == NULL && hil_settings.epoch == 4294967295u);
    CHECK(strcmp(set("epoch", "4294967296"), "bad_value") == 0);
    CHECK(set("tls.min", "none") == NULL && hil_settings.tls_min == 0);
    CHECK(set("tls.max", "1.2") == NULL && hil_settings.tls_max == 12);
    CHECK(strcmp(set("what", "1"), "unknown_key") == 0);
    CHECK(!hil_settings_will(&will));
    CHECK(set("mqtt.will", "a/b,2,1,x,y") == NULL && hil_settings_will(&will));
    CHECK(will.qos == 2 && will.retain && will.topic.len == 3 && will.payload.len == 3);
    CHECK(set("mqtt.will", "") == NULL && !hil_settings_will(&will));
    static const char *const BAD[] = {"a",       "a,",     "a,1",     "a,1,", "a,1,2,x",
                                      "a,3,0,x", ",1,0,x", "#,1,0,x", "a,1,1"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        CHECK(strcmp(set("mqtt.will", BAD[i]), "bad_value") == 0);
    CHECK(set("defect", "hang,no_sni") == NULL);
    CHECK_EQ(hil_settings.defects, HIL_DEFECT_HANG | HIL_DEFECT_NO_SNI);
    CHECK(strcmp(set("defect", "verify_off"), "bad_value") == 0); /* this stack cannot */
    CHECK_EQ(hil_settings.defects, HIL_DEFECT_HANG | HIL_DEFECT_NO_SNI);
    CHECK(set("defect", "") == NULL && hil_settings.defects == 0);
    CHECK(hil_settings_defect_names(names, sizeof names) == strlen(names));
    CHECK(strncmp(names, "no_sni,no_client_cert,", 22) == 0);
    char seed[65];
    memset(seed, 'f', 64);
    seed[64] = '\0';
    CHECK(set("seed", seed) == NULL && hil_settings.seed[31] == 0xff);
}

static void slots(void) {
    const char *reason = NULL;
    uint8_t *to = hil_settings_commands.put(NULL, "ca", 4, &reason);
    CHECK(to != NULL && hil_settings_slot(HIL_SLOT_CA).data == NULL);
    memcpy(to, "cert", 5);
    hil_settings_commands.put_done(NULL, "ca", 4);
    CHECK(hil_settings_slot(HIL_SLOT_CA).len == 4 && hil_settings_slot(HIL_SLOT_CA).data[4] == 0);
    CHECK(hil_settings_commands.put(NULL, "ca", HIL_SLOT_MAX, &reason) != NULL);
    CHECK(hil_settings_slot(HIL_SLOT_CA).data == NULL); /* half a certificate is none */
    CHECK(hil_settings_commands.put(NULL, "ca", HIL_SLOT_MAX + 1, &reason) == NULL);
    CHECK(hil_settings_commands.put(NULL, "cas", 1, &reason) == NULL);
}

static void grammar(void) {
    static const char *const GOOD[] = {"",          ";;",
                                       "connect",   " connect ; pub0;",
                                       "badtopic:", "badtopic:61x65536",
                                       "idle:0",    "repeat:2;pub1;repeat:3"};
    static const char *const BAD[] = {"connec",
                                      "connect:1",
                                      "idle",
                                      "idle:",
                                      "idle:x",
                                      "idle:-1",
                                      "idle:9999999999",
                                      "badtopic",
                                      "badtopic:6",
                                      "badtopic:6g",
                                      "badtopic:61x",
                                      "repeat:0",
                                      "pub3",
                                      "repeat:1;repeat:1;repeat:1;repeat:1;repeat:1"};
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++)
        CHECK(hil_script_valid(GOOD[i]));
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        CHECK(!hil_script_valid(BAD[i]));
}

/* Runs a script; the calls it made, with the event lines taken out. */
static const char *calls(const char *script) {
    static char out[2000];
    size_t n = 0;
    stub_clear();
    CHECK(set("script", script) == NULL);
    hil_script_run();
    for (const char *at = stub_out; *at != '\0';) {
        const char *line = strstr(at, "@H1 ");
        size_t len = line != NULL ? (size_t)(line - at) : strlen(at);
        CHECK(n + len < sizeof out);
        memcpy(out + n, at, len);
        n += len;
        at = line != NULL ? strchr(line, '\n') + 1 : at + len;
    }
    out[n] = '\0';
    return out;
}

static void runs(void) {
    hil_settings_init();
    CHECK(strcmp(calls("connect;pub1;disconnect"), "open pub1 disconnect ") == 0);
    CHECK(strstr(stub_out, "done result=ok stage=script rc=0") != NULL);
    CHECK(strcmp(calls("connect;pub0;repeat:3;ping"), "open pub0 open pub0 open pub0 ping disconnect ") == 0);
    CHECK(strcmp(calls("connect;pub0;repeat:2;ping;repeat:2"),
                 "open pub0 open pub0 ping open pub0 open pub0 ping disconnect ") == 0);
    CHECK(strcmp(calls("connect;badtopic:612b;badtopic:61"), "open disconnect ") == 0);
    CHECK(strstr(stub_out, "done result=failed stage=script") != NULL);
    stub_fail_connects = 1;
    CHECK(strcmp(calls("connect;pub0"), "open ") == 0);
    CHECK(strstr(stub_out, "done result=failed stage=tcp rc=-4") != NULL);
}

static void reconnects(void) {
    hil_settings_init();
    CHECK(set("reconnect", "3") == NULL && set("backoff.base", "100") == NULL &&
          set("backoff.cap", "250") == NULL);
    stub_fail_connects = 2;
    CHECK(strcmp(calls("connect;pub0;disconnect"), "open open open pub0 disconnect ") == 0);
    CHECK(strstr(stub_out, "backoff ms=1") != NULL && strstr(stub_out, "try=2") != NULL);
    stub_fail_connects = 9;
    CHECK(strcmp(calls("connect;pub0"), "open open open open ") == 0);
    stub_fail_connects = 0;
    /* A step that loses its connection is done again after the reconnect; the budget is one for all of them.
     */
    stub_fail_steps = 2;
    CHECK(strcmp(calls("connect;pub1;ping;disconnect"), "open pub1 open pub1 open pub1 ping disconnect ") ==
          0);
    stub_fail_steps = 9;
    CHECK(strcmp(calls("connect;pub1;ping"), "open pub1 open pub1 open pub1 open pub1 ") == 0);
    stub_fail_steps = 0;
}

int main(void) {
    hil_shim_init();
    keys();
    slots();
    grammar();
    runs();
    reconnects();
    return 0;
}
