/* check_lines COUNT LENGTH FILE...: whether the files, one after the other, hold what flood wrote, each line once and
   in order, with a stamp before it or none. Prints how many lines there are, and how many are lost, come again or too
   late, are torn, and have no stamp. */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long length;

/* The number of a line of flood, or -1. */
static long number_of(const char *line)
{
    long number = 0;
    for (int i = 0; i < 10; i++) {
        if (line[i] < '0' || line[i] > '9')
            return -1;
        number = number * 10 + line[i] - '0';
    }
    for (long i = 10; i < length - 1; i++)
        if (line[i] != 'a' + i % 26)
            return -1;
    return number;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    long count = atol(argv[1]), expected = 0, lines = 0, lost = 0, again = 0, torn = 0, bare = 0;
    length = atol(argv[2]);
    char *line = NULL;
    size_t room = 0;
    for (int i = 3; i < argc; i++) {
        FILE *file = fopen(argv[i], "r");
        if (!file) {
            perror(argv[i]);
            return 1;
        }
        ssize_t got;
        while ((got = getline(&line, &room, file)) > 0) {
            lines++;
            long number = got >= length && line[got - 1] == '\n' ? number_of(line + got - length) : -1;
            if (number < 0)
                torn++;
            else if (number < expected)
                again++;
            else {
                lost += number - expected;
                expected = number + 1;
            }
            bare += got == length;
        }
        fclose(file);
    }
    printf("%ld %ld %ld %ld %ld\n", lines, lost + count - expected, again, torn, bare);
    return 0;
}
