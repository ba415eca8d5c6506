/* storm CHILDREN: that many short-lived children, some of which execute another
 * program, while the parent keeps one file for every tenth of them. */
#include "victim.h"
#include <sys/wait.h>

enum { AT_ONCE = 8, LEAKS = 10 };

SITE long leak_storm(void)
{
    return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC), "open");
}

/* Files that nobody closes but the child's end. */
static void child(int number)
{
    for (int i = 0; i < 3; i++)
        SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | (i ? O_CLOEXEC : 0));
    if (number % 10 == 0)
        execl("/bin/true", "true", NULL);
    _exit(0);
}

int main(int argc, char **argv)
{
    int children = argc > 1 ? atoi(argv[1]) : 3000;
    int alive = 0;
    await_start();
    for (int i = 0; i < children; i++) {
        if (i % (children / LEAKS) == 0)
            leak_storm();
        pid_t pid = fork();
        if (pid < 0)
            must(-errno, "fork");
        if (pid == 0)
            child(i);
        if (++alive == AT_ONCE) {
            wait(NULL);
            alive--;
        }
    }
    while (alive--)
        wait(NULL);
    SAY("held %d", LEAKS);
    await_word();
    return 0;
}
