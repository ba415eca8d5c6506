/* ender leak|twin SECONDS at-exit|on-signal: takes a file every 50 ms. The leak
 * keeps all of them; the twin takes its thirty at the start and works with each
 * of the others for a moment. Both close what they hold at their end: in a
 * handler of exit(3), or, on SIGTERM, one after the other for a second. */
#include "victim.h"

enum { MANY = 4096, DESIGN = 30 };

static long held[MANY];
static int number;

#define TAKES(name)                                                            \
    SITE long name(void)                                                       \
    {                                                                          \
        return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open"); \
    }
TAKES(leak_ender)
TAKES(twin_ender)

static volatile sig_atomic_t told_to_stop;

static void stop(int signal)
{
    (void)signal;
    told_to_stop = 1;
}

static void close_all(void)
{
    for (int i = 0; i < number; i++) {
        if (told_to_stop)
            pause_ms(1000 / number);
        must(SYS(SYS_close, held[i]), "close");
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return BROKEN;
    int leaks = !strcmp(argv[1], "leak");
    int on_signal = !strcmp(argv[3], "on-signal");
    int rounds = atoi(argv[2]) * 20;
    signal(SIGTERM, stop);
    atexit(close_all);
    while (!leaks && number < DESIGN)
        held[number++] = twin_ender();
    for (int i = 0; !told_to_stop && number < MANY; i++) {
        if (leaks) {
            held[number++] = leak_ender();
        } else {
            long one = twin_ender();
            must(SYS(SYS_close, one), "close");
        }
        pause_ms(50);
        if (i >= rounds) {
            if (!on_signal)
                break;
            kill(getpid(), SIGTERM);
        }
    }
    return 0;
}
