/* amounts: known numbers of files of every fate. `leak_kept` takes 40 and, at the end, 17 more;
 * `twin_churned` 500 that it gives back at once; `twin_aged` 12, each of which lives for about as
 * long as the nursery; `leak_one` gives 59 back at once and keeps one. */
#include "victim.h"

enum { KEPT = 40, LATE = 17, CHURNED = 500, AGED = 12 };

#define TAKES(name)                                                            \
    SITE long name(void)                                                       \
    {                                                                          \
        return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open"); \
    }
TAKES(leak_kept)
TAKES(twin_churned)
TAKES(twin_aged)
TAKES(leak_one)

static void give_back(long descriptor)
{
    close((int)descriptor);
}

int main(void)
{
    long aged[AGED];
    volatile int late = 0;
    await_start();
    /* Twice through the same calls: each place that calls is another site. */
    do {
        for (int i = 0; i < (late ? LATE : KEPT); i++)
            leak_kept();
        for (int i = 0; i < (late ? CHURNED : 0); i++)
            give_back(twin_churned());
        if (late)
            break;
        for (int i = 0; i < 60; i++) {
            long one = leak_one();
            if (i != 20)
                give_back(one);
        }
        for (int i = 0; i < AGED; i++)
            aged[i] = twin_aged();
        pause_ms(900);
        for (int i = 0; i < AGED; i++) {
            pause_ms(50);
            give_back(aged[i]);
        }
        SAY("held");
        await_word();
        late = 1;
    } while (1);
    SAY("late");
    await_word();
    return 0;
}
