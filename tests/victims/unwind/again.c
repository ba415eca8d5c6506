/* again COUNT: the same call from two callers in turn, at the same place of the stack;
 * a hundred times each way released, then once kept; COUNT times all of it. */
#include "unwind.h"

SITE long leak_again(void)
{
    long file = open("/dev/null", O_RDONLY); /* @leak_again */
    KEEP(file);
    return file;
}

/* Alike but for their names. */
SITE long left(void)
{
    long file = leak_again(); /* @left */
    KEEP(file);
    return file;
}

SITE long right(void)
{
    long file = leak_again(); /* @right */
    KEEP(file);
    return file;
}

int main(int arguments, char **argument)
{
    long count = arguments > 1 ? atol(argument[1]) : 1;
    int spare = dup(0);
    for (long kept = 0; kept < count; kept++) {
        for (long turn = 0; turn < 200; turn++)
            close((int)(turn % 2 ? left : right)());
        /* What is kept has numbers that were used before. */
        got(left());
        got(right());
    }
    close(spare);
    SAY("held");
    await_word();
    return 0;
}
