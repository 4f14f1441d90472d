/* AT: what the driver for the SPWF04SA (TLS inside the module) needs of the board, and what it offers.
 *
 * A board with the module links at/line.c, at/certificate.c, at/driver.c, at/socket.c (hil/net.h and
 * hil/tls.h over the module's one socket) and implements the three functions below. Nothing here has a heap,
 * every wait is bounded, and every answer to a control command is reported (hil_event_api) and shown on the
 * console as ST's example does (">>UART TX buffer: …"). Data commands (SOCKW, SOCKR, SOCKQ) are reported when
 * they fail.
 */
#ifndef HIL_AT_H
#define HIL_AT_H

#include "hil/tls.h"

/* --- given by the board --- */

/* Pulls the module's reset line and forgets what is in the UART. 0, or negative when there is no module. */
int hil_at_uart_reset(void);

/* All of it (RTS/CTS hold it back), 0; negative when the module is gone. */
int hil_at_uart_write(const void *data, size_t len);

/* 1..cap bytes; 0 when none came within timeout_ms, negative when the module is gone. */
int hil_at_uart_read(void *data, size_t cap, uint32_t timeout_ms);

/* --- at/line.c: one line of the module --- */

enum hil_at_kind {
    HIL_AT_OTHER,       /* an echo, or a line this driver does not need */
    HIL_AT_OK,          /* AT-S.OK */
    HIL_AT_ERROR,       /* AT-S.ERROR:n:text */
    HIL_AT_CERTIFICATE, /* AT-S.Certificate Error:n */
    HIL_AT_LOADING,     /* AT-S.Loading:a:b */
    HIL_AT_NO_KEY_ID,   /* AT-S.No SubjectKeyId */
    HIL_AT_ON,          /* AT-S.On:address:id */
    HIL_AT_QUERY,       /* AT-S.Query:n */
    HIL_AT_READING,     /* AT-S.Reading:n:m, then n bytes */
    HIL_AT_PENDING,     /* +WIND:55:Pending Data:… */
    HIL_AT_CLOSED,      /* +WIND:58:Socket Closed:id */
    HIL_AT_WIFI_UP      /* +WIND:24:WiFi Up:…:address */
};

struct hil_at_answer {
    enum hil_at_kind kind;
    uint32_t a;       /* the first number; the socket of On */
    const char *text; /* what is behind the last colon: the address of WiFi Up */
    size_t text_len;
};

/* Reads one line without its end. "AT-S." and "-S." are the same: ST's code eats the first two letters at
 * times. A number that is missing or too large makes the line HIL_AT_OTHER. */
void hil_at_parse(const char *line, size_t len, struct hil_at_answer *out);

/* --- at/certificate.c: what the driver must know of a certificate, DER or PEM --- */

/* The next certificate of a blob: itself if DER, the next PEM block otherwise. Moves *at behind it; false at
 * the end. */
bool hil_at_next_certificate(struct hil_blob blob, size_t *at, struct hil_blob *one);

/* Subject key identifier (extension 2.5.29.14) and common name (the first one: of a root, its own). Their
 * length; 0 when there is none or it does not fit. Both look for the object identifier; they do not parse the
 * certificate. */
size_t hil_at_key_identifier(struct hil_blob certificate, uint8_t *out, size_t cap);
size_t hil_at_common_name(struct hil_blob certificate, uint8_t *out, size_t cap);

/* --- at/driver.c --- */

enum {
    HIL_AT_TIMEOUT = -1,
    HIL_AT_GONE = -2,
    HIL_AT_TOO_LONG = -3,
    HIL_AT_PROTOCOL = -4 /* OK without what was asked for */
};

/* What the last command brought beside its end. */
struct hil_at_reply {
    int certificate; /* of AT-S.Certificate Error, 0 */
    bool loading;    /* AT-S.Loading was seen: TCP is up and a CA was found */
    bool key_id_missing;
    bool on;        /* AT-S.On was seen */
    uint32_t value; /* of the last of AT-S.On, AT-S.Query and AT-S.Reading */
    uint32_t read;  /* bytes that are in hil_at_command.in: never more than in_cap */
};
extern struct hil_at_reply hil_at_reply;

/* Indications between commands. */
struct hil_at_state {
    bool up, pending, closed;
    char address[16];
};
extern struct hil_at_state hil_at_state;

struct hil_at_command {
    const char *line; /* without the carriage return */
    const void *data; /* raw bytes behind it */
    size_t len;
    void *in; /* where the bytes behind AT-S.Reading go */
    size_t in_cap;
    uint32_t timeout_ms;
    bool quiet; /* a data command */
};

/* Resets the module and waits for its Wi-Fi. 0 or HIL_AT_*. */
int hil_at_start(uint32_t timeout_ms);

/* 0: AT-S.OK; positive: the number of AT-S.ERROR; HIL_AT_*. After a time-out the module must be started anew,
 * as a late answer would be taken for the next command's: hil_at_state.up is false then. */
int hil_at_run(const struct hil_at_command *command);

/* Waits for an indication. 0 when one came, HIL_AT_*. */
int hil_at_wait(uint32_t timeout_ms);

/* Defects of story 004; their names are in at/socket.c. */
enum {
    HIL_AT_SKI_AS_TEXT = 1u << 16, /* the identifier as 40 hexadecimal characters */
    HIL_AT_NO_SKI = 1u << 17,      /* PEM, and no AT+S.TLSCERT=Auth */
    HIL_AT_NO_TIME = 1u << 18,     /* no AT+S.TIME */
    HIL_AT_CRL_WANTED = 1u << 19,  /* the module is told to want a CRL and has none */
    HIL_AT_CA_NAME = 1u << 20,     /* the CA's common name where the server's name belongs */
    HIL_AT_WRONG_PORT = 1u << 21   /* the next port, where nothing listens */
};

#endif
