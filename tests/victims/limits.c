/* limits descriptors|threads|memory|joined|apart|terminals|flat LIMIT BASE: has LIMIT
 * descriptors at most and BASE of them to begin with (or of the mappings that are apart); then
 * takes one descriptor, thread, 128 KiB of memory, mapping (which the kernel joins with others, or
 * does not) or pseudo terminal every 50 ms, or takes and gives back. limits
 * instances|watches|brief-instances LIMIT BASE: the same with inotify, in a user name space that
 * allows LIMIT; instances are taken every 100 ms, since a user may have 128 of them, and the brief
 * ones are closed at once. Says how many it took a second when it has done so 100 times and kept
 * its pace: it was never late by more than a tenth of the time. Goes on until stdin has a word. */
#include "victim.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/inotify.h>
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

SITE static long take_terminal(void)
{
    return must(SYS(SYS_openat, AT_FDCWD, "/dev/ptmx", O_RDWR | O_NOCTTY), "open /dev/ptmx");
}

SITE static long take_instance(void)
{
    return must(SYS(SYS_inotify_init1, 0), "inotify_init1");
}

/* Watches another file. */
SITE static void take_watch(long instance, DIR *directory)
{
    char path[300];
    struct dirent *entry = readdir(directory);
    if (!entry)
        exit(BROKEN);
    snprintf(path, sizeof path, "/usr/bin/%s", entry->d_name);
    must(SYS(SYS_inotify_add_watch, instance, path, IN_OPEN | IN_DONT_FOLLOW),
         "inotify_add_watch");
}

SITE static long take_descriptor(void)
{
    return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open");
}

static const char *what;
static long instance;
static DIR *directory;

static int is(const char *name)
{
    return !strcmp(what, name);
}

/* Takes one, or none in this turn; how many it took. */
static int take(int turn)
{
    if (is("threads"))
        take_thread();
    else if (is("memory"))
        take_memory();
    else if (is("joined"))
        take_mapping(PROT_READ);
    else if (is("apart"))
        take_mapping(turn % 2 ? PROT_READ : PROT_NONE);
    else if (is("terminals"))
        take_terminal();
    else if (is("instances") && turn % 2)
        return 0;
    else if (is("instances"))
        take_instance();
    else if (is("brief-instances"))
        must(SYS(SYS_close, take_instance()), "close");
    else if (is("watches"))
        take_watch(instance, directory);
    else if (is("descriptors"))
        take_descriptor();
    else
        must(SYS(SYS_close, take_descriptor()), "close");
    return 1;
}

/* What is there to begin with. */
static void take_base(int base)
{
    for (int i = 0; i < base; i++) {
        if (is("instances"))
            take_instance();
        else if (is("apart"))
            take(i);
        else
            take_descriptor();
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return BROKEN;
    what = argv[1];
    /* What was inherited would count. */
    must(SYS(SYS_close_range, 3, ~0U, 0), "close_range");
    if (is("watches") || is("instances") || is("brief-instances")) {
        enter_user_namespace(is("watches") ? "max_inotify_watches" : "max_inotify_instances",
                             strtol(argv[2], NULL, 10));
    } else {
        struct rlimit limit = {.rlim_cur = strtoul(argv[2], NULL, 10)};
        limit.rlim_max = limit.rlim_cur;
        must(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
    }
    take_base(atoi(argv[3]));
    if (is("watches")) {
        directory = opendir("/usr/bin");
        instance = take_instance();
    }
    await_start();
    double begun = seconds();
    struct timespec turn = {0};
    double latest = 0;
    int told = 0, taken = 0;
    struct pollfd stdin_too = {.fd = 0, .events = POLLIN};
    for (int i = 1; i <= ROUNDS && !poll(&stdin_too, 1, 0); i++) {
        taken += take(i);
        keep_pace(&turn, 50);
        double now = seconds(), late = now - turn.tv_sec - turn.tv_nsec / 1e9;
        if (late > latest)
            latest = late;
        if (!told && i >= TOLD && latest < (now - begun) / 10) {
            SAY("pace %f", taken / (now - begun));
            told = 1;
        }
    }
    return 0;
}
