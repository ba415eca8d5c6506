/* What the C programs of the corpus share: beginning on a word, pacing, ends.
 *
 * Every program ends by itself after LIFETIME seconds, and with its parent. */
#ifndef CORPUS_H
#define CORPUS_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIFETIME = 400 };

/* A function that keeps its name and its frame. */
#define SITE __attribute__((noipa))

/* The result of a call that has to work. */
static inline long must(long result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(99);
    }
    return result;
}

/* To be called by every process: ends it with its parent, or after LIFETIME. */
static inline void bounded(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(LIFETIME);
}

/* From here on the process may have this many descriptors. */
static inline void limit_files(unsigned most)
{
    struct rlimit limit = {most, most};
    must(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

static inline double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static inline void rest(double seconds)
{
    if (seconds <= 0)
        return;
    struct timespec left = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

/* Says that all is prepared and waits for the word to begin; ends without one. */
static inline void begin(void)
{
    bounded();
    printf("ready\n");
    fflush(stdout);
    char byte = 0;
    while (byte != '\n')
        if (read(0, &byte, 1) != 1)
            exit(0);
}

/* Sleeps to the next of so many beats a second, whatever the work took. */
typedef struct {
    double next;
} beat;

static inline void pace(beat *at, double per_second)
{
    double time = now();
    if (at->next == 0)
        at->next = time;
    at->next += 1 / per_second;
    if (at->next < time - 1)
        at->next = time;
    rest(at->next - time);
}

/* A child that ends with its parent. */
static inline pid_t child(void)
{
    pid_t pid = (pid_t)must(fork(), "fork");
    if (pid == 0)
        bounded();
    return pid;
}

/* A number from 0 to 1, the same sequence in every run. */
static inline double chance(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / 9007199254740992.0;
}

__attribute__((unused)) SITE static int open_file(void)
{
    return (int)must(open("/etc/passwd", O_RDONLY | O_CLOEXEC), "open");
}

/* Calls the function that is named by the first argument. */
typedef struct {
    const char *name;
    void (*run)(int argc, char **argv);
} program;

static inline int dispatch(const program *programs, size_t count, int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < count; i++)
        if (!strcmp(argv[1], programs[i].name)) {
            programs[i].run(argc - 2, argv + 2);
            return 0;
        }
    fprintf(stderr, "usage: %s", argv[0]);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, " %s", programs[i].name);
    fprintf(stderr, "\n");
    return 2;
}
#define DISPATCH(programs) dispatch(programs, sizeof(programs) / sizeof(*programs), argc, argv)

/* Begins the pattern that is named by the only argument. With another word behind it, it
 * was run by itself and has begun. */
typedef struct {
    const char *name;
    void (*run)(void);
    /* What it does before it is ready, if anything. */
    void (*prepare)(void);
} pattern;

static inline int begin_pattern(const pattern *patterns, size_t count, int argc, char **argv)
{
    for (size_t i = 0; argc >= 2 && i < count; i++)
        if (!strcmp(argv[1], patterns[i].name)) {
            if (patterns[i].prepare)
                patterns[i].prepare();
            if (argc == 2)
                begin();
            patterns[i].run();
            return 0;
        }
    fprintf(stderr, "usage: %s PATTERN\n", argv[0]);
    return 2;
}
#define BEGIN(patterns) begin_pattern(patterns, sizeof(patterns) / sizeof(*patterns), argc, argv)
#endif
