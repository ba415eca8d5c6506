/* zombies forgotten|waited NUMBER: makes so many children that end at once, one every 250 ms,
 * and waits for none of them, or for each. With a word one more. */
#include "victim.h"
#include <sys/wait.h>

SITE static void start_child(int waits)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child < 0)
        exit(BROKEN);
    if (waits)
        waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return BROKEN;
    int waits = !strcmp(argv[1], "waited");
    for (int i = 0; i < atoi(argv[2]); i++, pause_ms(250))
        start_child(waits);
    await_start();
    start_child(waits);
    SAY("held");
    await_word();
    return 0;
}
