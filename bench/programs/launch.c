/* launch LIMIT PROGRAM [ARG...]: start PROGRAM with RLIMIT_NOFILE at LIMIT, and wait until it has ended.
   Prints when it was started, when it was gone (nanoseconds, CLOCK_MONOTONIC), and how it ended. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    struct rlimit limit = {strtoul(argv[1], NULL, 10), strtoul(argv[1], NULL, 10)};
    /* What is measured gets /dev/null, and nothing of the bench's own. */
    int answer = fcntl(1, F_DUPFD_CLOEXEC, 3), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (setrlimit(RLIMIT_NOFILE, &limit) || answer < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0) {
        perror("launch");
        return 1;
    }
    pid_t pid;
    int status;
    long long started = now();
    int error = posix_spawn(&pid, argv[2], NULL, NULL, argv + 2, environ);
    if (error) {
        errno = error;
        perror(argv[2]);
        return 1;
    }
    waitpid(pid, &status, 0);
    long long gone = now();
    dprintf(answer, "%lld %lld %d\n", started, gone, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    return 0;
}
