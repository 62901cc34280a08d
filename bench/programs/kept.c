/* kept FIFO:INDEX: a daemon under a supervisor. It tells its index, its pid and when it ran first, and waits for its end.
   kept FIFO:INDEX:crash: it ends at once with exit status 1 instead.
   All of it is one argument, so that it may also stand behind #! in a script of a supervisor. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    char *index = argc > 1 ? strchr(argv[1], ':') : NULL;
    if (!index)
        return 3;
    *index++ = 0;
    char *crash = strchr(index, ':');
    if (crash)
        *crash = 0;
    int fifo = open(argv[1], O_WRONLY | O_CLOEXEC);
    if (fifo < 0)
        return 4;
    dprintf(fifo, "%s %d %lld\n", index, getpid(), t.tv_sec * 1000000000LL + t.tv_nsec);
    if (crash)
        return 1;
    close(fifo);
    for (;;)
        pause();
}
