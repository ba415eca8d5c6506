/* baseline: ten files from before the start; then closes four of them and opens
 * two more. */
#include "victim.h"

enum { BEFORE = 10, CLOSED = 4, AFTER = 2 };

SITE long before_baseline(void)
{
    return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open");
}
SITE long leak_baseline(void)
{
    return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open");
}

int main(void)
{
    long fds[BEFORE];
    for (int i = 0; i < BEFORE; i++)
        fds[i] = before_baseline();
    await_start();
    for (int i = 0; i < CLOSED; i++)
        must(SYS(SYS_close, fds[i]), "close");
    SAY("closed");
    await_word();
    for (int i = 0; i < AFTER; i++)
        leak_baseline();
    SAY("held");
    await_word();
    return 0;
}
