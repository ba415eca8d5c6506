/* flood: three times, opens ten thousand descriptors, keeps them until they are
 * old, and closes them all at once; then opens and keeps a few. Correct, and
 * more at a time than a small ring takes. */
#include "victim.h"
#include <sys/resource.h>

enum { ROUNDS = 3, MOST = 10000, KEPT = 20 };

SITE long twin_flood(void) { return must(SYS(SYS_eventfd2, 0, 0), "eventfd"); }
SITE long kept_flood(void) { return must(SYS(SYS_eventfd2, 0, 0), "eventfd"); }

int main(void)
{
    static long fds[MOST];
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int count = limit.rlim_cur > MOST + 100 ? MOST : (int)limit.rlim_cur - 100;
    await_start();
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < count; i++)
            fds[i] = twin_flood();
        pause_ms(900);
        for (int i = 0; i < count; i++)
            must(SYS(SYS_close, fds[i]), "close");
    }
    for (int i = 0; i < KEPT; i++)
        kept_flood();
    SAY("held %d", KEPT);
    await_word();
    return 0;
}
