/* A small client with wolfSSL of the system, printing what such clients print:
 *     wolf version=12|13 ca=FILE cert=FILE key=FILE host=NAME ciphers=LIST group=N sigalgs=LIST noverify=1
 * Exit status 0 whatever happens: what it prints is the evidence. */
#include <wolfssl/options.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/version.h>

static const char *arg(int argc, char **argv, const char *name) {
    const size_t n = strlen(name);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=') {
            return argv[i] + n + 1;
        }
    }
    return NULL;
}

static void said(WOLFSSL *ssl, const char *what, int rc) {
    char text[WOLFSSL_MAX_ERROR_SZ];
    const int code = wolfSSL_get_error(ssl, rc);
    printf("%s: %d %s\n", what, code, wolfSSL_ERR_error_string((unsigned long)code, text));
}

static void history(WOLFSSL *ssl) {
    WOLFSSL_ALERT_HISTORY h;
    if (wolfSSL_get_alert_history(ssl, &h) == WOLFSSL_SUCCESS) {
        printf("alert history: rx level %d code %d, tx level %d code %d\n", h.last_rx.level, h.last_rx.code,
               h.last_tx.level, h.last_tx.code);
    }
}

int main(int argc, char **argv) {
    const char *v;
    printf("wolfSSL %s\n", LIBWOLFSSL_VERSION_STRING);
    wolfSSL_Init();
    v = arg(argc, argv, "version");
    WOLFSSL_METHOD *method =
        v && strcmp(v, "13") == 0 ? wolfTLSv1_3_client_method() : wolfTLSv1_2_client_method();
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(method);
    if (ctx == NULL) {
        printf("no context\n");
        return 0;
    }
    wolfSSL_CTX_set_verify(ctx, arg(argc, argv, "noverify") ? WOLFSSL_VERIFY_NONE : WOLFSSL_VERIFY_PEER,
                           NULL);
    if ((v = arg(argc, argv, "ca")) != NULL &&
        wolfSSL_CTX_load_verify_locations(ctx, v, NULL) != WOLFSSL_SUCCESS) {
        printf("load CA failed\n");
    }
    if ((v = arg(argc, argv, "cert")) != NULL) {
        if (wolfSSL_CTX_use_certificate_chain_file(ctx, v) != WOLFSSL_SUCCESS) {
            printf("use certificate failed\n");
        }
        if (wolfSSL_CTX_use_PrivateKey_file(ctx, arg(argc, argv, "key"), WOLFSSL_FILETYPE_PEM) !=
            WOLFSSL_SUCCESS) {
            printf("use key failed\n");
        }
        printf("check_private_key %d\n", wolfSSL_CTX_check_private_key(ctx));
    }
    if ((v = arg(argc, argv, "ciphers")) != NULL && wolfSSL_CTX_set_cipher_list(ctx, v) != WOLFSSL_SUCCESS) {
        printf("set_cipher_list failed\n");
    }
    WOLFSSL *ssl = wolfSSL_new(ctx);
    if (ssl == NULL) {
        printf("wolfSSL_new failed\n");
        return 0;
    }
    if ((v = arg(argc, argv, "group")) != NULL) {
        int groups[1] = {atoi(v)};
        wolfSSL_set_groups(ssl, groups, 1);
        wolfSSL_UseKeyShare(ssl, (unsigned short)groups[0]);
    }
    if ((v = arg(argc, argv, "sigalgs")) != NULL && wolfSSL_set1_sigalgs_list(ssl, v) != WOLFSSL_SUCCESS) {
        printf("set1_sigalgs_list failed\n");
    }
    if ((v = arg(argc, argv, "host")) != NULL) {
        wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, v, (unsigned short)strlen(v));
        if (!arg(argc, argv, "noname")) {
            wolfSSL_check_domain_name(ssl, v);
        }
    }
    v = arg(argc, argv, "port");
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)(v ? atoi(v) : 8883))};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        perror("connect");
        return 0;
    }
    wolfSSL_set_fd(ssl, fd);
    int rc = wolfSSL_connect(ssl);
    if (rc != WOLFSSL_SUCCESS) {
        said(ssl, "handshake", rc);
        history(ssl);
    } else {
        static const unsigned char hello[] = {0x10, 17, 0, 4, 'M', 'Q', 'T', 'T', 4,  2,
                                              0,    60, 0, 5, 'w', 'o', 'l', 'f', '1'};
        unsigned char reply[64];
        printf("handshake ok %s %s\n", wolfSSL_get_version(ssl), wolfSSL_get_cipher_name(ssl));
        if ((rc = wolfSSL_write(ssl, hello, sizeof hello)) <= 0) {
            said(ssl, "write", rc);
            history(ssl);
        } else if ((rc = wolfSSL_read(ssl, reply, sizeof reply)) <= 0) {
            said(ssl, "read", rc);
            history(ssl);
        } else {
            printf("CONNACK");
            for (int i = 0; i < rc; i++) {
                printf(" %02x", reply[i]);
            }
            printf("\n");
            static const unsigned char bye[] = {0xE0, 0};
            wolfSSL_write(ssl, bye, sizeof bye);
            wolfSSL_shutdown(ssl);
        }
    }
    fflush(stdout);
    close(fd);
    return 0;
}
