/* hostile PATH SECONDS: leaks PATH every 50 ms; the test has given it and its file
 * names that mean no good. */
#include "victim.h"

SITE long leak_hostile(const char *path)
{
    return must(SYS(SYS_openat, AT_FDCWD, path, O_RDONLY), "open");
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return BROKEN;
    for (int i = atoi(argv[2]) * 20; i > 0; i--) {
        leak_hostile(argv[1]);
        pause_ms(50);
    }
    return 0;
}
