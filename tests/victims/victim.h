/* What every victim needs: system calls issued in the function that is to show
 * up as the site, and the conversation with the test over stdin and stdout.
 *
 * So the innermost frame is the same with every C library. */
#ifndef VICTIM_H
#define VICTIM_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define INLINE static inline __attribute__((always_inline))
/* A function that keeps its name and its frame. */
#define SITE __attribute__((noipa))

INLINE long system_call(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#else
#error "no system call sequence for this architecture"
#endif
}

/* SYS(number, up to six arguments): the result, or -errno. */
#define SYS_PICK(number, a, b, c, d, e, f, ...)                                \
    system_call((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define SYS(...) SYS_PICK(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* Exit codes: the kernel lacks the call; something else went wrong. */
enum { LACKS = 77, BROKEN = 99 };

/* The result of a call that has to work. */
INLINE long must(long result, const char *what)
{
    if (result == -ENOSYS || result == -EOPNOTSUPP) {
        fprintf(stderr, "%s: the kernel lacks it\n", what);
        exit(LACKS);
    }
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror((int)-result));
        exit(BROKEN);
    }
    return result;
}

static inline void pause_ms(long milliseconds)
{
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

/* The time of a clock that only goes forward. */
static inline double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

/* Waits for the next turn of something that keeps its pace, also where it was late for
 * this one. Begins with zeroes. */
static inline void keep_pace(struct timespec *turn, long milliseconds)
{
    if (!turn->tv_sec)
        clock_gettime(CLOCK_MONOTONIC, turn);
    turn->tv_nsec += milliseconds % 1000 * 1000000;
    turn->tv_sec += milliseconds / 1000 + turn->tv_nsec / 1000000000;
    turn->tv_nsec %= 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, turn, NULL) == EINTR)
        ;
}

/* A user name space of its own, of a user whom nobody else is, where a limit of /proc/sys/user is
 * so low. */
static inline void enter_user_namespace(const char *limit, long value)
{
    int user = 54000 + getpid() % 6000;
    must(SYS(SYS_setresgid, user, user, user), "setresgid");
    must(SYS(SYS_setresuid, user, user, user), "setresuid");
    /* Forgotten when the user changes. */
    must(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
    if (unshare(CLONE_NEWUSER)) {
        fprintf(stderr, "no user name space: %m\n");
        exit(LACKS);
    }
    char path[128], text[32];
    snprintf(path, sizeof path, "/proc/sys/user/%s", limit);
    int length = snprintf(text, sizeof text, "%ld\n", value);
    long file = must(SYS(SYS_openat, AT_FDCWD, path, O_WRONLY), path);
    must(SYS(SYS_write, file, text, length), path);
    must(SYS(SYS_close, file), "close");
}

/* Tells the test where we are: one line. */
#define SAY(...) (printf(__VA_ARGS__), putchar('\n'), fflush(stdout))

/* Waits for the next line on stdin; its end counts as one, so that a victim
 * that nobody talks to runs through. */
static inline void await_word(void)
{
    char byte = 0;
    while (read(0, &byte, 1) == 1 && byte != '\n')
        ;
}

/* Says that everything is prepared and waits for the word to begin. */
static inline void await_start(void)
{
    SAY("ready");
    await_word();
}
#endif
