/* What newlib-nano needs: a heap between .bss and the end of RAM with its marks, and standard output on the
 * UART. */
#include <errno.h>
#include <malloc.h>
#include <reent.h>
#include <string.h>
#include <sys/stat.h>

#include "cortexm.h"

static size_t in_use;
static size_t peak;

void *_sbrk(ptrdiff_t increment);
int _write(int file, const char *data, int len);
int _read(int file, char *data, int len);
int _close(int file);
int _fstat(int file, struct stat *status);
int _isatty(int file);
off_t _lseek(int file, off_t offset, int whence);
int _kill(int pid, int signal);
int _getpid(void);
_Noreturn void _exit(int status);

void *_sbrk(ptrdiff_t increment) {
    static uintptr_t end;
    if (end == 0) {
        end = (uintptr_t)hil_heap_start;
    }
    uintptr_t old = end;
    uintptr_t next = end + (uintptr_t)increment;
    if (next < (uintptr_t)hil_heap_start || next > (uintptr_t)hil_heap_limit) {
        errno = ENOMEM;
        return (void *)-1;
    }
    end = next;
    return (void *)old;
}

/* The linker routes every allocation of the program and of libc through these (--wrap), so that the marks
 * count bytes in use and not what the allocator once took from the system. */
void *__real__malloc_r(struct _reent *reent, size_t size);
void __real__free_r(struct _reent *reent, void *block);
void *__wrap__malloc_r(struct _reent *reent, size_t size);
void __wrap__free_r(struct _reent *reent, void *block);
size_t _malloc_usable_size_r(struct _reent *reent, void *block);

void *__wrap__malloc_r(struct _reent *reent, size_t size) {
    void *block = __real__malloc_r(reent, size);
    if (block != NULL) {
        in_use += _malloc_usable_size_r(reent, block);
        if (in_use > peak) {
            peak = in_use;
        }
    }
    return block;
}

void __wrap__free_r(struct _reent *reent, void *block) {
    if (block != NULL) {
        in_use -= _malloc_usable_size_r(reent, block);
    }
    __real__free_r(reent, block);
}

void hil_heap_marks(size_t *heap_peak, size_t *heap_now) {
    *heap_peak = peak;
    *heap_now = in_use;
}

int _write(int file, const char *data, int len) {
    (void)file;
    if (len > 0) {
        hil_board_uart_write(data, (size_t)len);
    }
    return len;
}

int _read(int file, char *data, int len) {
    (void)file;
    (void)data;
    (void)len;
    return 0;
}

int _close(int file) {
    (void)file;
    return -1;
}

int _fstat(int file, struct stat *status) {
    (void)file;
    memset(status, 0, sizeof *status);
    status->st_mode = S_IFCHR;
    return 0;
}

int _isatty(int file) {
    (void)file;
    return 1;
}

off_t _lseek(int file, off_t offset, int whence) {
    (void)file;
    (void)offset;
    (void)whence;
    return 0;
}

int _kill(int pid, int signal) {
    (void)pid;
    (void)signal;
    errno = EINVAL;
    return -1;
}

int _getpid(void) {
    return 1;
}

_Noreturn void _exit(int status) {
    (void)status;
    hil_board_reset();
}
