/* NetX, recorded: each call of the shim is written down as a line, and returns what the test has put in. */
#ifndef STUB_NETX_H
#define STUB_NETX_H

#include <nx_secure_tls_api.h>

#include <stddef.h>

extern char stub_calls[8192]; /* "name\n" each */

/* The `nth` call (from 1) of `name` returns `code`; everything else succeeds. */
void stub_netx_fail(const char *name, unsigned nth, UINT code);
void stub_netx_clear(void);

/* How often it was called. */
unsigned stub_netx_count(const char *name);

/* What the set-up handed over last. */
extern struct stub_netx_seen {
    UINT key_type;
    USHORT key_len;
    const UCHAR *key;
    USHORT suites;
    USHORT first_suite;
    USHORT groups;
    USHORT version;
    ULONG packet_buffer;
    UINT cert_buffer;
    char sni[101];
    ULONG (*time)(VOID);
    ULONG (*certificate)(NX_SECURE_TLS_SESSION *, NX_SECURE_X509_CERT *);
    UINT wait;
    ULONG sent;
    UCHAR bytes[4096];
    unsigned packets; /* allocated and not released */
} stub_seen;

/* What the peer sends, one packet for each call of receive. */
void stub_netx_receive(const void *data, size_t len);

#endif
