/* TCP connections: a table with a cap and an age, and one direction of reassembly a side.
 *
 * In-order payload is handed on where it lies, without a copy. What comes early is kept (bounded) until the
 * hole is filled, or until the receiver's acknowledgements show that the hole was only missed by the capture;
 * then the hole is reported as a gap. Least recently used connections leave when the table or the memory
 * budget is full. */
#ifndef HIL_WIRE_CONN_H
#define HIL_WIRE_CONN_H

#include "net.h"

#define HIL_CONNS_MAX       8192U       /* connections remembered, finished ones included */
#define HIL_MEMORY_MAX      (10U << 20) /* bytes of reassembly and protocol state, all connections together */
#define HIL_EARLY_BYTES_MAX (256U * 1024U) /* kept ahead of a hole, one side */
#define HIL_EARLY_COUNT_MAX 512U

struct hil_tls;
struct hil_mqtt;

/* Payload that came ahead of its turn, in sequence order. */
struct hil_early {
    struct hil_early *next;
    uint32_t seq, len, wirelen;
    uint8_t data[];
};

enum hil_proto { HIL_PROTO_UNKNOWN, HIL_PROTO_TLS, HIL_PROTO_MQTT, HIL_PROTO_OTHER };

struct hil_side {
    uint32_t isn, next, ack, fin_seq;
    bool have_next, have_ack, syn, fin, rst;
    uint8_t patience; /* packets seen since the peer acknowledged bytes we never saw */
    int64_t hole_t;
    uint32_t packets, retransmissions, gaps, early_bytes, early_n;
    uint64_t bytes;  /* payload delivered, gaps not counted */
    uint64_t offset; /* position in the stream, gaps counted */
    struct hil_early *early;
    enum hil_proto proto;
    bool data_told, cut_told; /* `data` and snap-length `gap` are said once */
    uint8_t head_n;
    uint8_t head[16]; /* first bytes, until the protocol is known */
};

struct hil_conn {
    uint32_t hash_next, older, newer; /* indices into the table; 0: none */
    uint32_t closing_next, closing_prev;
    uint32_t bucket;
    struct hil_addr addr[2]; /* addr[i]:port[i] is the sender of side i */
    uint16_t port[2];
    uint32_t id;      /* `conn` of the events */
    uint8_t client;   /* side that is the client */
    bool v_open;      /* `open` was said */
    bool syn_seen;    /* a SYN or SYN+ACK told who is who */
    bool closing;     /* FIN from both, or RST: waits for stragglers */
    bool dead;        /* `close` was said */
    int8_t first_end; /* side that ended it first, -1: none */
    bool first_rst;
    int64_t t_first, t_last, t_closing;
    uint64_t frame_last;
    struct hil_side side[2];
    struct hil_tls *tls;
    struct hil_mqtt *mqtt;
};

struct hil_table {
    struct hil_conn **chunk; /* chunks of HIL_CHUNK connections; index 0 is never used */
    uint32_t *bucket;
    uint32_t used, free, live; /* slots handed out ever; free list; in use */
    uint32_t oldest, newest;
    uint32_t closing_head, closing_tail;
    uint32_t next_id;
    uint64_t seed;
    size_t memory; /* bytes accounted, see hil_table_alloc */
};

struct hil_decoder;

bool hil_table_init(struct hil_table *t);
void hil_table_free(struct hil_table *t);
/* One TCP segment: finds or makes the connection and runs the whole decoder on what it completes. */
void hil_conn_segment(struct hil_decoder *d, const struct hil_segment *s);
/* The connection a quoted packet belongs to, or NULL. */
struct hil_conn *hil_conn_find(struct hil_decoder *d, const struct hil_addr *src, uint16_t sport,
                               const struct hil_addr *dst, uint16_t dport);
/* Ends all connections at the end of the capture. */
void hil_conn_finish(struct hil_decoder *d);
/* Says `open` if it was not said yet. */
void hil_conn_opened(struct hil_decoder *d, struct hil_conn *c);

/* Memory that counts against HIL_MEMORY_MAX. NULL when the system has none; the budget itself is kept between
 * packets, by letting the oldest connection go. */
void *hil_table_alloc(struct hil_table *t, size_t n);
void hil_table_release(struct hil_table *t, void *p, size_t n);

#endif
