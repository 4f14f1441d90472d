/* Heap marks of a process: the allocator is wrapped by the linker (--wrap), except under sanitizers. */
#ifndef HIL_HEAP_H
#define HIL_HEAP_H

#include <stddef.h>

/* Bytes in use at the peak, and now; 0 where the allocator is not wrapped. */
void hil_heap_marks(size_t *peak, size_t *now);

#endif
