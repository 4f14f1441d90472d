/* Compiler and platform part of lwIP's port. */
#ifndef HIL_LWIP_CC_H
#define HIL_LWIP_CC_H

#include <stdint.h>

#define LWIP_NO_CTYPE_H 1
#define BYTE_ORDER      LITTLE_ENDIAN

uint32_t hil_lwip_rand(void);
#define LWIP_RAND() hil_lwip_rand()

_Noreturn void hil_lwip_assert(const char *message);
#define LWIP_PLATFORM_ASSERT(message) hil_lwip_assert(message)
#define LWIP_PLATFORM_DIAG(message)                                                                          \
    do {                                                                                                     \
    } while (0)

#endif
