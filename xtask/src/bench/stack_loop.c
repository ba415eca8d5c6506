/* Opens and closes /dev/null below a chain of calls: SAME chain each turn, or ANOTHER; prints nanoseconds per turn
 * and turns per second. HOLD keeps one descriptor open until stdin ends. The places between at-signs are filled in by
 * stack_program.rs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FUNCTIONS @FUNCTIONS@u
#define ON_ONE_STACK @ON_ONE_STACK@u
/* Turns between two looks at the clock. */
#define BATCH 256

typedef int link_t(unsigned at, unsigned left);

static link_t *const links[FUNCTIONS];
static volatile int keep;

static inline __attribute__((always_inline)) int turn(void)
{
    int descriptor = open("/dev/null", O_RDONLY);
    return descriptor < 0 || keep ? descriptor : close(descriptor);
}

#define LINK(number, words)                                                                                            \
    static int link_##number(unsigned at, unsigned left)                                                               \
    {                                                                                                                  \
        volatile long room[words];                                                                                     \
        room[0] = number;                                                                                              \
        unsigned next = (at + 1) % FUNCTIONS;                                                                          \
        int result = left ? links[next](next, left - 1) : turn();                                                      \
        return room[0] == number ? result : -1;                                                                        \
    }

@LINKS@

static link_t *const links[FUNCTIONS] = {
@TABLE@
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Goes round for so long; each turn begins `step` functions after the one before. */
static inline __attribute__((always_inline)) double rounds(double seconds, unsigned step, double *turns)
{
    unsigned at = 0;
    double start = now(), elapsed = 0;
    for (*turns = 0; elapsed < seconds; *turns += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            if (links[at](at, ON_ONE_STACK - 1) < 0) {
                perror("stack-loop: open or close");
                exit(1);
            }
            at = (at + step) % FUNCTIONS;
        }
        elapsed = now() - start;
    }
    return elapsed;
}

/* A processor remembers for itself: stay on the last, as the other loops do. */
static void pin_to_last_processor(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return;
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
        if (CPU_ISSET(cpu, &set)) {
            CPU_ZERO(&set);
            CPU_SET(cpu, &set);
            sched_setaffinity(0, sizeof set, &set);
            return;
        }
    }
}

int main(int count, char **words)
{
    double turns;
    if (count != 3) {
        fputs("usage: stack-loop same|another|hold SECONDS\n", stderr);
        return 2;
    }
    unsigned step = strcmp(words[1], "another") ? 0 : ON_ONE_STACK;
    pin_to_last_processor();
    /* Until the tracer knows this program, all its stacks and files. */
    rounds(0.3, step, &turns);
    if (!strcmp(words[1], "hold")) {
        keep = 1;
        links[0](0, ON_ONE_STACK - 1);
        puts("holding");
        fflush(stdout);
        while (getchar() != EOF)
            ;
        return 0;
    }
    double elapsed = rounds(atof(words[2]), step, &turns);
    printf("%f %f\n", elapsed * 1e9 / turns, turns / elapsed);
    return 0;
}
