/* shared WAY: leaks a file every 100 ms in the function leak_shared, each of them held
 * elsewhere as well: dup, by a second descriptor of this process; fork, by a child of
 * its own that has no other; message, by the child that all of them are sent to. The
 * way twice opens each a second time instead, which is another file. Says "held" when it
 * leaked enough to show and goes on until stdin has a word. */
#include "victim.h"
#include <poll.h>

enum { ENOUGH = 30, MOST = 400 };

static long pair[2];

SITE long leak_shared(void)
{
    return must(SYS(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY), "open");
}

static struct msghdr message(void)
{
    static char byte, control[CMSG_SPACE(sizeof(int))];
    static struct iovec one;
    one = (struct iovec){&byte, 1};
    return (struct msghdr){
        .msg_iov = &one,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
}

static void sends(int descriptor)
{
    struct msghdr header = message();
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof descriptor);
    memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
    must(SYS(SYS_sendmsg, pair[0], &header, 0), "sendmsg");
}

static void receives(void)
{
    for (;;) {
        struct msghdr header = message();
        must(SYS(SYS_recvmsg, pair[1], &header, 0), "recvmsg");
    }
}

/* A child that holds nothing but one file of its parent. */
static void keeps(long file)
{
    SYS(SYS_close_range, 3, file - 1, 0);
    for (;;)
        pause();
}

static void has_child(long file)
{
    pid_t pid = fork();
    must(pid < 0 ? -errno : 0, "fork");
    if (pid > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (file < 0)
        receives();
    keeps(file);
}

int main(int argc, char **argv)
{
    int both[2];
    struct pollfd stdin_too = {.fd = 0, .events = POLLIN};
    if (argc < 2)
        return BROKEN;
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, both) ? -errno : 0, "socketpair");
    pair[0] = both[0];
    pair[1] = both[1];
    await_start();
    if (!strcmp(argv[1], "message"))
        has_child(-1);
    for (int i = 0; i < MOST && !poll(&stdin_too, 1, 100); i++) {
        long file = leak_shared();
        if (!strcmp(argv[1], "dup"))
            must(SYS(SYS_dup, file), "dup");
        if (!strcmp(argv[1], "fork"))
            has_child(file);
        if (!strcmp(argv[1], "message"))
            sends(file);
        if (!strcmp(argv[1], "twice"))
            must(SYS(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY), "open");
        if (i == ENOUGH)
            SAY("held");
    }
    return 0;
}
