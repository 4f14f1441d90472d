/* A Linux process as a board.
 *
 *   firmware                 UART on stdin and stdout, for a person
 *   firmware --uart-fd N     UART on the inherited descriptor N (a pty)
 *            --uplink-fd M   the second UART, where the network is one (boards/native_ppp)
 *
 * Ends with 0 when the UART hangs up, 139 after a hard fault, SIGABRT for a lockup; a reset, by command or
 * watchdog, executes the program again on the same UART.
 */
#include "hil/board.h"

#include "hil/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <termios.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "heap.h"
#ifdef HIL_NET_SERIAL
#include "uplink.h"
#endif

#define WATCHDOG_SIGNAL SIGRTMIN
#define STACK_PAINT     ((size_t)256 * 1024)
#define PAINT           0xA5u
#define ARGS_MAX        4096

static int uart_in = STDIN_FILENO, uart_out = STDOUT_FILENO;
static struct timespec boot_time;
static volatile uint32_t last_kick;
static enum hil_reset reset_cause = HIL_RESET_POWER;
static volatile unsigned char *paint_low;
static char args[ARGS_MAX];
static char *argv_again[16];

static _Noreturn void restart(const char *cause) {
    setenv("HIL_RESET_CAUSE", cause, 1);
    execv("/proc/self/exe", argv_again);
    _exit(127);
}

uint32_t hil_board_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ms =
        (int64_t)(now.tv_sec - boot_time.tv_sec) * 1000 + (now.tv_nsec - boot_time.tv_nsec) / 1000000;
    return (uint32_t)ms;
}

/* Returns the program counter and link address of the interrupted code, as far as the machine has them. */
static unsigned long program_counter(const void *context) {
    const ucontext_t *uc = context;
#if defined(__x86_64__)
    return (unsigned long)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (unsigned long)uc->uc_mcontext.pc;
#else
    (void)uc;
    return 0;
#endif
}

static void on_fault(int number, siginfo_t *info, void *context) {
    (void)number;
    hil_event("fault", "kind=hardfault pc=%08lx lr=0 cfsr=0 hfsr=0 bfar=%08lx", program_counter(context),
              (unsigned long)(uintptr_t)info->si_addr);
    _exit(139);
}

static void on_watchdog(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)info;
    if (hil_board_ms() - last_kick < HIL_WATCHDOG_MS)
        return;
    hil_event("fault", "kind=watchdog pc=%08lx lr=0 cfsr=0 hfsr=0 bfar=0", program_counter(context));
    restart("watchdog");
}

static void catch_signal(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static int start_watchdog(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = WATCHDOG_SIGNAL};
    struct itimerspec period = {.it_interval = {.tv_nsec = 500000000}, .it_value = {.tv_nsec = 500000000}};
    timer_t timer;
    sigset_t set;
    catch_signal(WATCHDOG_SIGNAL, on_watchdog, SA_RESTART);
    sigemptyset(&set);
    sigaddset(&set, WATCHDOG_SIGNAL); /* blocked still when its own handler executed us */
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    hil_board_watchdog_kick();
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        return -1;
    return timer_settime(timer, 0, &period, NULL);
}

static bool take_argument(const char *name, int fd) {
    if (strcmp(name, "--uart-fd") == 0) {
        uart_in = uart_out = fd;
        return true;
    }
#ifdef HIL_NET_SERIAL
    if (strcmp(name, "--uplink-fd") == 0)
        return hil_uplink_open(fd);
#endif
    return false;
}

/* Arguments and cause of the last reset; main() has none, so that it is the same for all boards. */
static int read_arguments(void) {
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, args, sizeof args - 1) : -1;
    size_t count = 0;
    if (fd >= 0)
        close(fd);
    if (len <= 0)
        return -1;
    for (ssize_t at = 0; at < len && count < sizeof argv_again / sizeof *argv_again - 1; count++) {
        argv_again[count] = args + at;
        at += (ssize_t)strlen(args + at) + 1;
    }
    for (size_t i = 1; i < count; i += 2) {
        char *end = NULL;
        long value = i + 1 < count ? strtol(argv_again[i + 1], &end, 10) : -1;
        if (end == NULL || *end != '\0' || value < 0 || value > 65535 ||
            !take_argument(argv_again[i], (int)value))
            return -1;
    }
    const char *cause = getenv("HIL_RESET_CAUSE");
    if (cause != NULL)
        reset_cause = strcmp(cause, "watchdog") == 0 ? HIL_RESET_WATCHDOG : HIL_RESET_SOFTWARE;
    unsetenv("HIL_RESET_CAUSE");
    return 0;
}

