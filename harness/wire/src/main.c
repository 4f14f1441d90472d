#include "decoder.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define USAGE                                                                                                \
    "usage: hil-wire [--keylog FILE] [--port N[,N]...] [--events kind,kind...] [--summary] [--der] FILE|-\n" \
    "Prints what a capture (pcap or pcapng, plain or gzip) holds, one JSON object a line.\n"

static ssize_t read_fd(void *ctx, uint8_t *buf, size_t n) {
    const int *fd = ctx;
    ssize_t got;
    do {
        got = read(*fd, buf, n);
    } while (got < 0 && errno == EINTR);
    return got;
}

static int usage(const char *what, const char *value) {
    if (what != NULL) {
        fprintf(stderr, "hil-wire: %s%s\n", what, value);
    }
    fputs(USAGE, stderr);
    return 2;
}

static bool add_ports(struct hil_options *o, const char *list) {
    while (*list != 0) {
        char *end;
        unsigned long v = strtoul(list, &end, 10);
        if (end == list || v == 0 || v > 65535 || o->port_n == HIL_PORTS_MAX || (*end != 0 && *end != ',')) {
            return false;
        }
        o->ports[o->port_n++] = (uint16_t)v;
        list = *end == ',' ? end + 1 : end;
    }
    return true;
}

static bool add_events(struct hil_options *o, const char *list) {
    while (*list != 0) {
        size_t n = strcspn(list, ",");
        bool known = false;
        for (int i = 0; i < HIL_EV_COUNT; i++) {
            if (strlen(hil_ev_name[i]) == n && strncmp(hil_ev_name[i], list, n) == 0) {
                o->events |= (uint64_t)1 << i;
                known = true;
            }
        }
        if (!known) {
            return false;
        }
        list += n + (list[n] == ',');
    }
    return true;
}

static bool load_keylog(struct hil_keylog *k, const char *path) {
    static uint8_t buf[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    if (fd >= 0) {
        while ((n = read_fd(&fd, buf, sizeof buf)) > 0) {
            hil_keylog_feed(k, buf, (size_t)n);
        }
        hil_keylog_end(k);
        int saved = errno;
        close(fd);
        errno = saved;
    }
    if (n < 0) {
        fprintf(stderr, "hil-wire: %s: %s: give a readable key log file\n", path, strerror(errno));
    }
    return n >= 0;
}

int main(int argc, char **argv) {
    struct hil_options opt = {.events = 0};
    const char *keylog = NULL;
    const char *path = NULL;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        bool more = i + 1 < argc;
        if (strcmp(a, "--keylog") == 0 && more) {
            keylog = argv[++i];
        } else if (strcmp(a, "--port") == 0 && more) {
            if (!add_ports(&opt, argv[++i])) {
                return usage("not a list of ports: ", argv[i]);
            }
        } else if (strcmp(a, "--events") == 0 && more) {
            if (!add_events(&opt, argv[++i])) {
                return usage("unknown event kind in: ", argv[i]);
            }
        } else if (strcmp(a, "--summary") == 0) {
            opt.summary = true;
        } else if (strcmp(a, "--der") == 0) {
            opt.der = true;
        } else if (strcmp(a, "--help") == 0) {
            fputs(USAGE, stdout);
            return 0;
        } else if (a[0] == '-' && a[1] != 0) {
            return usage("unknown or incomplete option ", a);
        } else if (path == NULL) {
            path = a;
        } else {
            return usage("more than one file: ", a);
        }
    }
    if (path == NULL) {
        return usage(NULL, NULL);
    }
    if (opt.events == 0) {
        opt.events = opt.summary ? (uint64_t)1 << HIL_EV_capture | (uint64_t)1 << HIL_EV_close |
                                       (uint64_t)1 << HIL_EV_arp | (uint64_t)1 << HIL_EV_icmp |
                                       (uint64_t)1 << HIL_EV_dns | (uint64_t)1 << HIL_EV_end
                                 : UINT64_MAX;
    }
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))) {
        fprintf(stderr, "hil-wire: %s: %s: give a pcap or pcapng file\n", path,
                fd < 0 ? strerror(errno) : "is a directory");
        return 1;
    }
    /* Its configuration is for brokers; it must not change what is decoded. */
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    static struct hil_decoder d;
    if (!hil_decoder_init(&d, &opt, STDOUT_FILENO)) {
        fprintf(stderr, "hil-wire: out of memory\n");
        return 1;
    }
    const char *fault = NULL;
    int rc = 0;
    if (keylog != NULL && !load_keylog(&d.keys, keylog)) {
        rc = 1;
    } else if ((fault = hil_decoder_run(&d, read_fd, &fd)) != NULL) {
        fprintf(stderr, "hil-wire: %s: %s: give a pcap or pcapng file\n", path, fault);
        rc = 1;
    } else if (d.out.failed) {
        fprintf(stderr, "hil-wire: output cannot be written\n");
        rc = 1;
    }
    hil_decoder_free(&d);
    return rc;
}
