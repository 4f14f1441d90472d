/* Ring of received bytes: one interrupt writes, the program reads. */
#ifndef HIL_RING_H
#define HIL_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HIL_RING_SIZE 4096u /* power of two */

struct hil_ring {
    volatile uint32_t head; /* written by the interrupt */
    volatile uint32_t tail; /* written by the reader */
    uint8_t data[HIL_RING_SIZE];
};

static inline bool hil_ring_empty(const struct hil_ring *ring) {
    return ring->head == ring->tail;
}

static inline bool hil_ring_full(const struct hil_ring *ring) {
    return ring->head - ring->tail == HIL_RING_SIZE;
}

/* Only when it is not full. */
static inline void hil_ring_put(struct hil_ring *ring, uint8_t byte) {
    uint32_t head = ring->head;
    ring->data[head % HIL_RING_SIZE] = byte;
    ring->head = head + 1u;
}

static inline size_t hil_ring_take(struct hil_ring *ring, uint8_t *out, size_t cap) {
    uint32_t tail = ring->tail;
    size_t n = 0;
    while (n < cap && tail != ring->head) {
        out[n++] = ring->data[tail % HIL_RING_SIZE];
        tail++;
    }
    ring->tail = tail;
    return n;
}

#endif
