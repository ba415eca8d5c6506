/* races SECONDS: threads that open, copy over and close the same few numbers,
 * without any agreement. What is open in the end is for /proc to say. */
#include "victim.h"
#include <pthread.h>

enum { THREADS = 3, FIRST = 100, NUMBERS = 24 };

static int stop;
static int sources[3];

static void *race(void *seed)
{
    unsigned random = (unsigned)(long)seed;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        random = random * 1664525 + 1013904223;
        int number = FIRST + (random >> 8) % NUMBERS;
        int both[2];
        switch (random >> 24 & 7) {
        case 0:
        case 1:
            SYS(SYS_close, number);
            break;
        case 2:
            SYS(SYS_dup3, sources[random >> 16 & 1], number, 0);
            break;
        case 3:
            SYS(SYS_dup3, sources[2], number, O_CLOEXEC);
            break;
        case 4:
            /* The lowest free number from FIRST on. Nobody closes those beyond the
             * raced ones: kept, they would be a leak. */
            number = (int)SYS(SYS_fcntl, sources[random >> 16 & 1], F_DUPFD, FIRST);
            if (number >= FIRST + NUMBERS)
                SYS(SYS_close, number);
            break;
        case 5:
            SYS(SYS_close_range, number, number + 3, 0);
            break;
        case 6:
            if (SYS(SYS_pipe2, both, 0) == 0) {
                SYS(SYS_dup3, both[0], number, 0);
                SYS(SYS_close, both[0]);
                SYS(SYS_close, both[1]);
            }
            break;
        case 7:
            both[0] = (int)SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY);
            SYS(SYS_dup3, both[0], number, 0);
            SYS(SYS_close, both[0]);
            break;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    int seconds = argc > 1 ? atoi(argv[1]) : 10;
    sources[0] = must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open");
    sources[1] = must(SYS(SYS_socket, AF_UNIX, SOCK_DGRAM, 0), "socket");
    sources[2] = must(SYS(SYS_eventfd2, 0, 0), "eventfd");
    await_start();
    for (long i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, race, (void *)(i + 1)))
            must(-EAGAIN, "pthread_create");
    pause_ms(seconds * 1000L);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    SAY("held");
    await_word();
    return 0;
}
