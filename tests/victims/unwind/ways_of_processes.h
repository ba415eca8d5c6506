/* Children: their stacks are copies of their parent's, or their parent's own. */
#include <sys/wait.h>

static int count;

LEAK(leak_in_vfork)

/* The parent waits while its child acquires, on the same stack. */
SITE void vforking(void)
{
    pid_t child = vfork();
    if (child == 0) {
        for (volatile int left = count; left > 0; left--)
            leak_in_vfork();
        linger();
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

SITE void by_vfork(char **arguments)
{
    KEEP(arguments);
    vforking();
}

LEAK(leak_in_fork)

SITE pid_t forking(void)
{
    pid_t child = fork();
    if (child == 0) {
        leak_in_fork();
        pause_ms(1500);
        _exit(0);
    }
    return child;
}

/* Each child acquires the moment it exists. */
SITE void by_fork(char **arguments)
{
    KEEP(arguments);
    for (volatile int left = count; left > 0; left--)
        got(forking());
    while (wait(NULL) > 0)
        ;
}

/* What is acquired is the child: nobody asks how it ended. The C library's vfork
 * keeps its return address in a register. */
SITE pid_t leak_child(void)
{
    pid_t child = vfork();
    if (child == 0)
        _exit(0);
    return child;
}

SITE void by_zombies(char **arguments)
{
    KEEP(arguments);
    for (volatile int left = count; left > 0; left--)
        got(leak_child());
}
