/* hil/net.h and hil/tls.h over the module's one socket: TCP alone (kind `t`), or TCP and TLS in one (`s`). */
#include "hil/at.h"

#include "format.h"
#include "hil/board.h"
#include "hil/net.h"
#include "hil/service.h"
#include "hil/shim.h"

#include <string.h>

#define COMMAND_MS 3000u
#define CHUNK      1024u /* bytes of one SOCKW or SOCKR */
#define COMMAND    320u
#define KEY_ID     20u /* bytes the module wants */

static int sock = -1;
static int detail;
static bool crl_wanted; /* as the module was last told; it starts with false */
static uint32_t stored; /* checksum of what the module holds, 0: nothing known */

const char *hil_tls_stack(void) {
    return "spwf04-170914"; /* the module's firmware of the story's time */
}

const char *hil_tls_caps(void) {
    return "tls1.2";
}

static const struct hil_defect_name OWN_DEFECTS[] = {
    {"identifier_as_text", HIL_AT_SKI_AS_TEXT},
    {"pem_without_identifier", HIL_AT_NO_SKI},
    {"clock_not_set", HIL_AT_NO_TIME},
    {"crl_wanted", HIL_AT_CRL_WANTED},
    {"ca_name", HIL_AT_CA_NAME},
    {"wrong_port", HIL_AT_WRONG_PORT},
};

const struct hil_defect_name *hil_own_defects(size_t *count) {
    *count = sizeof OWN_DEFECTS / sizeof *OWN_DEFECTS;
    return OWN_DEFECTS;
}

uint32_t hil_tls_defects(void) {
    uint32_t all = HIL_DEFECT_NAME_UNCHECKED;
    for (size_t i = 0; i < sizeof OWN_DEFECTS / sizeof *OWN_DEFECTS; i++)
        all |= OWN_DEFECTS[i].bit;
    return all;
}

bool hil_tls_opens_tcp(void) {
    return true;
}

/* --- commands --- */

static int plain(const char *line, uint32_t timeout_ms) {
    struct hil_at_command command = {.line = line, .timeout_ms = timeout_ms};
    return hil_at_run(&command);
}

static void put(struct hil_text *text, const char *string, uint32_t number) {
    hil_text_string(text, string);
    hil_text_number(text, number, 10, 0);
}

/* A command with raw bytes behind it. */
static int upload(const char *what, const void *data, size_t len) {
    char line[48];
    struct hil_text text = {.data = line, .cap = sizeof line - 1};
    hil_text_string(&text, "AT+S.TLSCERT=");
    hil_text_string(&text, what);
    put(&text, ",", (uint32_t)len);
    line[text.len] = '\0';
    struct hil_at_command command = {.line = line, .data = data, .len = len, .timeout_ms = COMMAND_MS};
    return hil_at_run(&command);
}

/* --- what the module is given --- */

/* The identifier of the certificate that was uploaded last, as the module wants it: raw. */
static int name_authority(struct hil_blob one, uint32_t defects) {
    static const char HEX[] = "0123456789ABCDEF";
    uint8_t id[KEY_ID];
    char hex[2 * KEY_ID];
    size_t len = hil_at_key_identifier(one, id, sizeof id);
    if (len == 0 || (defects & HIL_AT_NO_SKI) != 0)
        return 0;
    if ((defects & HIL_AT_SKI_AS_TEXT) == 0)
        return upload("Auth", id, len);
    for (size_t i = 0; i < len; i++) {
        hex[2 * i] = HEX[id[i] >> 4];
        hex[2 * i + 1] = HEX[id[i] & 0xF];
    }
    return upload("Auth", hex, 2 * len);
}

