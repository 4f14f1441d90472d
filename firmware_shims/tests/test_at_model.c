/* The model of the module: its command lines, and its dialogue as story 004 shows it, over a socket pair. */
#include "check.h"
#include "command.h"
#include "module.h"
#include "story_ca.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>

static void lines(void) {
    static const struct {
        const char *line;
        enum at_kind kind;
        uint32_t number, length;
    } ROWS[] = {
        {"AT", AT_EMPTY, 0, 0},
        {"at+s.time=1504170338", AT_TIME_SET, 1504170338, 0},
        {"AT+S.TIME", AT_TIME_GET, 0, 0},
        {"AT+S.TIME=", AT_BAD, 0, 0},
        {"AT+S.TIME=12345678901", AT_BAD, 0, 0},
        {"AT+S.TIME=4294967296", AT_BAD, 0, 0},
        {"AT+S.TLSCERT=content,1", AT_CERT_LIST, 0, 0},
        {"AT+S.TLSCERT=content,2", AT_CERT_CLEAN, 0, 0},
        {"AT+S.TLSCERT=content,3", AT_BAD, 0, 0},
        {"AT+S.TLSCERT=Ca,1425", AT_CERT_CA, 0, 1425},
        {"AT+S.TLSCERT=ca,1425", AT_CERT_CA, 0, 1425},
        {"AT+S.TLSCERT=Cert,8192", AT_CERT_CERT, 0, 8192},
        {"AT+S.TLSCERT=Cert,8193", AT_BAD, 0, 0},
        {"AT+S.TLSCERT=Key,0", AT_BAD, 0, 0},
        {"AT+S.TLSCERT=Auth,20", AT_CERT_AUTH, 0, 20},
        {"AT+S.TLSCERT=domain,4", AT_CERT_DOMAIN, 0, 4},
        {"AT+S.TLSCERT=other,4", AT_BAD, 0, 0},
        {"AT+S.SOCKW=0,12", AT_SOCK_WRITE, 0, 12},
        {"AT+S.SOCKR=1,12", AT_SOCK_READ, 1, 12},
        {"AT+S.SOCKQ=0", AT_SOCK_QUERY, 0, 0},
        {"AT+S.SOCKC=0", AT_SOCK_CLOSE, 0, 0},
        {"AT+S.SOCKC=", AT_BAD, 0, 0},
        {"AT+S.NOTHING", AT_UNKNOWN, 0, 0},
        {"", AT_UNKNOWN, 0, 0},
        {"A", AT_UNKNOWN, 0, 0},
    };
    struct at_command c;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        at_command_parse(ROWS[i].line, strlen(ROWS[i].line), &c);
        if (c.kind != ROWS[i].kind)
            fprintf(stderr, "%s\n", ROWS[i].line);
        CHECK_EQ(c.kind, ROWS[i].kind);
        CHECK_EQ(c.number, ROWS[i].number);
        CHECK_EQ(c.length, ROWS[i].length);
    }
    at_command_parse("AT+S.SOCKON=172.26.7.83,4443,NULL,s", 35, &c);
    CHECK(c.kind == AT_SOCK_ON && strcmp(c.host, "172.26.7.83") == 0 && c.port == 4443 && c.name[0] == '\0' &&
          c.socket == 's');
    at_command_parse("AT+S.SOCKON=h,1,,t", 18, &c);
    CHECK(c.kind == AT_SOCK_ON && c.name[0] == '\0' && c.socket == 't');
    /* As the second person of the story typed it: the name in the kind's place. */
    at_command_parse("AT+S.SOCKON=192.168.1.38,4433,,Example Certificate Authority", 60, &c);
    CHECK_EQ(c.kind, AT_BAD);
    at_command_parse("AT+S.SOCKON=h,65536,,t", 22, &c);
    CHECK_EQ(c.kind, AT_BAD);
}

/* --- the dialogue --- */

static int host;

static void *module_thread(void *argument) {
    at_module_run(*(int *)argument);
    return NULL;
}

static char heard[8192];

/* Sends, and reads up to the end of the command. */
static const char *ask(const void *data, size_t len) {
    size_t at = 0;
    CHECK(write(host, data, len) == (ssize_t)len);
    for (;;) {
        struct pollfd fd = {.fd = host, .events = POLLIN};
        CHECK(poll(&fd, 1, 15000) == 1);
        ssize_t n = read(host, heard + at, sizeof heard - 1 - at);
        CHECK(n > 0);
        at += (size_t)n;
        heard[at] = '\0';
        const char *error = strstr(heard, "AT-S.ERROR:");
        if ((at >= 9 && memcmp(heard + at - 9, "AT-S.OK\r\n", 9) == 0) ||
            (error != NULL && strstr(error, "\r\n") != NULL))
            return heard;
    }
}

