#include "heap.h"

#include <malloc.h>

static size_t used, highest;

void hil_heap_marks(size_t *peak, size_t *now) {
    *peak = highest;
    *now = used;
}

#if defined(HIL_WRAP_HEAP)
/* The linker prescribes these names. NOLINTBEGIN(cert-dcl51-cpp) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *old);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *old);
/* NOLINTEND(cert-dcl51-cpp) */

static void *taken(void *block) {
    used += malloc_usable_size(block);
    if (used > highest)
        highest = used;
    return block;
}

/* What libc allocated by itself was never counted. */
static void given(void *block) {
    size_t size = malloc_usable_size(block);
    used -= size < used ? size : used;
}

void *__wrap_malloc(size_t size) {
    return taken(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
    return taken(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size) {
    size_t before = malloc_usable_size(old);
    void *block = __real_realloc(old, size);
    if (block != NULL || size == 0)
        used -= before < used ? before : used;
    return taken(block);
}

void __wrap_free(void *old) {
    given(old);
    __real_free(old);
}
#endif
