/* sanitized LIBRARY [leak]: a program for AddressSanitizer, which loads and closes a library
 * and takes memory by ever new ways, 20 times a second: nothing is kept, but the sanitizer's
 * memory grows. With `leak` it maps a page each time, which stays. Built with LIBRARY defined
 * it is the library. */
#ifdef LIBRARY

#define GLOBAL(name) int name[4] = {1};
#define TEN(G, name)                                                                            \
    G(name##0) G(name##1) G(name##2) G(name##3) G(name##4)                                      \
    G(name##5) G(name##6) G(name##7) G(name##8) G(name##9)
#define GLOBALS10(name) TEN(GLOBAL, name)
#define GLOBALS100(name)                                                                        \
    GLOBALS10(name##0) GLOBALS10(name##1) GLOBALS10(name##2) GLOBALS10(name##3)                 \
    GLOBALS10(name##4) GLOBALS10(name##5) GLOBALS10(name##6) GLOBALS10(name##7)                 \
    GLOBALS10(name##8) GLOBALS10(name##9)

GLOBALS100(a) GLOBALS100(b) GLOBALS100(c) GLOBALS100(d) GLOBALS100(e)
GLOBALS100(f) GLOBALS100(g) GLOBALS100(h) GLOBALS100(i) GLOBALS100(j)

#else

#include "victim.h"

#include <dlfcn.h>
#include <sys/mman.h>

/* Deeper than the stacks of a trace: all ways look the same to it. */
enum { WAYS = 20, SAME = 140, ROUNDS = 4000, TOLD = 200 };

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0:detect_odr_violation=0:malloc_context_size=255";
}

SITE static void take_and_give(int depth)
{
    if (depth) {
        take_and_give(depth - 1);
    } else {
        void *volatile taken = malloc(16);
        free(taken);
    }
    __asm__ volatile("");
}

SITE static void left(unsigned way, int depth);

SITE static void right(unsigned way, int depth)
{
    if (!depth)
        take_and_give(SAME);
    else if (way & 1)
        right(way >> 1, depth - 1);
    else
        left(way >> 1, depth - 1);
    __asm__ volatile("");
}

SITE static void left(unsigned way, int depth)
{
    right(way, depth);
    __asm__ volatile("");
}

SITE static long leak_page(void)
{
    return must(SYS(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return BROKEN;
    await_start();
    unsigned way = 0;
    for (int i = 1; i <= ROUNDS; i++) {
        void *library = dlopen(argv[1], RTLD_NOW);
        if (!library)
            return fprintf(stderr, "%s\n", dlerror()), BROKEN;
        for (int n = 0; n < 10; n++)
            left(way++, WAYS);
        if (argc > 2)
            leak_page();
        /* Last: so the library comes to its old place the next time. */
        dlclose(library);
        pause_ms(50);
        if (i == TOLD)
            SAY("grown");
    }
    return 0;
}
#endif
