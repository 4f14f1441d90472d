/* The driver of the AT module against answers as story 004 shows them, and worse ones. */
#include "check.h"
#include "hil/at.h"
#include "hil/net.h"
#include "story_ca.h"
#include "stub_at.h"
#include "stub_board.h"

#define LEN(text) (sizeof(text) - 1)

static struct hil_at_answer parse(const char *line) {
    struct hil_at_answer answer;
    char *exact = malloc(strlen(line) + 1); /* a copy without room to spare: ASan sees a read too far */
    CHECK(exact != NULL);
    memcpy(exact, line, strlen(line) + 1);
    hil_at_parse(exact, strlen(line), &answer);
    answer.text = NULL;
    free(exact);
    return answer;
}

static void lines(void) {
    static const struct {
        const char *line;
        enum hil_at_kind kind;
        uint32_t a;
    } ROWS[] = {
        {"AT-S.OK", HIL_AT_OK, 0},
        {"-S.OK", HIL_AT_OK, 0},
        {"AT-S.OK ", HIL_AT_OTHER, 0},
        {"AT-S.ERROR:74:Failed to open socket", HIL_AT_ERROR, 74},
        {"-S.ERROR:74", HIL_AT_ERROR, 74},
        {"AT-S.ERROR:", HIL_AT_OTHER, 0},
        {"AT-S.ERROR:-1:x", HIL_AT_OTHER, 0},
        {"AT-S.ERROR:12345678901:x", HIL_AT_OTHER, 0},
        {"AT-S.Certificate Error:3", HIL_AT_CERTIFICATE, 3},
        {"AT-S.Loading:1:2", HIL_AT_LOADING, 1},
        {"AT-S.No SubjectKeyId", HIL_AT_NO_KEY_ID, 0},
        {"AT-S.On:172.26.7.83:0", HIL_AT_ON, 0},
        {"AT-S.On:0", HIL_AT_ON, 0},
        {"AT-S.On:host", HIL_AT_OTHER, 0},
        {"AT-S.Query:512", HIL_AT_QUERY, 512},
        {"AT-S.Reading:12:512", HIL_AT_READING, 12},
        {"+WIND:55:Pending Data:0:12", HIL_AT_PENDING, 0},
        {"+WIND:58:Socket Closed:0", HIL_AT_CLOSED, 0},
        {"+WIND:24:WiFi Up:0:10.0.0.7", HIL_AT_WIFI_UP, 0},
        {"+WIND:1:Poweron", HIL_AT_OTHER, 0},
        {"AT+S.TLSCERT=content,2", HIL_AT_OTHER, 0},
        {"", HIL_AT_OTHER, 0},
        {"AT", HIL_AT_OTHER, 0},
        {"-S.", HIL_AT_OTHER, 0},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct hil_at_answer answer = parse(ROWS[i].line);
        if (answer.kind != ROWS[i].kind)
            fprintf(stderr, "%s\n", ROWS[i].line);
        CHECK_EQ(answer.kind, ROWS[i].kind);
        CHECK_EQ(answer.a, ROWS[i].a);
    }
}

static struct hil_blob blob(const char *text) {
    return (struct hil_blob){(const uint8_t *)text, strlen(text)};
}

