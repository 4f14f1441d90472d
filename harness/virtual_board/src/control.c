#include "control.h"
#include "fault.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 4

struct words {
    char text[HIL_LINE_MAX];
    char *word[WORDS_MAX + 1];
    size_t count;
};

static void answer(char *reply, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void answer(char *reply, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    /* With several files at once, clang-tidy 14 does not see va_start. */
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    int n = vsnprintf(reply, HIL_REPLY_MAX - 1, format, arguments);
    va_end(arguments);
    size_t end = n < 0 ? 0 : (size_t)n < HIL_REPLY_MAX - 2 ? (size_t)n : HIL_REPLY_MAX - 2;
    reply[end] = '\n';
    reply[end + 1] = '\0';
}

/* Splits at blanks; the fourth word of `read` is a path and goes to the end of the line. False: unprintable,
 * too long, or too many words. */
static bool split(struct words *words, const char *line, size_t n) {
    words->count = 0;
    if (n >= sizeof words->text) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F) {
            return false;
        }
    }
    memcpy(words->text, line, n);
    words->text[n] = '\0';
    char *at = words->text;
    for (;;) {
        at += strspn(at, " ");
        if (*at == '\0') {
            return true;
        }
        if (words->count == WORDS_MAX) {
            return false;
        }
        words->word[words->count++] = at;
        if (words->count == WORDS_MAX) {
            return true;
        }
        at += strcspn(at, " ");
        if (*at != '\0') {
            *at++ = '\0';
        }
    }
}

static bool number(const char *text, uint32_t *value) {
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    unsigned long long parsed = strtoull(text, &end, 0);
    if (errno != 0 || *end != '\0' || parsed > UINT32_MAX) {
        return false;
    }
    *value = (uint32_t)parsed;
    return true;
}

/* The bytes at an address range of flash or RAM, or NULL. */
static const uint8_t *memory(struct hil_board *board, const struct words *words, uint32_t *n) {
    uint32_t address = 0, offset = 0;
    if (words->count < 3 || !number(words->word[1], &address) || !number(words->word[2], n)) {
        return NULL;
    }
    const uint8_t *ram = hil_ram_at(board, address, *n);
    if (ram != NULL) {
        return ram;
    }
    if (hil_flash_offset(board, address, &offset) && *n <= board->part->flash_size - offset) {
        return board->flash + offset;
    }
    return NULL;
}

static void do_status(struct hil_control *control, char *reply) {
    const struct hil_board *board = control->board;
    char more[1024] = "", waiting[512] = "";
    for (size_t i = 0; i < HIL_PENDING_MAX; i++) {
        size_t at = strlen(waiting);
        if (board->pending[i].fault != NULL) {
            (void)snprintf(waiting + at, sizeof waiting - at, "%s%s", at > 0 ? "," : "",
                           board->pending[i].fault->name);
        }
    }
    if (control->describe != NULL) {
        control->describe(control->self, more, sizeof more);
    }
    answer(reply,
           "OK part=%s power=%s core=%s boots=%llu resets=%llu halts=%llu power_cycles=%llu programmed=%llu "
           "erased=%llu instructions=%llu clocks=%llu armed=%s%s",
           board->part->name, board->powered ? "on" : "off", hil_core_state(board),
           (unsigned long long)board->boots, (unsigned long long)board->resets,
           (unsigned long long)board->halts, (unsigned long long)board->power_cycles,
           (unsigned long long)board->programmed, (unsigned long long)board->erased,
           (unsigned long long)board->instructions, (unsigned long long)board->clocks,
           waiting[0] != '\0' ? waiting : "-", more);
}

static void do_power(struct hil_board *board, const char *how, char *reply) {
    if (strcmp(how, "on") == 0) {
        hil_board_power(board, true);
    } else if (strcmp(how, "off") == 0) {
        hil_board_power(board, false);
    } else if (strcmp(how, "cycle") == 0) {
        hil_board_power_cycle(board);
    } else {
        answer(reply, "ERR power takes on, off or cycle");
        return;
    }
    answer(reply, "OK power=%s", board->powered ? "on" : "off");
}

static void do_fault(struct hil_board *board, const struct words *words, char *reply) {
    const struct hil_fault *fault = hil_fault_named(words->word[1]);
    if (fault == NULL) {
        answer(reply, "ERR there is no such fault; `faults` lists them");
        return;
    }
    uint32_t argument = fault->argument;
    if (words->count > 3 || (words->count == 3 && !number(words->word[2], &argument))) {
        answer(reply, "ERR a fault takes one number at most");
    } else if (!hil_fault_arm(board, fault, argument)) {
        answer(reply, "ERR %d faults wait already; `clear` forgets them", HIL_PENDING_MAX);
    } else {
        answer(reply, "OK %s %s", fault->name, fault->moment == HIL_AT_ONCE ? "in force" : "armed");
    }
}

