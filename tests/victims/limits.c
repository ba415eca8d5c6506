/* limits descriptors|threads|memory|joined|apart|flat LIMIT BASE: has LIMIT descriptors at
 * most and BASE of them to begin with; then takes one descriptor, thread, 128 KiB of memory or
 * mapping (which the kernel joins with others, or does not) every 50 ms, or takes and gives
 * back. Says how many it took a second when it has done so 100 times and kept its pace: it was
 * never late by more than a tenth of the time. Goes on until stdin has a word. */
#include "victim.h"

#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { TOLD = 100, ROUNDS = 2000 };

static void *sleeper(void *argument)
{
    for (;;)
        pause();
    return argument;
}

SITE static void take_thread(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 16);
    must(-pthread_create(&thread, &attributes, sleeper, NULL), "pthread_create");
}

SITE static void take_memory(void)
{
    size_t size = 128 << 10;
    long at = must(SYS(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                   "mmap");
    memset((void *)at, 1, size);
}

SITE static void take_mapping(int protection)
{
    must(SYS(SYS_mmap, 0, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap");
}

SITE static long take_descriptor(void)
{
    return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open");
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return BROKEN;
    struct rlimit limit = {.rlim_cur = strtoul(argv[2], NULL, 10), .rlim_max = RLIM_INFINITY};
    limit.rlim_max = limit.rlim_cur;
    must(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
    /* What was inherited would count. */
    must(SYS(SYS_close_range, 3, ~0U, 0), "close_range");
    for (int i = 0; i < atoi(argv[3]); i++)
        take_descriptor();
    await_start();
    double begun = seconds();
    struct timespec turn = {0};
    double latest = 0;
    int told = 0;
    struct pollfd stdin_too = {.fd = 0, .events = POLLIN};
    for (int i = 1; i <= ROUNDS && !poll(&stdin_too, 1, 0); i++) {
        if (!strcmp(argv[1], "threads"))
            take_thread();
        else if (!strcmp(argv[1], "memory"))
            take_memory();
        else if (!strcmp(argv[1], "joined"))
            take_mapping(PROT_READ);
        else if (!strcmp(argv[1], "apart"))
            take_mapping(i % 2 ? PROT_READ : PROT_NONE);
        else if (!strcmp(argv[1], "descriptors"))
            take_descriptor();
        else
            must(SYS(SYS_close, take_descriptor()), "close");
        keep_pace(&turn, 50);
        double now = seconds(), late = now - turn.tv_sec - turn.tv_nsec / 1e9;
        if (late > latest)
            latest = late;
        if (!told && i >= TOLD && latest < (now - begun) / 10) {
            SAY("pace %f", i / (now - begun));
            told = 1;
        }
    }
    return 0;
}