static void certificates(void) {
    static const uint8_t WANT[20] = {0x3E, 0xF1, 0x74, 0x7F, 0xD7, 0x91, 0x22, 0x14, 0x4B, 0xCA,
                                     0xDF, 0x4F, 0x95, 0xDF, 0x96, 0x0A, 0x32, 0x82, 0x3B, 0x4C};
    uint8_t id[20], name[64];
    CHECK_EQ(hil_at_key_identifier(blob(STORY_CA), id, sizeof id), 20);
    CHECK(memcmp(id, WANT, 20) == 0);
    CHECK_EQ(hil_at_key_identifier(blob(STORY_CA), id, 19), 0); /* does not fit */
    size_t len = hil_at_common_name(blob(STORY_CA), name, sizeof name);
    CHECK_EQ(len, LEN("Example Certificate Authority"));
    CHECK(memcmp(name, "Example Certificate Authority", len) == 0);

    /* Every cut of it, without a byte to spare. */
    for (size_t cut = 0; cut <= LEN(STORY_CA); cut++) {
        uint8_t *exact = malloc(cut > 0 ? cut : 1);
        CHECK(exact != NULL);
        memcpy(exact, STORY_CA, cut);
        struct hil_blob part = {exact, cut};
        size_t got = hil_at_key_identifier(part, id, sizeof id);
        CHECK(got == 0 || got == 20);
        (void)hil_at_common_name(part, name, sizeof name);
        free(exact);
    }

    /* DER: an extension as it stands in a certificate, critical or not. */
    static const uint8_t PLAIN[] = {0x30, 0x0B, 0x06, 0x03, 0x55, 0x1D, 0x0E,
                                    0x04, 0x04, 0x04, 0x02, 0xAB, 0xCD};
    static const uint8_t CRITICAL[] = {0x06, 0x03, 0x55, 0x1D, 0x0E, 0x01, 0x01,
                                       0xFF, 0x04, 0x03, 0x04, 0x01, 0x7F};
    CHECK_EQ(hil_at_key_identifier((struct hil_blob){PLAIN, sizeof PLAIN}, id, sizeof id), 2);
    CHECK(id[0] == 0xAB && id[1] == 0xCD);
    CHECK_EQ(hil_at_key_identifier((struct hil_blob){PLAIN, sizeof PLAIN - 1}, id, sizeof id), 0);
    CHECK_EQ(hil_at_key_identifier((struct hil_blob){CRITICAL, sizeof CRITICAL}, id, sizeof id), 1);
    CHECK_EQ(hil_at_key_identifier((struct hil_blob){NULL, 0}, id, sizeof id), 0);

    /* Several in one blob; DER is one. */
    char two[2 * sizeof STORY_CA];
    snprintf(two, sizeof two, "%s%s", STORY_CA, STORY_CA);
    struct hil_blob one;
    size_t at = 0;
    CHECK(hil_at_next_certificate(blob(two), &at, &one) && one.len == LEN(STORY_CA));
    CHECK(hil_at_next_certificate(blob(two), &at, &one) && one.len == LEN(STORY_CA));
    CHECK(!hil_at_next_certificate(blob(two), &at, &one));
    at = 0;
    CHECK(hil_at_next_certificate((struct hil_blob){PLAIN, sizeof PLAIN}, &at, &one) &&
          one.len == sizeof PLAIN);
    CHECK(!hil_at_next_certificate((struct hil_blob){PLAIN, sizeof PLAIN}, &at, &one));
}

#define BOOT "+WIND:1:Poweron\r\n+WIND:0:Console active\r\n+WIND:24:WiFi Up:0:10.0.0.7\r\n"

static void start(void) {
    stub_at_clear();
    stub_clear();
    stub_at_input(BOOT, LEN(BOOT), 5);
    CHECK_EQ(hil_at_start(1000), 0);
    CHECK(hil_at_state.up && strcmp(hil_at_state.address, "10.0.0.7") == 0);
}

static int run(const char *line, const char *answers) {
    struct hil_at_command command = {.line = line, .timeout_ms = 1000};
    stub_at_input(answers, strlen(answers), 3);
    return hil_at_run(&command);
}

