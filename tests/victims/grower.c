/* grower leak|twin SECONDS CODE: takes a file every 50 ms; the leak keeps all of
 * them, the twin the last five. Ends with the code. */
#include "victim.h"

enum { POOL = 5 };

#define TAKES(name)                                                            \
    SITE long name(void)                                                       \
    {                                                                          \
        return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open"); \
    }
TAKES(leak_grower)
TAKES(twin_grower)

int main(int argc, char **argv)
{
    long pool[POOL] = {0};
    if (argc < 4)
        return BROKEN;
    int leaks = !strcmp(argv[1], "leak");
    int rounds = atoi(argv[2]) * 20;
    SAY("pid %d", getpid());
    for (int i = 0; i < rounds; i++) {
        if (leaks) {
            leak_grower();
        } else {
            if (pool[i % POOL])
                must(SYS(SYS_close, pool[i % POOL]), "close");
            pool[i % POOL] = twin_grower();
        }
        pause_ms(50);
    }
    return atoi(argv[3]);
}
