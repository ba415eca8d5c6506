/* chains: opens files at the end of known chains of calls and keeps them. To be built without frame pointers, so that
 * only unwind tables tell the callers. xtask/src/vm/stacks.rs knows which functions each chain passes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 3, DEEP = 60 };

/* A function that keeps its name, and of which the compiler assumes nothing. */
#define SITE __attribute__((noipa))
/* Behind a call: otherwise the compiler would make a jump of it. */
#define NOT_LAST() __asm__ volatile("" ::: "memory")

#define LEAF(name)                                                                                 \
    SITE void name(void)                                                                           \
    {                                                                                              \
        if (open("/dev/null", O_RDONLY) < 0)                                                       \
            abort();                                                                               \
        NOT_LAST();                                                                                \
    }
#define CALLS(name, next)                                                                          \
    SITE void name(void)                                                                           \
    {                                                                                              \
        next();                                                                                    \
        NOT_LAST();                                                                                \
    }

/* Frames of several shapes: large; of a size known at run time, thus addressed by a frame pointer; with every register
 * that a callee has to keep, the frame pointer among them, in other use. */
LEAF(plain_leaf)
SITE void plain_large(void)
{
    char block[6000];
    memset(block, 1, sizeof block);
    plain_leaf();
    __asm__ volatile("" ::"r"(block) : "memory");
}
SITE void plain_variable(size_t length)
{
    char block[length];
    memset(block, 1, length);
    plain_large();
    __asm__ volatile("" ::"r"(block) : "memory");
}
SITE void plain_registers(long a, long b, long c, long d, long e, long f)
{
    long sum = a;
    for (long i = 0; i < b; i++) {
        plain_variable((size_t)(100 + i));
        sum = sum * c + d * e - f + i;
    }
    __asm__ volatile("" ::"r"(sum) : "memory");
}
SITE void plain(void)
{
    plain_registers(1, 1, 3, 4, 5, 6);
    NOT_LAST();
}

LEAF(deep_leaf)
SITE void deep(int left)
{
    if (left > 1)
        deep(left - 1);
    else
        deep_leaf();
    NOT_LAST();
}

/* Through a function of the C library. */
LEAF(callback_leaf)
SITE int compare(const void *a, const void *b)
{
    static int called;
    if (called++ % 3 == 0)
        callback_leaf();
    return *(const int *)a - *(const int *)b;
}
SITE void callback(void)
{
    int numbers[3] = {1, 2, 3};
    /* One comparison, which opens; two that do not make the next round begin like this one. */
    qsort(numbers, 2, sizeof numbers[0], compare);
    compare(numbers, numbers + 1);
    compare(numbers, numbers + 1);
}

/* Through a frame that the kernel has made. */
LEAF(signal_leaf)
SITE void on_signal(int number)
{
    (void)number;
    signal_leaf();
    NOT_LAST();
}
SITE void signalled(void)
{
    raise(SIGUSR1);
    NOT_LAST();
}

/* In a thread, whose stack ends elsewhere. */
LEAF(thread_leaf)
CALLS(thread_inner, thread_leaf)
SITE void *thread_body(void *unused)
{
    thread_inner();
    NOT_LAST();
    return unused;
}
SITE void in_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, thread_body, NULL))
        abort();
    pthread_join(thread, NULL);
}

static void rest(void)
{
    struct timespec time = {0, 400000000};
    nanosleep(&time, NULL);
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        rest();
        plain();
        deep(DEEP);
        callback();
        signalled();
        in_thread();
    }
    rest();
    return 0;
}
