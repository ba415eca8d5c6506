/* mixed: keeps three files, three sockets and three pipes. */
#include "victim.h"

enum { COUNT = 3 };

SITE void leak_mixed(void)
{
    int both[2];
    must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open");
    must(SYS(SYS_socket, AF_UNIX, SOCK_DGRAM, 0), "socket");
    must(SYS(SYS_pipe2, both, 0), "pipe");
}

int main(void)
{
    await_start();
    for (int i = 0; i < COUNT; i++)
        leak_mixed();
    SAY("held");
    await_word();
    return 0;
}
