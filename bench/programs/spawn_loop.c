/* spawn_loop FIFO COUNT PROGRAM: the least that can be done: start PROGRAM FIFO:0, FIFO:1, ... each in a session of its
   own, and wait until all have ended. */

#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    for (int index = 0, count = atoi(argv[2]); index < count; index++) {
        char argument[4096];
        snprintf(argument, sizeof argument, "%s:%d", argv[1], index);
        char *child[] = {argv[3], argument, NULL};
        pid_t pid;
        errno = posix_spawn(&pid, argv[3], NULL, &attributes, child, environ);
        if (errno) {
            perror(argv[3]);
            return 1;
        }
    }
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    return 0;
}