static void do_heal(struct hil_board *board, const char *by, char *reply) {
    static const char *const events[] = {"never", "reset", "power"};
    for (unsigned i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (strcmp(by, events[i]) == 0) {
            board->heal = (enum hil_heal)i;
            answer(reply, "OK heal=%s", by);
            return;
        }
    }
    answer(reply, "ERR heal takes reset, power or never");
}

static void do_faults(char *reply) {
    size_t count = 0, at;
    while (hil_fault_at(count) != NULL) {
        count++;
    }
    answer(reply, "OK %zu", count);
    for (size_t i = 0; i < count; i++) {
        const struct hil_fault *fault = hil_fault_at(i);
        at = strlen(reply);
        (void)snprintf(reply + at, HIL_REPLY_MAX - at, "%s: %s\n", fault->name, fault->help);
    }
}

static void do_log(const struct hil_board *board, char *reply) {
    uint64_t first = board->logged > HIL_LOG_LINES ? board->logged - HIL_LOG_LINES : 0;
    answer(reply, "OK %llu", (unsigned long long)(board->logged - first));
    size_t at = strlen(reply);
    for (uint64_t i = first; i < board->logged; i++) {
        int n = snprintf(reply + at, HIL_REPLY_MAX - at, "%s\n", board->log[i % HIL_LOG_LINES]);
        at += n > 0 ? (size_t)n : 0;
    }
}

static void do_read(struct hil_control *control, const struct words *words, char *reply) {
    uint32_t n = 0;
    const uint8_t *bytes = memory(control->board, words, &n);
    if (words->count != 4 || bytes == NULL) {
        answer(reply, "ERR read takes ADDRESS LENGTH FILE, within flash or RAM");
        return;
    }
    int error = control->save != NULL ? control->save(control->self, words->word[3], bytes, n) : ENOTSUP;
    if (error != 0) {
        answer(reply, "ERR the file: %s", strerror(error));
    } else {
        answer(reply, "OK %u", n);
    }
}

static void do_sha256(struct hil_board *board, const struct words *words, char *reply) {
    uint32_t n = 0;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    const uint8_t *bytes = memory(board, words, &n);
    if (words->count != 3 || bytes == NULL) {
        answer(reply, "ERR sha256 takes ADDRESS LENGTH, within flash or RAM");
        return;
    }
    if (EVP_Digest(bytes, n, digest, &size, EVP_sha256(), NULL) != 1) {
        answer(reply, "ERR no SHA-256 in this OpenSSL");
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        (void)snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
    }
    answer(reply, "OK %s", hex);
}

void hil_control_line(struct hil_control *control, const char *line, size_t n, char *reply) {
    struct hil_board *board = control->board;
    struct words words;
    if (!split(&words, line, n) || words.count == 0) {
        answer(reply, "ERR not a line of up to %d printable words", WORDS_MAX);
        return;
    }
    const char *verb = words.word[0];
    if (strcmp(verb, "status") == 0 && words.count == 1) {
        do_status(control, reply);
    } else if (strcmp(verb, "power") == 0 && words.count == 2) {
        do_power(board, words.word[1], reply);
    } else if (strcmp(verb, "reset") == 0 && words.count == 1) {
        hil_board_reset(board);
        answer(reply, "OK");
    } else if (strcmp(verb, "fault") == 0 && words.count >= 2) {
        do_fault(board, &words, reply);
    } else if (strcmp(verb, "heal") == 0 && words.count == 2) {
        do_heal(board, words.word[1], reply);
    } else if (strcmp(verb, "faults") == 0 && words.count == 1) {
        do_faults(reply);
    } else if (strcmp(verb, "clear") == 0 && words.count == 1) {
        hil_fault_clear(board);
        answer(reply, "OK");
    } else if (strcmp(verb, "read") == 0) {
        do_read(control, &words, reply);
    } else if (strcmp(verb, "sha256") == 0) {
        do_sha256(board, &words, reply);
    } else if (strcmp(verb, "log") == 0 && words.count == 1) {
        do_log(board, reply);
    } else {
        answer(reply, "ERR status, power on|off|cycle, reset, fault NAME [NUMBER], heal reset|power|never, "
                      "faults, clear, "
                      "read ADDRESS LENGTH FILE, sha256 ADDRESS LENGTH or log");
    }
}