/* Fills the stack below us, so that hil_board_marks can see how deep it was used. */
__attribute__((noinline)) static void paint_stack(void) {
#if !defined(__SANITIZE_ADDRESS__)
    volatile unsigned char area[STACK_PAINT];
    uintptr_t low = (uintptr_t)area;
    for (size_t i = 0; i < sizeof area; i++)
        area[i] = PAINT;
    memcpy(&paint_low, &low, sizeof low); /* looked at only, and on purpose, after we have returned */
#endif
}

int hil_board_init(void) {
    static unsigned char handler_stack[32768];
    stack_t alternate = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    clock_gettime(CLOCK_MONOTONIC, &boot_time);
    if (read_arguments() != 0 || fcntl(uart_in, F_GETFL) < 0) {
        static const char USAGE[] = "usage: firmware [--uart-fd N]\n";
        ssize_t ignored = write(STDERR_FILENO, USAGE, sizeof USAGE - 1);
        (void)ignored;
        _exit(2);
    }
    struct termios mode;
    if (uart_in == uart_out && tcgetattr(uart_in, &mode) == 0) {
        cfmakeraw(&mode);
        tcsetattr(uart_in, TCSANOW, &mode);
    }
    signal(SIGPIPE, SIG_IGN);
    sigaltstack(&alternate, NULL);
    const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        catch_signal(faults[i], on_fault, SA_ONSTACK | (int)SA_RESETHAND);
    paint_stack();
    return start_watchdog();
}

const char *hil_board_name(void) {
    return "native";
}

enum hil_reset hil_board_reset_cause(void) {
    return reset_cause;
}

void hil_board_uart_write(const void *data, size_t len) {
    const char *at = data;
    while (len > 0) {
        ssize_t n = write(uart_out, at, len);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd fd = {.fd = uart_out, .events = POLLOUT};
            poll(&fd, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            _exit(0); /* nobody is listening any more */
        }
    }
}

int hil_board_uart_read(void *data, size_t cap, uint32_t timeout_ms) {
    struct pollfd fd = {.fd = uart_in, .events = POLLIN};
    int rc = poll(&fd, 1, (int)timeout_ms);
    if (rc <= 0)
        return rc == 0 || errno == EINTR ? 0 : -1;
    ssize_t n = read(uart_in, data, cap);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    return n > 0 ? (int)n : -1;
}

void hil_board_idle(uint32_t timeout_ms) {
#ifdef HIL_NET_SERIAL
    if (!hil_uplink_idle(uart_in, timeout_ms))
        _exit(0);
#else
    struct pollfd fd = {.fd = uart_in, .events = 0};
    if (poll(&fd, 1, (int)timeout_ms) > 0 && (fd.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
        _exit(0);
#endif
}

void hil_board_watchdog_kick(void) {
    last_kick = hil_board_ms();
}

int hil_board_entropy(void *data, size_t len) {
    return getrandom(data, len, 0) == (ssize_t)len ? 0 : -1;
}

void hil_board_marks(size_t *heap_peak, size_t *heap_now, size_t *stack) {
    hil_heap_marks(heap_peak, heap_now);
    *stack = 0;
    if (paint_low == NULL)
        return;
    size_t i = 0;
    while (i < STACK_PAINT && paint_low[i] == PAINT)
        i++;
    *stack = STACK_PAINT - i;
}

_Noreturn void hil_board_reset(void) {
    restart("software");
}

_Noreturn void hil_board_hardfault(void) {
    volatile int *volatile nowhere = (volatile int *)(uintptr_t)4;
    *nowhere = 0;
    _exit(139);
}

_Noreturn void hil_board_lockup(void) {
    abort();
}
