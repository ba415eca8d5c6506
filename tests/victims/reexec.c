/* reexec leak|twin N: opens a file, executes itself with N - 1, and lives for two
 * seconds at last. The leak takes close-on-exec away from its file. */
#include "victim.h"

#define TAKES(name)                                                                        \
    SITE long name(void)                                                                   \
    {                                                                                      \
        return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC), "open"); \
    }
TAKES(leak_reexec)
TAKES(twin_reexec)

int main(int argc, char **argv)
{
    char left[16];
    if (argc < 3)
        return BROKEN;
    int number = atoi(argv[2]);
    if (!strcmp(argv[1], "leak"))
        must(SYS(SYS_fcntl, leak_reexec(), F_SETFD, 0), "fcntl");
    else
        twin_reexec();
    if (number <= 1) {
        pause_ms(2000);
        return 0;
    }
    pause_ms(500);
    snprintf(left, sizeof left, "%d", number - 1);
    execl("/proc/self/exe", argv[0], argv[1], left, (char *)NULL);
    return BROKEN;
}