static void commands(void) {
    start();
    CHECK_EQ(run("AT+S.TIME", "AT+S.TIME\r\nAT-S.Date:17.08.31:00\r\nAT-S.Time:09.05.38\r\nAT-S.OK\r\n"), 0);
    CHECK(strstr(stub_out, ">>UART TX buffer: AT+S.TIME\r\n") != NULL);
    CHECK(strstr(stub_out, "AT-S.Date:17.08.31:00\r\n") != NULL);
    CHECK(strstr(stub_out, "api name=AT+S.TIME rc=0") != NULL);

    CHECK_EQ(run("AT+S.TLSCERT=Ca,1425", "AT-S.No SubjectKeyId\r\n\r\nAT-S.OK\r\n"), 0);
    CHECK(hil_at_reply.key_id_missing);

    CHECK_EQ(run("AT+S.SOCKON=172.26.7.83,4443,NULL,s",
                 "AT-S.Certificate Error:3\r\n-S.ERROR:74:Failed to open socket\r\n"),
             74);
    CHECK_EQ(hil_at_reply.certificate, 3);
    CHECK(!hil_at_reply.loading && !hil_at_reply.key_id_missing && hil_at_state.up);
    CHECK(strstr(stub_out, "api name=AT-S.Certificate_Error rc=3") != NULL);

    /* Indications in the midst of an answer are kept. */
    CHECK_EQ(run("AT+S.SOCKQ=0", "+WIND:55:Pending Data:0:3\r\nAT-S.Query:3\r\nAT-S.OK\r\n"), 0);
    CHECK(hil_at_state.pending);
    CHECK_EQ(hil_at_reply.value, 3);

    /* A hostile answer is shown escaped and cut. */
    stub_clear();
    CHECK_EQ(run("AT", "\x1b[2J\x07\r\nAT-S.OK\r\n"), 0);
    CHECK(strchr(stub_out, '\x1b') == NULL && strstr(stub_out, ".[2J.\r\n") != NULL);
    char longest[2000];
    memset(longest, 'x', sizeof longest);
    memcpy(longest + sizeof longest - 12, "\r\nAT-S.OK\r\n", 12);
    CHECK_EQ(run("AT", longest), 0);

    /* No answer: bounded, and the module is to be started anew. */
    uint32_t before = stub_ms;
    CHECK_EQ(run("AT", "AT\r\n"), HIL_AT_TIMEOUT);
    CHECK(stub_ms - before >= 1000 && stub_ms - before < 1500 && !hil_at_state.up);
    CHECK_EQ(run("AT", "AT-S.OK\r\n"), HIL_AT_GONE);
}

static void reading(void) {
    char to[8] = "";
    struct hil_at_command command = {
        .line = "AT+S.SOCKR=0,8", .in = to, .in_cap = sizeof to, .timeout_ms = 1000};
    start();
    /* Raw bytes that look like answers. */
    stub_at_input("AT-S.Reading:7:8\r\n-S.OK\r\nAT-S.OK\r\n", 34, 4);
    CHECK_EQ(hil_at_run(&command), 0);
    CHECK(memcmp(to, "-S.OK\r\n", 7) == 0);
    /* More than there is room for. */
    stub_at_input("AT-S.Reading:9:8\r\n123456789AT-S.OK\r\n", 36, 4);
    CHECK_EQ(hil_at_run(&command), HIL_AT_TOO_LONG);
    CHECK(!hil_at_state.up);
}

/* A module that never stops talking (noise of a wrong baud rate, indications without end): every wait ends.
 */
static void babble(void) {
    static const char *const NOISE[] = {"xxxxxxxxxxxx", "+WIND:99:x\r\n", "+WIND:55:Pending Data:0:1\r\n"};
    for (size_t i = 0; i < sizeof NOISE / sizeof *NOISE; i++) {
        start();
        stub_at_babble(NOISE[i]);
        uint32_t before = stub_ms;
        CHECK_EQ(run("AT", ""), HIL_AT_TIMEOUT);
        CHECK(stub_ms - before < 1500 && !hil_at_state.up);
        before = stub_ms;
        CHECK_EQ(hil_at_start(1000), HIL_AT_TIMEOUT);
        CHECK(stub_ms - before < 1500);
    }
    stub_at_clear();
}

/* --- TLS: what goes over the UART, with and without each defect --- */

#define OK "AT-S.OK\r\n"
static const char *const GOOD[] = {
    OK,                                              /* TIME=… */
    "AT-S.Date:17.08.31:00\r\n" OK,                  /* TIME */
    "AT-S.Clean\r\n" OK,                             /* content,2 */
    "AT-S.No SubjectKeyId\r\n" OK,                   /* Ca */
    OK,                                              /* Auth */
    "AT-S.List\r\nAT-S.CA:1\r\nAT-S.Id:1\r\n" OK,    /* content,1 */
    "AT-S.Loading:1:1\r\nAT-S.On:10.0.0.1:0\r\n" OK, /* SOCKON */
};

