/* See keylog.h for what this is and how it is used. */
#include "keylog.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* OpenSSL's types stay opaque: this library must not depend on the headers of one version. */
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;
typedef struct ssl_method_st SSL_METHOD;
typedef struct ossl_lib_ctx_st OSSL_LIB_CTX;

typedef void (*keylog_callback)(const SSL *ssl, const char *line);
typedef void (*set_keylog_callback)(SSL_CTX *ctx, keylog_callback callback);
typedef SSL_CTX *(*ctx_new)(const SSL_METHOD *method);
typedef SSL_CTX *(*ctx_new_ex)(OSSL_LIB_CTX *libctx, const char *propq, const SSL_METHOD *method);

EXPORT SSL_CTX *SSL_CTX_new(const SSL_METHOD *method);
EXPORT SSL_CTX *SSL_CTX_new_ex(OSSL_LIB_CTX *libctx, const char *propq, const SSL_METHOD *method);

static int keylog_fd = -1;

__attribute__((constructor)) static void keylog_open(void) {
    const char *path = getenv(HIL_KEYLOG_ENV);
    if (path == NULL || path[0] == '\0') {
        return;
    }
    keylog_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    if (keylog_fd < 0) {
        fprintf(stderr, "hil-keylog: cannot open %s: %s\n", path, strerror(errno));
    }
}

/* The next definition of `name` after ours: the library's own. ISO C has no conversion from object to
 * function. */
static void find_next(const char *name, void *function, size_t size) {
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, size);
}

static void keylog_write(const SSL *ssl, const char *line) {
    (void)ssl;
    int saved = errno;
    const struct iovec parts[2] = {
        {.iov_base = (void *)(unsigned long)line, .iov_len = strlen(line)},
        {.iov_base = (void *)(unsigned long)"\n", .iov_len = 1},
    };
    ssize_t done;
    do {
        done = writev(keylog_fd, parts, 2);
    } while (done < 0 && errno == EINTR);
    errno = saved; /* the program's TLS code looks at errno after a callback */
}

static SSL_CTX *with_keylog(SSL_CTX *ctx) {
    set_keylog_callback set = NULL;
    if (ctx != NULL && keylog_fd >= 0) {
        find_next("SSL_CTX_set_keylog_callback", &set, sizeof set);
        if (set != NULL) {
            set(ctx, keylog_write);
        }
    }
    return ctx;
}

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method) {
    ctx_new next = NULL;
    find_next("SSL_CTX_new", &next, sizeof next);
    return next == NULL ? NULL : with_keylog(next(method));
}

SSL_CTX *SSL_CTX_new_ex(OSSL_LIB_CTX *libctx, const char *propq, const SSL_METHOD *method) {
    ctx_new_ex next = NULL;
    find_next("SSL_CTX_new_ex", &next, sizeof next);
    return next == NULL ? NULL : with_keylog(next(libctx, propq, method));
}