static int store_authorities(const struct hil_tls_config *config) {
    struct hil_blob one;
    size_t at = 0;
    int rc = 0;
    while (rc == 0 && hil_at_next_certificate(config->ca, &at, &one)) {
        rc = upload("Ca", one.data, one.len);
        /* Of DER the module finds it itself. */
        if (rc == 0 && (hil_at_reply.key_id_missing || (config->defects & HIL_AT_SKI_AS_TEXT) != 0))
            rc = name_authority(one, config->defects);
    }
    return rc;
}

static uint32_t checksum(const struct hil_tls_config *config) {
    uint32_t crc = hil_crc32(0, &config->defects, sizeof config->defects);
    crc = hil_crc32(crc, config->ca.data, config->ca.data != NULL ? config->ca.len : 0);
    crc = hil_crc32(crc, config->cert.data, config->cert.data != NULL ? config->cert.len : 0);
    crc = hil_crc32(crc, config->key.data, config->key.data != NULL ? config->key.len : 0);
    return crc | 1u;
}

/* Clock at every time, certificates when they are others than those the module holds. */
static int provision(const struct hil_tls_config *config) {
    uint32_t wanted = checksum(config);
    int rc = 0;
    if (config->epoch != 0 && (config->defects & HIL_AT_NO_TIME) == 0) {
        char line[32];
        struct hil_text text = {.data = line, .cap = sizeof line - 1};
        put(&text, "AT+S.TIME=", config->epoch + (hil_board_ms() - config->epoch_ms) / 1000u);
        line[text.len] = '\0';
        rc = plain(line, COMMAND_MS);
    }
    if (rc == 0)
        rc = plain("AT+S.TIME", COMMAND_MS);
    if (rc != 0 || wanted == stored)
        return rc;
    stored = 0;
    rc = plain("AT+S.TLSCERT=content,2", COMMAND_MS);
    if (rc == 0)
        rc = store_authorities(config);
    if (rc == 0 && config->cert.data != NULL && config->cert.len > 0)
        rc = upload("Cert", config->cert.data, config->cert.len);
    if (rc == 0 && config->key.data != NULL && config->key.len > 0)
        rc = upload("Key", config->key.data, config->key.len);
    bool crl = (config->defects & HIL_AT_CRL_WANTED) != 0;
    if (rc == 0 && crl != crl_wanted)
        rc = plain(crl ? "AT+S.SCFG=tls_crl,1" : "AT+S.SCFG=tls_crl,0", COMMAND_MS);
    if (rc == 0)
        crl_wanted = crl;
    if (rc == 0)
        rc = plain("AT+S.TLSCERT=content,1", COMMAND_MS);
    if (rc == 0)
        stored = wanted;
    return rc;
}

/* --- the socket --- */

static int ready(uint32_t timeout_ms) {
    if (hil_at_state.up)
        return 0;
    sock = -1;
    stored = 0;
    crl_wanted = false;
    detail = hil_at_start(timeout_ms);
    return detail;
}

static int open_socket(const char *to, uint32_t port, const char *name, char kind, uint32_t timeout_ms) {
    char line[COMMAND];
    struct hil_text text = {.data = line, .cap = sizeof line - 1};
    hil_text_string(&text, "AT+S.SOCKON=");
    hil_text_string(&text, to);
    put(&text, ",", port);
    hil_text_string(&text, ",");
    hil_text_string(&text, name);
    hil_text_string(&text, ",");
    hil_text_bytes(&text, &kind, 1);
    if (text.full)
        return HIL_AT_TOO_LONG;
    line[text.len] = '\0';
    hil_at_state.pending = hil_at_state.closed = false;
    int rc = plain(line, timeout_ms);
    if (rc == 0 && !hil_at_reply.on) {
        hil_at_state.up = false; /* out of step: started anew before the next attempt */
        rc = HIL_AT_PROTOCOL;
    }
    detail = rc;
    sock = rc == 0 ? (int)hil_at_reply.value : -1;
    return rc;
}