static const char *tell(const char *line) {
    return ask(line, strlen(line));
}

static const char *upload(const char *slot, const void *data, size_t len) {
    static char buffer[8300];
    int n = snprintf(buffer, sizeof buffer, "AT+S.TLSCERT=%s,%zu\r", slot, len);
    memcpy(buffer + n, data, len);
    return ask(buffer, (size_t)n + len);
}

/* A port of the loopback where nothing listens. */
static unsigned closed_port(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    close(fd);
    return ntohs(at.sin_port);
}

static void story(void) {
    int ends[2];
    pthread_t thread;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    host = ends[0];
    CHECK(pthread_create(&thread, NULL, module_thread, &ends[1]) == 0);

    CHECK(strstr(tell("AT+S.TLSCERT=content,2\r"), "AT+S.TLSCERT=content,2\r\nAT-S.Clean\r\nAT-S.OK") !=
          NULL);
    CHECK(strstr(tell("AT+S.TIME\r"), "AT-S.Date:70.01.01:00\r\n") != NULL); /* never set */
    CHECK(strstr(tell("AT+S.TIME=1504170338\r"), "AT-S.OK") != NULL);
    CHECK(strstr(tell("AT+S.TIME\r"), "AT-S.Date:17.08.31:00\r\nAT-S.Time:09.05.3") != NULL);

    /* PEM: it does not look for the identifier; 40 characters are taken as they are. */
    CHECK(strstr(upload("Ca", STORY_CA, sizeof STORY_CA - 1), "AT-S.No SubjectKeyId\r\nAT-S.OK") != NULL);
    CHECK(strstr(tell("AT+S.TLSCERT=content,1\r"),
                 "AT-S.CA:1\r\nAT-S.Cert:0\r\nAT-S.Key:0\r\nAT-S.Id:0\r\n") != NULL);
    CHECK(strstr(upload("Auth", "3EF1747FD79122144BCADF4F95DF960A32823B4C", 40), "AT-S.OK") != NULL);
    CHECK(strstr(tell("AT+S.TLSCERT=content,1\r"), "AT-S.Id:1\r\n") != NULL);

    /* DER: it does. */
    BIO *bio = BIO_new_mem_buf(STORY_CA, -1);
    X509 *ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    uint8_t *der = NULL;
    int len = i2d_X509(ca, &der);
    CHECK(len > 0);
    CHECK(strstr(tell("AT+S.TLSCERT=content,2\r"), "AT-S.Clean") != NULL);
    CHECK(strstr(upload("Ca", der, (size_t)len), "No SubjectKeyId") == NULL);
    CHECK(strstr(tell("AT+S.TLSCERT=content,1\r"),
                 "AT-S.CA:1\r\nAT-S.Cert:0\r\nAT-S.Key:0\r\nAT-S.Id:1\r\n") != NULL);
    /* Neither. */
    CHECK(strstr(upload("Ca", der, (size_t)len - 1), "AT-S.ERROR:111:") != NULL);
    CHECK(strstr(upload("Ca", "garbage", 7), "AT-S.ERROR:111:") != NULL);
    CHECK(strstr(upload("Key", "garbage", 7), "AT-S.ERROR:111:") != NULL);
    CHECK(strstr(upload("Cert", STORY_CA, 700), "AT-S.ERROR:111:") != NULL);
    X509_free(ca);
    OPENSSL_free(der);
    BIO_free(bio);

    /* Nothing listens: 74, and no word before it. */
    char line[64];
    snprintf(line, sizeof line, "AT+S.SOCKON=127.0.0.1,%u,NULL,s\r", closed_port());
    const char *answer = tell(line);
    CHECK(strstr(answer, "AT-S.ERROR:74:Failed to open socket") != NULL);
    CHECK(strstr(answer, "Loading") == NULL && strstr(answer, "Certificate") == NULL);

    CHECK(strstr(tell("AT+S.SOCKQ=0\r"), "AT-S.ERROR:") != NULL); /* no socket */
    CHECK(strstr(tell("AT+S.WHAT\r"), "AT-S.ERROR:1:") != NULL);
    char longest[600];
    memset(longest, 'A', sizeof longest);
    longest[sizeof longest - 1] = '\r';
    CHECK(strstr(ask(longest, sizeof longest), "AT-S.ERROR:1:") != NULL);
    /* Bytes that never come: it gives up by itself. */
    CHECK(strstr(tell("AT+S.TLSCERT=Auth,20\rtoo few"), "AT-S.ERROR:2:Missing data") != NULL);
    CHECK(strstr(tell("AT\r"), "AT-S.OK") != NULL);

    close(host);
    CHECK(pthread_join(thread, NULL) == 0); /* it ends when its host hangs up */
    close(ends[1]);
}

int main(void) {
    lines();
    story();
    return 0;
}
