/*
 * A TLS 1.3 and a TLS 1.2 handshake in memory, between two contexts of one process, with libhil-keylog linked
 * before OpenSSL as LD_PRELOAD would place it. The file must hold exactly the secrets of these handshakes, on
 * whole lines. argv[1]: the file HIL_KEYLOG names.
 */
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHECK(what)                                                                                          \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                                       \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static X509 *self_signed(EVP_PKEY *key) {
    X509 *cert = X509_new();
    CHECK(cert != NULL && X509_set_version(cert, 2) == 1);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(cert), -60) != NULL);
    CHECK(X509_gmtime_adj(X509_getm_notAfter(cert), 3600) != NULL);
    X509_NAME *name = X509_get_subject_name(cert);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"t", -1, -1, 0) == 1);
    CHECK(X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1);
    CHECK(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

/* Runs one handshake of `version` and writes the client random in hex to `random`. */
static void handshake(int version, char random[65]) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    CHECK(key != NULL);
    X509 *cert = self_signed(key);
    SSL_CTX *server_ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX *client_ctx = SSL_CTX_new_ex(NULL, NULL, TLS_client_method());
    CHECK(server_ctx != NULL && client_ctx != NULL);
    CHECK(SSL_CTX_set_min_proto_version(server_ctx, version) &&
          SSL_CTX_set_max_proto_version(server_ctx, version));
    CHECK(SSL_CTX_use_certificate(server_ctx, cert) == 1 && SSL_CTX_use_PrivateKey(server_ctx, key) == 1);
    SSL *server = SSL_new(server_ctx);
    SSL *client = SSL_new(client_ctx);
    BIO *left = NULL;
    BIO *right = NULL;
    CHECK(server != NULL && client != NULL && BIO_new_bio_pair(&left, 0, &right, 0) == 1);
    SSL_set_bio(server, left, left);
    SSL_set_bio(client, right, right);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    int ok_server = 0;
    int ok_client = 0;
    for (int i = 0; i < 20 && !(ok_server && ok_client); i++) {
        ok_client = SSL_do_handshake(client) == 1;
        ok_server = SSL_do_handshake(server) == 1;
    }
    CHECK(ok_server && ok_client);
    unsigned char raw[32];
    CHECK(SSL_get_client_random(client, raw, sizeof raw) == sizeof raw);
    for (size_t i = 0; i < sizeof raw; i++) {
        (void)snprintf(random + 2 * i, 3, "%02x", raw[i]);
    }
    SSL_free(server);
    SSL_free(client);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* How many lines of the file start with `label` followed by `random` and a secret in hex. */
static int count(const char *path, const char *label, const char *random) {
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    char line[1024];
    char start[256];
    int found = 0;
    (void)snprintf(start, sizeof start, "%s %s ", label, random);
    while (fgets(line, sizeof line, file) != NULL) {
        size_t length = strlen(line);
        CHECK(length > 1 && line[length - 1] == '\n');
        if (strncmp(line, start, strlen(start)) == 0) {
            size_t secret = strspn(line + strlen(start), "0123456789abcdefABCDEF");
            CHECK(secret >= 64 && strlen(start) + secret + 1 == length);
            found++;
        }
    }
    (void)fclose(file);
    return found;
}

int main(int argc, char **argv) {
    const char *named = getenv("HIL_KEYLOG");
    CHECK(argc == 2 && named != NULL && strcmp(argv[1], named) == 0);
    struct stat facts;
    CHECK(stat(argv[1], &facts) == 0); /* opened by the constructor, before main */
    CHECK((facts.st_mode & 0777) == 0600);
    char random[65];
    /* Both contexts log: server and client write each secret once. */
    handshake(TLS1_3_VERSION, random);
    CHECK(count(argv[1], "CLIENT_HANDSHAKE_TRAFFIC_SECRET", random) == 2);
    CHECK(count(argv[1], "SERVER_TRAFFIC_SECRET_0", random) == 2);
    handshake(TLS1_2_VERSION, random);
    CHECK(count(argv[1], "CLIENT_RANDOM", random) == 2);
    CHECK(count(argv[1], "CLIENT_HANDSHAKE_TRAFFIC_SECRET", random) == 0);
    puts("ok");
    return 0;
}
