/* The smallest test frame: CHECK stops at the first failure and says where. */
#ifndef HIL_CHECK_H
#define HIL_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

#define CHECK_EQ(got, want)                                                                                  \
    do {                                                                                                     \
        long long got_value = (long long)(got), want_value = (long long)(want);                              \
        if (got_value != want_value) {                                                                       \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got, got_value,            \
                    want_value);                                                                             \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

#endif
