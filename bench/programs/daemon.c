/* daemon FIFO: the daemon that is started by a launcher. It says when it ran first, and waits for its end.
   daemon FIFO fails: it dies at once instead. */

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (argc != 2)
        return 3;
    int fifo = open(argv[1], O_WRONLY);
    dprintf(fifo, "%d %lld\n", getpid(), t.tv_sec * 1000000000LL + t.tv_nsec);
    /* Whatever becomes of the bench, it is gone in a minute. */
    alarm(60);
    pause();
    return 0;
}