static bool sent(const char *what) {
    size_t len = strlen(what);
    for (size_t i = 0; i + len <= stub_at_out_len; i++)
        if (memcmp(stub_at_out + i, what, len) == 0)
            return true;
    return false;
}

static int open_tls(uint32_t defects, const char *const *answers, size_t count,
                    struct hil_tls_result *result) {
    struct hil_tls_config config = {
        .host = "broker.test",
        .address = "10.0.0.1",
        .port = 8883,
        .min_version = 12,
        .ca = blob(STORY_CA),
        .epoch = 1504170338,
        .epoch_ms = stub_ms,
        .defects = defects,
        .timeout_ms = 1000,
    };
    hil_at_state.up = false; /* a fresh module: everything is uploaded */
    stub_at_clear();
    stub_at_input(BOOT, LEN(BOOT), 9);
    CHECK_EQ(hil_net_up(1000), HIL_NET_OK);
    stub_at_script(answers, count);
    *result = (struct hil_tls_result){.alert = -1, .alert_sent = -1};
    return hil_tls_open(&config, result);
}

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void provisioning(void) {
    struct hil_tls_result result;
    CHECK_EQ(open_tls(0, GOOD, COUNT(GOOD), &result), 0);
    CHECK(result.rc == 0 && result.tcp == HIL_NET_OK);
    CHECK(sent("AT+S.TIME=1504170338\r") && sent("AT+S.TLSCERT=content,2\r"));
    CHECK(sent("AT+S.TLSCERT=Ca,1426\r-----BEGIN CERTIFICATE-----\r\n"));
    CHECK(sent("AT+S.TLSCERT=Auth,20\r\x3E\xF1\x74\x7F")); /* raw, as the thread found */
    CHECK(sent("AT+S.SOCKON=10.0.0.1,8883,broker.test,s\r"));
    hil_tls_close(true, true);
    CHECK(sent("AT+S.SOCKC=0\r"));

    CHECK_EQ(open_tls(HIL_AT_SKI_AS_TEXT, GOOD, COUNT(GOOD), &result), 0);
    CHECK(sent("AT+S.TLSCERT=Auth,40\r3EF1747FD79122144BCADF4F95DF960A32823B4C"));
    CHECK_EQ(open_tls(HIL_AT_NO_SKI, GOOD, COUNT(GOOD), &result),
             -1); /* one command less: SOCKON is not answered */
    CHECK(!sent("Auth,") && sent("SOCKON="));
    CHECK_EQ(open_tls(HIL_AT_NO_TIME, GOOD + 1, COUNT(GOOD) - 1, &result), 0);
    CHECK(!sent("AT+S.TIME="));
    CHECK_EQ(open_tls(HIL_AT_CA_NAME, GOOD, COUNT(GOOD), &result), 0);
    CHECK(sent("AT+S.SOCKON=10.0.0.1,8883,Example Certificate Authority,s\r"));
    CHECK_EQ(open_tls(HIL_AT_WRONG_PORT, GOOD, COUNT(GOOD), &result), 0);
    CHECK(sent("AT+S.SOCKON=10.0.0.1,8884,"));
    CHECK_EQ(open_tls(HIL_DEFECT_NAME_UNCHECKED, GOOD, COUNT(GOOD), &result), 0);
    CHECK(sent("AT+S.SOCKON=10.0.0.1,8883,NULL,s\r"));
}

/* A second connection: the clock again, the certificates not. */
static void kept(void) {
    static const char *const AGAIN[] = {OK, OK, ("AT-S.Loading:1:1\r\nAT-S.On:10.0.0.1:0\r\n" OK)};
    struct hil_tls_result result;
    struct hil_tls_config config = {.host = "broker.test",
                                    .address = "10.0.0.1",
                                    .port = 8883,
                                    .min_version = 12,
                                    .ca = blob(STORY_CA),
                                    .epoch = 1504170338,
                                    .timeout_ms = 1000};
    CHECK_EQ(open_tls(0, GOOD, COUNT(GOOD), &result), 0);
    stub_at_out_len = 0;
    static const char *const CLOSED[] = {OK};
    stub_at_script(CLOSED, 1);
    hil_tls_close(true, false);
    stub_at_script(AGAIN, COUNT(AGAIN));
    CHECK_EQ(hil_tls_open(&config, &result), 0);
    CHECK(sent("AT+S.TIME=") && !sent("TLSCERT") && stub_at_resets == 1);
}

