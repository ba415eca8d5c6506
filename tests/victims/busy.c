/* busy SECONDS: sixteen processes at a time acquire and release as fast as they can, each of
 * them for a moment: what is known of one is of no use for the next. Says "held" when some
 * have ended. */
#include "victim.h"
#include <sys/wait.h>

enum { AT_ONCE = 16, TIMES = 1000, SOME = 100 };

SITE long twin_busy(void)
{
    return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return BROKEN;
    await_start();
    double end = seconds() + atoi(argv[1]);
    for (int i = 0; seconds() < end; i++) {
        if (i >= AT_ONCE)
            wait(NULL);
        if (i == SOME)
            SAY("held");
        if (must(fork(), "fork"))
            continue;
        for (int n = 0; n < TIMES; n++)
            must(SYS(SYS_close, twin_busy()), "close");
        _exit(0);
    }
    while (wait(NULL) > 0)
        ;
    return 0;
}
