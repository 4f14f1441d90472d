/* TLS of one connection: records framed from the stream, handshake messages joined over records, protection
 * removed where there are keys, events said. States and buffers are made when the first record is seen and
 * freed at the end. */
#ifndef HIL_WIRE_TLS_H
#define HIL_WIRE_TLS_H

#include "decoder.h"
#include "handshake.h"

#define HIL_RECORD_MAX  (16384U + 2048U) /* TLS 1.2's limit for what is sealed; later versions allow less */
#define HIL_MESSAGE_MAX (128U * 1024U)   /* handshake message kept; longer ones are said, not read */

enum hil_handshake {
    HIL_HANDSHAKE_NONE,
    HIL_HANDSHAKE_PARTIAL,
    HIL_HANDSHAKE_COMPLETE,
    HIL_HANDSHAKE_UNKNOWN
};

enum {
    HIL_TYPE_CCS = 20,
    HIL_TYPE_ALERT = 21,
    HIL_TYPE_HANDSHAKE = 22,
    HIL_TYPE_APP = 23,
    HIL_TYPE_HEARTBEAT = 24
};

struct hil_tls_side {
    /* record being framed */
    uint8_t head[5], head_n;
    uint8_t type;
    uint16_t version;
    uint32_t len, got;
    uint8_t *buf; /* body so far, when it came in pieces and is needed */
    bool in_record, keep, damaged;
    bool lost; /* where the next record begins is not known */
    bool gap;  /* records may have been lost since the last one that opened */
    /* handshake message being joined */
    uint8_t hs_head[4], hs_head_n;
    uint8_t *hs; /* body so far */
    uint32_t hs_len, hs_got, hs_records;
    bool in_message;
    /* protection */
    bool ccs;        /* its ChangeCipherSpec was seen: TLS 1.2 and below is sealed from here on */
    bool finished;   /* Finished seen, or (without keys) supposed */
    bool app_keys;   /* the current opener has application keys (TLS 1.3) */
    bool tried;      /* an opener was made or found impossible for this epoch */
    uint32_t sealed; /* records that could not be opened */
    uint32_t app_sealed, tickets, opened, failed; /* tickets: supposed, from their length */
    struct hil_opener *opener;
    bool app_told, alerted, server_flight;
};

struct hil_tls {
    struct hil_tls_side side[2];
    uint8_t client_random[32], server_random[32];
    bool have_client, have_server, resumed, ems, etm, client_etm, retry, early_data, negotiated;
    uint8_t session_id[32], session_id_n;
    uint16_t version, suite; /* version 0: not known yet */
    struct hil_suite info;
    struct hil_secrets *secrets;
    bool keys_found;
    bool mid; /* the beginning was not captured */
    bool renegotiation;
    uint32_t hellos;
    uint32_t alerts[2]; /* fatal or warning alerts said, by side */
    uint8_t last_alert[2];
    char sni[64];
};

struct hil_tls *hil_tls_new(struct hil_decoder *d, struct hil_conn *c);
void hil_tls_free(struct hil_decoder *d, struct hil_conn *c);
void hil_tls_data(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n);
void hil_tls_gap(struct hil_decoder *d, struct hil_conn *c, int side, uint64_t missing);
/* The stream is over: a record or message that never became whole is told. */
void hil_tls_end(struct hil_decoder *d, struct hil_conn *c, int side);
/* Whether the bytes begin like a record: 1, 0, or -1 when too few to say. */
int hil_tls_looks(const uint8_t *p, size_t n);
/* Whether they are an SSLv2-compatible hello: 1, 0, -1. */
int hil_tls_looks_ssl2(const uint8_t *p, size_t n);
void hil_tls_ssl2(struct hil_decoder *d, struct hil_conn *c, int side, const uint8_t *p, size_t n);
enum hil_handshake hil_tls_handshake(const struct hil_tls *t);
/* Keys of the `close` event. */
void hil_tls_close(struct hil_decoder *d, const struct hil_conn *c);

/* tls.c, for the framing in tls_record.c: one whole record, body.p NULL when its bytes were not kept. */
void hil_tls_record(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span body);
/* Whether a record is sealed, by its place. */
bool hil_tls_is_sealed(const struct hil_tls *t, const struct hil_tls_side *s, uint8_t type, uint32_t len);
void hil_tls_drop_buf(struct hil_decoder *d, struct hil_tls_side *s);
void hil_tls_drop_message(struct hil_decoder *d, struct hil_tls_side *s);

/* tls_message.c: one whole handshake message. `body` is what follows the 4-byte header. */
void hil_tls_message(struct hil_decoder *d, struct hil_conn *c, int side, uint8_t type, struct hil_span body,
                     uint32_t records);
/* A message that was too long to keep, or cut by a gap. */
void hil_tls_message_lost(struct hil_decoder *d, struct hil_conn *c, int side, uint8_t type, uint32_t len,
                          const char *why);
/* tls_hello.c */
void hil_tls_client_hello(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b,
                          uint32_t records);
void hil_tls_server_hello(struct hil_decoder *d, struct hil_conn *c, int side, struct hil_span b);
/* tls_keys.c */
int hil_tls_unseal(struct hil_decoder *d, struct hil_conn *c, int side, uint8_t *type, const uint8_t *body,
                   size_t n);
void hil_tls_epoch(struct hil_decoder *d, struct hil_conn *c, int side);
void hil_tls_find_keys(struct hil_decoder *d, struct hil_conn *c);
bool hil_tls_may_open(const struct hil_decoder *d, const struct hil_conn *c, int side);
void hil_tls_set_opener(struct hil_decoder *d, struct hil_tls_side *s, struct hil_opener *o);
void hil_tls_drop_keys(struct hil_decoder *d, struct hil_tls *t);
/* tls_guess.c: what a record that stays closed probably is, from its length and place; NULL: no idea. */
const char *hil_tls_guess(const struct hil_tls *t, const struct hil_conn *c, int side, uint8_t type,
                          uint32_t len);

#endif