static void refusals(void) {
    struct hil_tls_result result;
    const char *answers[COUNT(GOOD)];
    memcpy(answers, GOOD, sizeof answers);
    answers[6] = "AT-S.ERROR:74:Failed to open socket\r\n";
    CHECK_EQ(open_tls(0, answers, COUNT(answers), &result), -1);
    CHECK(result.rc == 74 && result.tcp == HIL_NET_ERROR); /* before TLS, as far as can be told */
    answers[6] = "AT-S.Certificate Error:3\r\nAT-S.ERROR:74:Failed to open socket\r\n";
    CHECK_EQ(open_tls(0, answers, COUNT(answers), &result), -1);
    CHECK(result.rc == 74 && result.tcp == HIL_NET_OK && result.verify_flags == 3);
    answers[6] = "";
    CHECK_EQ(open_tls(0, answers, COUNT(answers), &result), -1);
    CHECK(result.rc == HIL_AT_TIMEOUT && result.tcp == HIL_NET_TIMEOUT);
    answers[3] = "AT-S.ERROR:111:Request failed\r\n";
    CHECK_EQ(open_tls(0, answers, COUNT(answers), &result), -1);
    CHECK(result.rc == 111 && result.tcp == HIL_TLS_TCP_NOT_TRIED && !sent("SOCKON"));
}

/* --- the socket --- */

static void data(void) {
    static const char *const ANSWERS[] = {
        OK,                    /* SOCKW */
        "AT-S.Query:0\r\n" OK, /* nothing yet */
        "AT-S.Query:3\r\n" OK,
        "AT-S.Reading:3:3\r\nabcAT-S.OK\r\n",
        "AT-S.Query:0\r\n+WIND:58:Socket Closed:0\r\n" OK,
        "AT-S.Query:0\r\n" OK,
    };
    struct hil_tls_result result;
    char to[16];
    CHECK_EQ(open_tls(0, GOOD, COUNT(GOOD), &result), 0);
    stub_at_script(ANSWERS, COUNT(ANSWERS));
    CHECK_EQ(hil_tls_send("hello", 5, 1000, &result), 5);
    CHECK(sent("AT+S.SOCKW=0,5\rhello"));
    CHECK_EQ(hil_tls_recv(to, sizeof to, 0, &result), HIL_NET_TIMEOUT);
    CHECK_EQ(hil_tls_recv(to, sizeof to, 1000, &result), 3);
    CHECK(memcmp(to, "abc", 3) == 0);
    CHECK_EQ(hil_tls_recv(to, sizeof to, 1000, &result), HIL_NET_CLOSED);
}

/* How many bytes came is what was read, whatever other numbers the module says on the way. */
static void lengths(void) {
    static const char *const ANSWERS[] = {
        "AT-S.Query:3\r\n" OK, "AT-S.Reading:3:3\r\nabcAT-S.Query:4096\r\n" OK, /* behind the data */
        "AT-S.Query:3\r\n" OK, "AT-S.Query:4096\r\n" OK,                        /* no data at all */
        "AT-S.Query:0\r\n" OK,
    };
    struct hil_tls_result result;
    char to[16];
    CHECK_EQ(open_tls(0, GOOD, COUNT(GOOD), &result), 0);
    stub_at_script(ANSWERS, COUNT(ANSWERS));
    CHECK_EQ(hil_tls_recv(to, sizeof to, 1000, &result), 3);
    CHECK_EQ(hil_tls_recv(to, sizeof to, 0, &result), HIL_NET_TIMEOUT);
}

