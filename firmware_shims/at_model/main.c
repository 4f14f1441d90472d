/* The model as a program: at-module prints the path of a terminal, and is the module behind it until it is
 * closed for good (end of standard input). For a person with a terminal program, and for tests. */
#include "module.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct termios mode;
    if (argc == 3 && strcmp(argv[1], "--fd") == 0) {
        at_module_run(atoi(argv[2]));
        return 0;
    }
    if (argc != 1) {
        fputs("usage: at-module [--fd N]\n", stderr);
        return 2;
    }
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        perror("at-module: pty");
        return 1;
    }
    const char *path = ptsname(master);
    int slave = path != NULL ? open(path, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    if (slave < 0 || tcgetattr(slave, &mode) != 0) { /* our own end keeps it alive when a program goes */
        perror("at-module: pty");
        return 1;
    }
    cfmakeraw(&mode);
    tcsetattr(slave, TCSANOW, &mode);
    signal(SIGPIPE, SIG_IGN);
    printf("%s\n", path);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        at_module_run(master);
        _exit(0);
    }
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    return child > 0 ? 0 : 1;
}
