/* A proper daemon by the classic recipe, in C; what is defined at compile time makes it deviate.

   daemon DIRECTORY: it logs to daemon.log there, says that it is up in the file pid, and ends at SIGTERM. */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

static void end_in_order(int number)
{
    (void)number;
    _exit(0);
}

static void must(int is_done, const char *what)
{
    if (!is_done) {
        perror(what);
        _exit(1);
    }
}

static void open_streams(void)
{
    int null = open("/dev/null", O_RDWR);
    int log = open("daemon.log", O_WRONLY | O_CREAT | O_APPEND, 0644);
    must(null >= 0 && log >= 0, "open");
    must(dup2(null, 0) == 0 && dup2(log, 1) == 1 && dup2(log, 2) == 2, "dup2");
    close(null);
    close(log);
}

static void drop(int place)
{
    if (geteuid() != 0)
        return;
    must(fchown(place, NOBODY, NOBODY) == 0, "fchown");
    must(setgroups(0, NULL) == 0, "setgroups");
    must(setresgid(NOBODY, NOBODY, NOBODY) == 0, "setresgid");
    must(setresuid(NOBODY, NOBODY, NOBODY) == 0, "setresuid");
    must(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0, "prctl");
}

static void serve(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(listening >= 0 && bind(listening, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    must(listen(listening, 5) == 0, "listen");
}

static void say_up(int place)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%d\n", (int)getpid());
    int file = openat(place, "pid.new", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    must(file >= 0 && write(file, text, size) == size, "write");
    close(file);
    must(renameat(place, "pid.new", place, "pid") == 0, "rename");
    close(place);
}

int main(int argc, char **argv)
{
    pid_t middle;
    int place;
    struct rlimit core;
    must(argc == 2 && chdir(argv[1]) == 0, "chdir");
    umask(022);
    must(getrlimit(RLIMIT_CORE, &core) == 0, "getrlimit");
    core.rlim_cur = 0;
    must(setrlimit(RLIMIT_CORE, &core) == 0, "setrlimit");
    place = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(place >= 0, "open");
    open_streams();
    if (fork() != 0)
        _exit(0);
    must(setsid() > 0, "setsid");
    middle = getpid();
    if (fork() != 0)
        _exit(0);
    while (getppid() == middle)
        usleep(1000);
    must(chdir("/") == 0, "chdir");
    signal(SIGTERM, end_in_order);
#ifdef IGNORES_SIGPIPE
    signal(SIGPIPE, SIG_IGN);
#else
    signal(SIGPIPE, SIG_DFL);
#endif
#ifdef SERVES
    serve();
#else
    (void)serve;
#endif
#ifdef REMOVES_ITSELF
    must(unlink(argv[0]) == 0, "unlink");
#endif
#ifdef MOVES_ITSELF
    must(renameat(AT_FDCWD, argv[0], place, "moved") == 0, "rename");
#endif
    drop(place);
    say_up(place);
    for (;;)
        pause();
}
