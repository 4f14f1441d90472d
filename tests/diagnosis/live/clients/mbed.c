/* A small TLS 1.2 client with mbedTLS 2.28 of the system, printing what such clients print:
 *     mbed ca=FILE cert=FILE key=FILE host=NAME suite=NAME curve=N mfl=N sig=N ca_der=1 ca_nonul=1
 * Exit status 0 whatever happens: what it prints is the evidence. */
#include <mbedtls/config.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/debug.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *arg(int argc, char **argv, const char *name) {
    const size_t n = strlen(name);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=') {
            return argv[i] + n + 1;
        }
    }
    return NULL;
}

static void said(const char *what, int code) {
    char text[200];
    mbedtls_strerror(code, text, sizeof text);
    printf("%s: -0x%04x %s\n", what, (unsigned)-code, text);
}

static void debug(void *ctx, int level, const char *file, int line, const char *text) {
    (void)ctx;
    const char *name = strrchr(file, '/');
    if (strstr(text, "alert") != NULL || strstr(text, "erif") != NULL || strstr(text, "returned -") != NULL) {
        fprintf(stderr, "[%d] %s:%d %s", level, name ? name + 1 : file, line, text);
    }
}

int main(int argc, char **argv) {
    mbedtls_net_context net;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context rng;
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config conf;
    mbedtls_x509_crt ca, own;
    mbedtls_pk_context key;
    int suites[2] = {0, 0};
    mbedtls_ecp_group_id curves[2] = {MBEDTLS_ECP_DP_NONE, MBEDTLS_ECP_DP_NONE};
    int hashes[2] = {0, 0};
    int rc;
    const char *v;

    printf("mbedTLS %s\n", MBEDTLS_VERSION_STRING);
    mbedtls_net_init(&net);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&rng);
    mbedtls_ssl_init(&ssl);
    mbedtls_ssl_config_init(&conf);
    mbedtls_x509_crt_init(&ca);
    mbedtls_x509_crt_init(&own);
    mbedtls_pk_init(&key);
    mbedtls_ctr_drbg_seed(&rng, mbedtls_entropy_func, &entropy, NULL, 0);
    mbedtls_ssl_config_defaults(&conf, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_rng(&conf, mbedtls_ctr_drbg_random, &rng);
    mbedtls_ssl_conf_authmode(&conf, arg(argc, argv, "noverify") ? MBEDTLS_SSL_VERIFY_NONE
                                                                 : MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_dbg(&conf, debug, NULL);
    mbedtls_debug_set_threshold(3);
    if ((v = arg(argc, argv, "ca")) != NULL) {
        if (arg(argc, argv, "ca_nonul")) { /* PEM whose length leaves the terminator out */
            FILE *f = fopen(v, "rb");
            unsigned char pem[8192];
            const size_t n = f ? fread(pem, 1, sizeof pem, f) : 0;
            if (f) {
                fclose(f);
            }
            rc = mbedtls_x509_crt_parse(&ca, pem, n);
        } else {
            rc = mbedtls_x509_crt_parse_file(&ca, v);
        }
        if (rc != 0) {
            said("ca parse", rc);
        }
    }
    mbedtls_ssl_conf_ca_chain(&conf, &ca, NULL);
    if ((v = arg(argc, argv, "cert")) != NULL) {
        if ((rc = mbedtls_x509_crt_parse_file(&own, v)) != 0) {
            said("cert parse", rc);
        }
        if ((rc = mbedtls_pk_parse_keyfile(&key, arg(argc, argv, "key"), NULL)) != 0) {
            said("key parse", rc);
        }
        if ((rc = mbedtls_ssl_conf_own_cert(&conf, &own, &key)) != 0) {
            said("own cert", rc);
        }
    }
    if ((v = arg(argc, argv, "suite")) != NULL) {
        suites[0] = mbedtls_ssl_get_ciphersuite_id(v);
        mbedtls_ssl_conf_ciphersuites(&conf, suites);
    }
    if ((v = arg(argc, argv, "curve")) != NULL) {
        curves[0] = (mbedtls_ecp_group_id)atoi(v);
        mbedtls_ssl_conf_curves(&conf, curves);
    }
    if ((v = arg(argc, argv, "sig")) != NULL) {
        hashes[0] = atoi(v);
        mbedtls_ssl_conf_sig_hashes(&conf, hashes);
    }
    if ((v = arg(argc, argv, "mfl")) != NULL) {
        mbedtls_ssl_conf_max_frag_len(&conf, (unsigned char)atoi(v));
    }
    if ((v = arg(argc, argv, "max")) != NULL) { /* 1: TLS 1.0, 2: TLS 1.1 */
        mbedtls_ssl_conf_min_version(&conf, 3, 1);
        mbedtls_ssl_conf_max_version(&conf, 3, atoi(v));
    }
    if ((v = arg(argc, argv, "psk")) != NULL) {
        unsigned char secret[16];
        memset(secret, atoi(v), sizeof secret);
        mbedtls_ssl_conf_psk(&conf, secret, sizeof secret, (const unsigned char *)arg(argc, argv, "identity"),
                             strlen(arg(argc, argv, "identity")));
    }
    rc = mbedtls_ssl_setup(&ssl, &conf);
    if (rc == 0 && (v = arg(argc, argv, "host")) != NULL) {
        rc = mbedtls_ssl_set_hostname(&ssl, v);
    }
    v = arg(argc, argv, "port");
    if (rc != 0 ||
        (rc = mbedtls_net_connect(&net, "127.0.0.1", v ? v : "8883", MBEDTLS_NET_PROTO_TCP)) != 0) {
        said("connect", rc);
        return 0;
    }
    mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
    while ((rc = mbedtls_ssl_handshake(&ssl)) == MBEDTLS_ERR_SSL_WANT_READ ||
           rc == MBEDTLS_ERR_SSL_WANT_WRITE) {
    }
    if (rc != 0) {
        const uint32_t flags = mbedtls_ssl_get_verify_result(&ssl);
        said("handshake", rc);
        if (flags != 0 && flags != 0xFFFFFFFFu) {
            char text[400];
            mbedtls_x509_crt_verify_info(text, sizeof text, "  ", flags);
            printf("verify flags 0x%04x:%s", (unsigned)flags, text);
        }
    } else {
        static const unsigned char hello[] = {0x10, 17, 0, 4, 'M', 'Q', 'T', 'T', 4,  2,
                                              0,    60, 0, 5, 'm', 'b', 'e', 'd', '1'};
        unsigned char reply[64];
        printf("handshake ok %s %s\n", mbedtls_ssl_get_version(&ssl), mbedtls_ssl_get_ciphersuite(&ssl));
        rc = mbedtls_ssl_write(&ssl, hello, sizeof hello);
        if (rc < 0) {
            said("write", rc);
        } else if ((rc = mbedtls_ssl_read(&ssl, reply, sizeof reply)) <= 0) {
            said("read", rc);
        } else {
            printf("CONNACK");
            for (int i = 0; i < rc; i++) {
                printf(" %02x", reply[i]);
            }
            printf("\n");
            static const unsigned char bye[] = {0xE0, 0};
            mbedtls_ssl_write(&ssl, bye, sizeof bye);
        }
        if (rc > 0) {
            mbedtls_ssl_close_notify(&ssl);
        }
    }
    fflush(stdout);
    mbedtls_net_free(&net);
    return 0;
}