static int data_command(const char *name, uint32_t len, bool has_len, struct hil_at_command *command) {
    char line[40];
    struct hil_text text = {.data = line, .cap = sizeof line - 1};
    hil_text_string(&text, name);
    put(&text, "=", (uint32_t)sock);
    if (has_len)
        put(&text, ",", len);
    line[text.len] = '\0';
    command->line = line;
    command->quiet = true;
    int rc = hil_at_run(command);
    command->line = NULL;
    return rc;
}

/* HIL_NET_* of a data command's code. */
static int broken(int rc) {
    detail = rc;
    if (rc == HIL_AT_TIMEOUT)
        return HIL_NET_TIMEOUT;
    if (rc < 0)
        return HIL_NET_LINK; /* the module is gone */
    return hil_at_state.closed ? HIL_NET_CLOSED : HIL_NET_ERROR;
}

static int send_all(const void *data, size_t len, uint32_t timeout_ms, void (*service)(void)) {
    const uint8_t *at = data;
    uint32_t start = hil_board_ms(), gone = 0;
    for (size_t left = len; left > 0; gone = hil_board_ms() - start) {
        size_t n = left < CHUNK ? left : CHUNK;
        struct hil_at_command command = {.data = at, .len = n, .timeout_ms = timeout_ms - gone};
        if (sock < 0)
            return HIL_NET_CLOSED;
        if (gone > 0 && gone >= timeout_ms)
            return HIL_NET_TIMEOUT;
        int rc = data_command("AT+S.SOCKW", (uint32_t)n, true, &command);
        service();
        if (rc != 0)
            return broken(rc);
        at += n;
        left -= n;
    }
    return (int)len;
}

/* What waits in the module, at most `cap` of it: bytes, 0 or HIL_NET_*. */
static int fetch(void *data, size_t cap) {
    struct hil_at_command query = {.timeout_ms = COMMAND_MS};
    hil_at_state.pending = false;
    int rc = data_command("AT+S.SOCKQ", 0, false, &query);
    if (rc != 0)
        return broken(rc);
    size_t n = hil_at_reply.value < cap ? hil_at_reply.value : cap;
    n = n < CHUNK ? n : CHUNK;
    if (n == 0)
        return 0;
    struct hil_at_command command = {.in = data, .in_cap = n, .timeout_ms = COMMAND_MS};
    rc = data_command("AT+S.SOCKR", (uint32_t)n, true, &command);
    if (rc != 0)
        return broken(rc);
    hil_at_state.pending = true; /* there may be more */
    return (int)hil_at_reply.read;
}

static int receive(void *data, size_t cap, uint32_t timeout_ms, void (*service)(void)) {
    uint32_t start = hil_board_ms();
    for (;;) {
        if (sock < 0)
            return HIL_NET_CLOSED;
        bool closed = hil_at_state.closed; /* before the query: what came before the end is read first */
        int got = fetch(data, cap);
        if (got != 0)
            return got;
        if (closed)
            return HIL_NET_CLOSED;
        uint32_t gone = hil_board_ms() - start;
        if (gone >= timeout_ms && !hil_at_state.closed)
            return HIL_NET_TIMEOUT;
        uint32_t left = gone < timeout_ms ? timeout_ms - gone : 0;
        if (!hil_at_state.closed && !hil_at_state.pending &&
            hil_at_wait(left < HIL_SERVICE_MS ? left : HIL_SERVICE_MS) == HIL_AT_GONE)
            return HIL_NET_LINK;
        service();
    }
}

static void close_socket(void) {
    struct hil_at_command command = {.timeout_ms = COMMAND_MS};
    if (sock >= 0 && hil_at_state.up)
        (void)data_command("AT+S.SOCKC", 0, false, &command);
    sock = -1;
}

/* --- hil/net.h --- */

int hil_net_up(uint32_t timeout_ms) {
    return ready(timeout_ms) == 0 ? HIL_NET_OK : HIL_NET_LINK;
}

const char *hil_net_address(void) {
    return hil_at_state.address;
}