/* Our own certificate and key go up once, before the list; a changed one goes up again. */
static void identity(void) {
    static const char *const ANSWERS[] = {OK,
                                          OK,
                                          OK,
                                          "AT-S.No SubjectKeyId\r\n" OK,
                                          OK,
                                          OK,
                                          OK,
                                          OK,
                                          "AT-S.Loading:1:1\r\nAT-S.On:10.0.0.1:0\r\n" OK};
    static const char *const AGAIN[] = {OK, OK, ("AT-S.Loading:1:1\r\nAT-S.On:10.0.0.1:0\r\n" OK)};
    static const char *const CLOSED[] = {OK};
    struct hil_tls_result result;
    struct hil_tls_config config = {.host = "broker.test",
                                    .address = "10.0.0.1",
                                    .port = 8883,
                                    .min_version = 12,
                                    .ca = blob(STORY_CA),
                                    .cert = blob("own certificate"),
                                    .key = blob("own key"),
                                    .epoch = 1504170338,
                                    .timeout_ms = 1000};
    for (int i = 0; i < 3; i++) {
        hil_at_state.up = false; /* a fresh module */
        stub_at_clear();
        stub_at_input(BOOT, LEN(BOOT), 9);
        CHECK_EQ(hil_net_up(1000), HIL_NET_OK);
        stub_at_script(ANSWERS, COUNT(ANSWERS));
        CHECK_EQ(hil_tls_open(&config, &result), 0);
        CHECK(sent("AT+S.TLSCERT=Cert,15\rown certificate") && sent("AT+S.TLSCERT=Key,7\rown key"));
        stub_at_script(CLOSED, 1);
        hil_tls_close(true, false);
        stub_at_out_len = 0;
        if (i < 2)
            stub_at_script(ANSWERS, COUNT(ANSWERS));
        else
            stub_at_script(AGAIN, COUNT(AGAIN));
        if (i == 0)
            config.cert = blob("another certificate");
        if (i == 1)
            config.key = blob("another key");
        CHECK_EQ(hil_tls_open(&config, &result), 0);
        CHECK(sent("TLSCERT=Cert,19\ranother certificate") == (i == 0));
        CHECK(sent("TLSCERT=Key,11\ranother key") == (i == 1));
        CHECK(sent("TLSCERT") == (i < 2));
        stub_at_script(CLOSED, 1);
        hil_tls_close(true, false);
        config.cert = blob("own certificate");
        config.key = blob("own key");
    }
}

static void a_module_that_goes(void) {
    static const char *const ANSWERS[] = {"AT-S.Query:0\r\n" OK};
    struct hil_tls_result result;
    char to[16];
    CHECK_EQ(open_tls(0, GOOD, COUNT(GOOD), &result), 0);
    stub_at_script(ANSWERS, COUNT(ANSWERS));
    stub_at_gone = true;
    CHECK_EQ(hil_tls_recv(to, sizeof to, 1000, &result), HIL_NET_LINK);
    CHECK(!hil_at_state.up);
}

/* The bound is of the whole, not of each piece. */
static void slow_sending(void) {
    static const char *const ANSWERS[] = {OK, OK, OK, OK, OK, OK, OK, OK};
    static uint8_t much[8 * 1024];
    struct hil_tls_result result;
    CHECK_EQ(open_tls(0, GOOD, COUNT(GOOD), &result), 0);
    stub_at_script(ANSWERS, COUNT(ANSWERS));
    stub_service_ms = 600;
    uint32_t before = stub_ms;
    CHECK_EQ(hil_tls_send(much, sizeof much, 1000, &result), HIL_NET_TIMEOUT);
    CHECK(stub_ms - before <= 1200 && hil_at_state.up);
    stub_service_ms = 0;
}

static void without_a_module(void) {
    stub_at_clear();
    hil_at_state.up = false;
    uint32_t before = stub_ms;
    CHECK_EQ(hil_net_up(2000), HIL_NET_LINK);
    CHECK(stub_ms - before < 3000);
    char to[4];
    hil_net_close(1);
    CHECK_EQ(hil_net_recv(to, sizeof to, 100), HIL_NET_CLOSED);
    CHECK_EQ(hil_net_send("x", 1, 100), HIL_NET_CLOSED);
    CHECK_EQ(hil_net_readable(), 0);
}

int main(void) {
    lines();
    certificates();
    commands();
    reading();
    babble();
    provisioning();
    kept();
    refusals();
    data();
    lengths();
    identity();
    a_module_that_goes();
    slow_sending();
    without_a_module();
    return 0;
}
