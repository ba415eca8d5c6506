/* versions SECONDS: a program of which there are two versions. Both leak sessions;
 * the first leaks settings, the second (-DVERSION=2) logs instead. */
#include "../victim.h"

SITE long open_session(void)
{
    return must(SYS(SYS_socket, AF_UNIX, SOCK_STREAM, 0), "socket");
}

SITE long open_settings(void)
{
    return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open");
}

SITE long open_log(void)
{
    return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY), "open");
}

/* A frame of its own or not, as the compiler likes. */
static void serve(int round)
{
    open_session();
    long settings = open_settings();
    long log = open_log();
    if (VERSION == 2 || round % 2)
        must(SYS(SYS_close, settings), "close");
    if (VERSION == 1)
        must(SYS(SYS_close, log), "close");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return BROKEN;
    struct timespec turn = {0};
    for (int round = 0; round < atoi(argv[1]) * 10; round++) {
        serve(round);
        keep_pace(&turn, 100);
    }
    return 0;
}
