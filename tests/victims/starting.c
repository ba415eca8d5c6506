/* starting: starts threads that stay and children that stay as zombies all the time,
 * a pair every few milliseconds until the word comes, so that some begin while a
 * tracer does. */
#include "victim.h"
#include <poll.h>
#include <pthread.h>

enum { MOST = 1000 };

static void *stay(void *none)
{
    for (;;)
        pause();
    return none;
}

static int told(void)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, 4) != 0;
}

int main(void)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    SAY("ready");
    for (int i = 0; i < MOST && !told(); i++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, stay, NULL))
            return BROKEN;
        if (fork() == 0)
            _exit(0);
    }
    await_word();
    SAY("held");
    await_word();
    return 0;
}
