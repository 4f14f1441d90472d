/* The device's end: a serial device, a pty or a Unix stream socket. */
#include "uplink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

static speed_t speed_of(unsigned baud) {
    static const struct {
        unsigned baud;
        speed_t speed;
    } SPEEDS[] = {{9600, B9600},     {19200, B19200},   {38400, B38400},
                  {57600, B57600},   {115200, B115200}, {230400, B230400},
                  {460800, B460800}, {921600, B921600}, {1000000, B1000000}};
    for (size_t i = 0; i < sizeof SPEEDS / sizeof *SPEEDS; i++) {
        if (SPEEDS[i].baud == baud) {
            return SPEEDS[i].speed;
        }
    }
    return B0;
}

bool hil_serial_rate(unsigned baud) {
    return speed_of(baud) != B0;
}

static int connect_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* NULL, or why it cannot be set. */
static const char *set_mode(int fd, unsigned baud) {
    struct termios mode;
    if (tcgetattr(fd, &mode) != 0) {
        return "neither a serial device nor a socket";
    }
    cfmakeraw(&mode);
    mode.c_cflag |= CLOCAL | CREAD;
    if (cfsetspeed(&mode, speed_of(baud)) != 0 || tcsetattr(fd, TCSANOW, &mode) != 0) {
        return strerror(errno);
    }
    /* What came before us belongs to nobody. */
    return tcflush(fd, TCIFLUSH) == 0 ? NULL : strerror(errno);
}

int hil_serial_open(const char *path, unsigned baud, const char **why) {
    struct stat status;
    if (stat(path, &status) != 0) {
        *why = strerror(errno);
        return -1;
    }
    bool is_socket = S_ISSOCK(status.st_mode);
    int fd = is_socket ? connect_socket(path) : open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        *why = strerror(errno);
        return -1;
    }
    const char *wrong = is_socket ? NULL : set_mode(fd, baud);
    int flags = fcntl(fd, F_GETFL);
    if (wrong == NULL && (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)) {
        wrong = strerror(errno);
    }
    if (wrong != NULL) {
        *why = wrong;
        close(fd);
        return -1;
    }
    return fd;
}
