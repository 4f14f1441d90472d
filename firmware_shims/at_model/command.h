/* One command line of the SPWF04SA's AT protocol, as the model understands it. */
#ifndef HIL_AT_MODEL_COMMAND_H
#define HIL_AT_MODEL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AT_NAME_MAX 127u  /* bytes of a host or a name */
#define AT_DATA_MAX 8192u /* bytes behind a command */

enum at_kind {
    AT_UNKNOWN,  /* no such command */
    AT_BAD,      /* such a command, with arguments that are none: `at_command.kind` says no more */
    AT_EMPTY,    /* AT alone */
    AT_TIME_SET, /* AT+S.TIME=n */
    AT_TIME_GET,
    AT_CERT_LIST,  /* AT+S.TLSCERT=content,1 */
    AT_CERT_CLEAN, /* AT+S.TLSCERT=content,2 */
    AT_CERT_CA,    /* with data */
    AT_CERT_CERT,
    AT_CERT_KEY,
    AT_CERT_AUTH,
    AT_CERT_DOMAIN,
    AT_SOCK_ON,
    AT_SOCK_WRITE, /* with data */
    AT_SOCK_READ,
    AT_SOCK_QUERY,
    AT_SOCK_CLOSE,
    AT_CONFIG_CRL /* AT+S.SCFG=tls_crl,n: this model's own */
};

struct at_command {
    enum at_kind kind;
    uint32_t number;                                   /* Unix seconds; the socket; 0 or 1 */
    uint32_t length;                                   /* bytes that follow the line, or that are asked for */
    bool has_data;                                     /* `length` bytes follow */
    char host[AT_NAME_MAX + 1], name[AT_NAME_MAX + 1]; /* SOCKON; name "": NULL was given */
    uint32_t port;
    char socket; /* t: TCP, s: TLS */
};

/* Reads one line without its carriage return. Words are of either case. */
void at_command_parse(const char *line, size_t len, struct at_command *out);

#endif
