/* See sni.h for what this is and how it is used. */
#include "sni.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

/* OpenSSL's types stay opaque: this library must not depend on the headers of one version. These numbers are
 * part of its ABI. */
#define SET_TLSEXT_SERVERNAME_CB 53
#define NAMETYPE_HOST_NAME       0
#define ERR_OK                   0
#define ERR_ALERT_FATAL          2
#define VERSION_TLS13            0x0304
#define MISSING_EXTENSION        109
#define UNRECOGNIZED_NAME        112

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;
typedef struct ssl_method_st SSL_METHOD;
typedef struct ossl_lib_ctx_st OSSL_LIB_CTX;

EXPORT SSL_CTX *SSL_CTX_new(const SSL_METHOD *method);
EXPORT SSL_CTX *SSL_CTX_new_ex(OSSL_LIB_CTX *libctx, const char *propq, const SSL_METHOD *method);

/* The next definition of `name` after ours: the library's own, or another preloaded one's. ISO C has no
 * conversion from object to function. */
static void find_next(const char *name, void *function, size_t size) {
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, size);
}

static int on_server_name(SSL *ssl, int *alert, void *arg) {
    const char *(*get_name)(const SSL *, int) = NULL;
    int (*get_version)(const SSL *) = NULL;
    (void)arg;
    find_next("SSL_get_servername", &get_name, sizeof get_name);
    find_next("SSL_version", &get_version, sizeof get_version);
    if (get_name == NULL || get_version == NULL || get_name(ssl, NAMETYPE_HOST_NAME) != NULL) {
        return ERR_OK;
    }
    *alert = get_version(ssl) == VERSION_TLS13 ? MISSING_EXTENSION : UNRECOGNIZED_NAME;
    fputs("hil-sni: refused a ClientHello without server_name\n", stderr);
    return ERR_ALERT_FATAL;
}

static SSL_CTX *demanding(SSL_CTX *ctx) {
    long (*control)(SSL_CTX *, int, void (*)(void)) = NULL;
    if (ctx == NULL) {
        return NULL;
    }
    find_next("SSL_CTX_callback_ctrl", &control, sizeof control);
    if (control != NULL && control(ctx, SET_TLSEXT_SERVERNAME_CB, (void (*)(void))on_server_name) == 1) {
        fputs(HIL_SNI_ARMED "\n", stderr);
    }
    return ctx;
}

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method) {
    SSL_CTX *(*next)(const SSL_METHOD *) = NULL;
    find_next("SSL_CTX_new", &next, sizeof next);
    return next == NULL ? NULL : demanding(next(method));
}

SSL_CTX *SSL_CTX_new_ex(OSSL_LIB_CTX *libctx, const char *propq, const SSL_METHOD *method) {
    SSL_CTX *(*next)(OSSL_LIB_CTX *, const char *, const SSL_METHOD *) = NULL;
    find_next("SSL_CTX_new_ex", &next, sizeof next);
    return next == NULL ? NULL : demanding(next(libctx, propq, method));
}
