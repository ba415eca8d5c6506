/* chain COUNT WAY...: acquires COUNT descriptors in each way, through main, outer,
 * middle, inner and the function of the way. Lines that a test looks up bear the
 * name of their function behind an at-sign. */
#include "unwind.h"
#include <sys/eventfd.h>

typedef long acquire(void);

SITE long leak_open(void)
{
    long file = open("/dev/null", O_RDONLY); /* @leak_open */
    return got(file);
}

SITE long leak_openat(void)
{
    long file = openat(AT_FDCWD, "/dev/null", O_RDONLY); /* @leak_openat */
    return got(file);
}

SITE long leak_socket(void)
{
    long end = socket(AF_UNIX, SOCK_DGRAM, 0); /* @leak_socket */
    return got(end);
}

SITE long leak_eventfd(void)
{
    long counter = eventfd(0, 0); /* @leak_eventfd */
    return got(counter);
}

/* Without the C library, whose functions may lack tables. */
SITE long leak_raw(void)
{
    /* One line, whichever of the two the return address is counted to. */
    return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", 0), "openat"); /* @leak_raw */
}

/* A frame of nothing but the return address and what aligns it. */
SITE long inner(acquire *way)
{
    long descriptor = way(); /* @inner */
    KEEP(descriptor);
    return descriptor;
}

/* A frame of some size. */
SITE long middle(acquire *way)
{
    char room[600];
    memset(room, 7, sizeof room);
    KEEP(room);
    long descriptor = inner(way); /* @middle */
    KEEP(room);
    return descriptor + room[descriptor % 600];
}

/* A frame full of saved registers. */
SITE long outer(acquire *way, long a, long b, long c, long d, long e)
{
    long sum = a * b + c * d + e;
    KEEP(sum);
    long descriptor = middle(way); /* @outer */
    KEEP(descriptor);
    return descriptor + a + b + c + d + e + sum;
}

static const struct {
    const char *name;
    acquire *way;
} WAYS[] = {
    {"open", leak_open},       {"openat", leak_openat}, {"socket", leak_socket},
    {"eventfd", leak_eventfd}, {"raw", leak_raw},
};

static acquire *way_of(const char *name)
{
    for (size_t i = 0; i < sizeof WAYS / sizeof *WAYS; i++)
        if (!strcmp(name, WAYS[i].name))
            return WAYS[i].way;
    exit(BROKEN);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return BROKEN;
    int count = atoi(argv[1]);
    await_start();
    for (volatile int i = 0; i < count * (argc - 2); i++) {
        acquire *way = way_of(argv[2 + i / count]);
        long kept = outer(way, 1, 2, 3, 4, 5); /* @main */
        KEEP(kept);
        pause_ms(5);
    }
    linger();
    return 0;
}