int hil_net_connect(const char *host, const char *address, uint16_t port, uint32_t timeout_ms) {
    bool given = address != NULL && *address != '\0';
    close_socket();
    if (ready(timeout_ms) != 0)
        return HIL_NET_LINK;
    int rc = open_socket(given ? address : host, port, "NULL", 't', timeout_ms);
    if (rc == 0)
        return HIL_NET_OK;
    if (rc == HIL_AT_TIMEOUT)
        return HIL_NET_TIMEOUT;
    return rc < 0 ? HIL_NET_LINK : HIL_NET_ERROR; /* 74 has one text for all that may be wrong */
}

int hil_net_send(const void *data, size_t len, uint32_t timeout_ms) {
    return send_all(data, len, timeout_ms, hil_heartbeat);
}

int hil_net_recv(void *data, size_t cap, uint32_t timeout_ms) {
    return receive(data, cap, timeout_ms, hil_heartbeat);
}

int hil_net_readable(void) {
    return sock >= 0 && hil_at_state.pending;
}

void hil_net_close(int abort) {
    (void)abort; /* SOCKC is all there is */
    close_socket();
}

int hil_net_detail(void) {
    return detail;
}

/* --- hil/tls.h --- */

int hil_tls_open(const struct hil_tls_config *config, struct hil_tls_result *result) {
    char name[128];
    bool given = config->address != NULL && *config->address != '\0';
    uint32_t port = config->port;
    close_socket();
    result->tcp = HIL_TLS_TCP_NOT_TRIED;
    result->rc = ready(config->timeout_ms);
    if (result->rc == 0 && config->min_version > 12)
        result->rc = HIL_AT_TOO_LONG; /* there is no TLS 1.3 in the module */
    if (result->rc == 0)
        result->rc = provision(config);
    if (result->rc != 0)
        return -1;
    if ((config->defects & HIL_AT_WRONG_PORT) != 0)
        port = port < 65535u ? port + 1 : port - 1;
    const char *wanted = config->host;
    if ((config->defects & HIL_DEFECT_NAME_UNCHECKED) != 0) {
        wanted = "NULL";
    } else if ((config->defects & HIL_AT_CA_NAME) != 0) {
        size_t len = hil_at_common_name(config->ca, (uint8_t *)name, sizeof name - 1);
        name[len] = '\0';
        wanted = name;
    }
    int rc = open_socket(given ? config->address : config->host, port, wanted, 's', config->timeout_ms);
    result->rc = rc;
    result->verify_flags = (uint32_t)hil_at_reply.certificate;
    result->version = rc == 0 ? "1.2" : "";
    /* Neither Loading nor a certificate error: as far as can be told from here it failed before TLS. */
    bool reached = rc == 0 || hil_at_reply.loading || hil_at_reply.certificate != 0;
    result->tcp = reached ? HIL_NET_OK : rc == HIL_AT_TIMEOUT ? HIL_NET_TIMEOUT : HIL_NET_ERROR;
    return rc == 0 ? 0 : -1;
}

int hil_tls_send(const void *data, size_t len, uint32_t timeout_ms, struct hil_tls_result *result) {
    int rc = send_all(data, len, timeout_ms, hil_service);
    result->rc = rc < 0 ? detail : 0;
    return rc;
}

int hil_tls_recv(void *data, size_t cap, uint32_t timeout_ms, struct hil_tls_result *result) {
    int rc = receive(data, cap, timeout_ms, hil_service);
    result->rc = rc < 0 && rc != HIL_NET_TIMEOUT && rc != HIL_NET_CLOSED ? detail : 0;
    return rc;
}

int hil_tls_pending(void) {
    return sock >= 0 && hil_at_state.pending;
}

void hil_tls_close(bool notify, bool forget) {
    (void)notify;
    (void)forget; /* the module resumes nothing */
    close_socket();
}
