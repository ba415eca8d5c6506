/* sharing files|vfork|fork: the parent opens three files in leak_sharing and
 * three in twin_sharing, then a child closes the latter, opens one of its own in
 * child_sharing and ends. Only a child that shares the table of descriptors
 * (CLONE_FILES) thereby releases anything of the parent.
 *
 * sharing thread: a thread takes a table of its own, opens five files there in
 * leak_sharing, and five more in twin_sharing, which it closes. */
#include "victim.h"
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

enum { FILES = 3 };

#define OPENS(name)                                                            \
    SITE long name(void)                                                       \
    {                                                                          \
        return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open"); \
    }
OPENS(leak_sharing)
OPENS(twin_sharing)
OPENS(child_sharing)

static long closes[FILES];

static void child(void)
{
    for (int i = 0; i < FILES; i++)
        must(SYS(SYS_close, closes[i]), "close");
    child_sharing();
}

enum { OWN = 5 };

static void *with_own_table(void *nothing)
{
    must(unshare(CLONE_FILES), "unshare");
    for (int i = 0; i < OWN; i++) {
        long twin = twin_sharing();
        leak_sharing();
        must(SYS(SYS_close, twin), "close");
    }
    SAY("opened");
    await_word();
    SAY("held");
    await_word();
    return nothing;
}

int main(int argc, char **argv)
{
    pid_t pid;
    if (argc < 2)
        return BROKEN;
    await_start();
    if (!strcmp(argv[1], "thread")) {
        pthread_t thread;
        must(-pthread_create(&thread, NULL, with_own_table, NULL), "thread");
        pthread_join(thread, NULL);
        return 0;
    }
    for (int i = 0; i < FILES; i++) {
        leak_sharing();
        closes[i] = twin_sharing();
    }
    SAY("opened");
    await_word();
    if (!strcmp(argv[1], "files")) {
        pid = must(SYS(SYS_clone, CLONE_FILES | SIGCHLD, 0), "clone");
        if (pid == 0) {
            child();
            SYS(SYS_exit_group, 0);
        }
    } else {
        pid = !strcmp(argv[1], "vfork") ? vfork() : fork();
        if (pid == 0) {
            child();
            _exit(0);
        }
    }
    must(SYS(SYS_wait4, pid, 0, 0, 0), "wait");
    SAY("held");
    await_word();
    return 0;
}
