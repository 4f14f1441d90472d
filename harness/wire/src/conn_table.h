/* The table of connections: hashing, the order of use, the ones that are closing. Used by conn.c only. */
#ifndef HIL_WIRE_CONN_TABLE_H
#define HIL_WIRE_CONN_TABLE_H

#include "conn.h"

#define HIL_CHUNK 64U

static inline struct hil_conn *hil_table_at(const struct hil_table *t, uint32_t i) {
    return &t->chunk[i / HIL_CHUNK][i % HIL_CHUNK];
}
/* The same for both directions of a connection. */
uint32_t hil_table_hash(const struct hil_table *t, const struct hil_addr *a, uint16_t ap,
                        const struct hil_addr *b, uint16_t bp);
/* The connection and which of its sides sends from src; index 0 when there is none. */
uint32_t hil_table_lookup(const struct hil_table *t, uint32_t bucket, const struct hil_addr *src,
                          uint16_t sport, const struct hil_addr *dst, uint16_t dport, int *side);
/* A slot never used, 0 when there is none. */
uint32_t hil_table_fresh(struct hil_table *t);
void hil_table_unlink(struct hil_table *t, uint32_t i);
void hil_lru_remove(struct hil_table *t, uint32_t i);
void hil_lru_append(struct hil_table *t, uint32_t i);
void hil_closing_append(struct hil_table *t, uint32_t i);
void hil_closing_remove(struct hil_table *t, uint32_t i);

#endif
