/* double_fork PROGRAM [ARG...]: the classic recipe and no more, as the measure of all the others. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    if (fork())
        _exit(0);
    setsid();
    if (fork())
        _exit(0);
    umask(022);
    int null = open("/dev/null", O_RDWR);
    for (int number = 0; number < 3; number++)
        dup2(null, number);
    close(null);
    if (chdir("/") == 0)
        execv(argv[1], argv + 1);
    _exit(127);
}
