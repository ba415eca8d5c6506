/* family: a child and a grandchild, made after the start, each keep two files. */
#include "victim.h"

SITE long leak_child(void)
{
    return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open");
}

static void generation(const char *name)
{
    pid_t pid = fork();
    if (pid < 0)
        must(-errno, "fork");
    if (pid > 0)
        return;
    /* Children go with their parents. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    leak_child();
    leak_child();
    SAY("%s %d", name, getpid());
    if (!strcmp(name, "child"))
        generation("grandchild");
    for (;;)
        pause();
}

int main(void)
{
    await_start();
    generation("child");
    await_word();
    return 0;
}
