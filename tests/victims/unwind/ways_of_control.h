/* Control that does not flow by calls: signals, coroutines, jumps, threads. */
#include <pthread.h>
#include <setjmp.h>
#include <ucontext.h>

static int count;

LEAK(leak_in_handler)

static void on_signal(int number)
{
    KEEP(number);
    leak_in_handler();
}

/* The handler runs before the call returns. */
SITE void interrupted(void)
{
    got(kill(getpid(), SIGUSR1));
}

SITE void by_signal(char **arguments)
{
    KEEP(arguments);
    signal(SIGUSR1, on_signal);
    for (volatile int left = count; left > 0; left--)
        interrupted();
}

LEAK(leak_on_altstack)

static volatile int spinning_now, handled;

static void on_altstack(int number)
{
    KEEP(number);
    leak_on_altstack();
    handled = 1;
}

/* A leaf without a frame, interrupted anywhere in its loop. */
SITE void spinning(void)
{
    spinning_now = 1;
    while (!handled)
        ;
}

static void *interrupter(void *spinner)
{
    for (;;) {
        while (!spinning_now)
            pause_ms(1);
        spinning_now = 0;
        pthread_kill(*(pthread_t *)spinner, SIGUSR2);
    }
    return NULL;
}

SITE void by_altstack(char **arguments)
{
    static char room[64 << 10];
    stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    struct sigaction action = {.sa_handler = on_altstack, .sa_flags = SA_ONSTACK};
    pthread_t self = pthread_self(), other;
    KEEP(arguments);
    got(sigaltstack(&stack, NULL));
    got(sigaction(SIGUSR2, &action, NULL));
    got(-pthread_create(&other, NULL, interrupter, &self));
    for (volatile int left = count; left > 0; left--) {
        handled = 0;
        spinning();
    }
    pthread_cancel(other);
    pthread_join(other, NULL);
}

LEAK(leak_in_coroutine)

static ucontext_t home, away;

SITE void coroutine(void)
{
    for (volatile int left = count; left > 0; left--)
        leak_in_coroutine();
}

SITE void by_coroutine(char **arguments)
{
    static char room[64 << 10];
    KEEP(arguments);
    got(getcontext(&away));
    away.uc_stack.ss_sp = room;
    away.uc_stack.ss_size = sizeof room;
    away.uc_link = &home;
    makecontext(&away, coroutine, 0);
    got(swapcontext(&home, &away));
}

LEAK(leak_after_jump)

static jmp_buf back;

SITE void jump(void)
{
    longjmp(back, 1);
}

SITE void jumping(int depth)
{
    char room[100];
    KEEP(room);
    if (depth == 0)
        jump();
    else
        jumping(depth - 1);
    KEEP(room);
}

SITE void by_longjmp(char **arguments)
{
    KEEP(arguments);
    for (volatile int left = count; left > 0; left--) {
        if (setjmp(back) == 0)
            jumping(20);
        leak_after_jump();
    }
}

LEAK(leak_in_thread)

SITE void thread_inner(void)
{
    long file = leak_in_thread();
    KEEP(file);
}

static void *thread_main(void *argument)
{
    thread_inner();
    return argument;
}

SITE void by_thread(char **arguments)
{
    KEEP(arguments);
    for (volatile int left = count; left > 0; left--) {
        pthread_t thread;
        got(-pthread_create(&thread, NULL, thread_main, NULL));
        pthread_join(thread, NULL);
    }
}

static void *last_thread(void *leader)
{
    pthread_join(*(pthread_t *)leader, NULL);
    for (volatile int left = count; left > 0; left--)
        thread_inner();
    linger();
    exit(0);
}

/* The first thread is gone: its process lives on in another. */
SITE void by_leaderless(char **arguments)
{
    static pthread_t self;
    pthread_t thread;
    KEEP(arguments);
    self = pthread_self();
    got(-pthread_create(&thread, NULL, last_thread, &self));
    pthread_exit(NULL);
}
