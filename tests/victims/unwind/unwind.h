/* What the victims of this directory share: calls through the C library, as real
 * programs make them, from functions whose frames differ in shape. They are built
 * in many ways, so nothing here relies on how. */
#ifndef UNWIND_H
#define UNWIND_H
#include "../victim.h"

#ifdef __clang__
#undef SITE
#define SITE __attribute__((noinline))
#endif

/* The value exists in memory here, and the compiler knows nothing about it. */
#define KEEP(value) __asm__ volatile("" : : "r"(value) : "memory")

/* A descriptor that was to be had. */
INLINE long got(long descriptor)
{
    if (descriptor < 0) {
        perror("acquiring");
        exit(BROKEN);
    }
    return descriptor;
}

/* Waits for the last word. A victim that nobody talks to lives on for a while: what
 * is gone at once is another matter. */
static inline void linger(void)
{
    char byte;
    SAY("held");
    if (read(0, &byte, 1) != 1)
        pause_ms(400);
}

#define LEAK(name)                                                             \
    SITE long name(void)                                                       \
    {                                                                          \
        long file = got(open("/dev/null", O_RDONLY));                          \
        KEEP(file);                                                            \
        return file;                                                           \
    }
#endif
