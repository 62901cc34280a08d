/* flood FIFO:COUNT:LENGTH:LINES: write COUNT lines of LENGTH bytes each, so many LINES with each write(2), to stdout.
   A line is its number in ten digits and letters. When it began and when the last write was done is told on the FIFO;
   then it waits for its end. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
    long long began = now();
    char *numbers = argc > 1 ? strchr(argv[1], ':') : NULL;
    long count, length, lines;
    if (!numbers || sscanf(numbers, ":%ld:%ld:%ld", &count, &length, &lines) != 3 || length < 12 || lines < 1)
        return 2;
    *numbers = 0;
    int fifo = open(argv[1], O_WRONLY | O_CLOEXEC);
    dprintf(fifo, "0 %d %lld\n", getpid(), began);
    char *block = malloc(length * lines);
    for (long i = 0; i < length * lines; i++)
        block[i] = i % length == length - 1 ? '\n' : 'a' + i % length % 26;
    for (long number = 0; number < count;) {
        char *end = block;
        for (long i = 0; i < lines && number < count; i++, number++, end += length) {
            long rest = number;
            for (int digit = 9; digit >= 0; digit--, rest /= 10)
                end[digit] = '0' + rest % 10;
        }
        for (char *from = block; from < end;) {
            ssize_t written = write(1, from, end - from);
            if (written < 0)
                return 1;
            from += written;
        }
    }
    dprintf(fifo, "1 %d %lld\n", getpid(), now());
    for (;;)
        pause();
}
