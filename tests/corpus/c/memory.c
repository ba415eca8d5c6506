/* memory PATTERN: mappings that grow to a bound, and some that do not stop. */
#include "corpus.h"
#include <sys/mman.h>

/* Arenas up to a bound. */
SITE static char *map_arena(size_t size)
{
    char *arena = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(arena == MAP_FAILED ? -1 : 0, "mmap");
    arena[0] = 1;
    return arena;
}

static void arenas(void)
{
    beat at = {0};
    for (int n = 0; n < 40; n++, pace(&at, 4))
        map_arena(1 << 20);
    for (;; pace(&at, 10))
        must(munmap(map_arena(1 << 16), 1 << 16), "munmap");
}

/* Large blocks, each given back when its place in the cache is needed. */
static void memory_cache(void)
{
    char *held[32];
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, 8)) {
        size_t size = 512 * 1024;
        if (n >= 32)
            must(munmap(held[n % 32], size), "munmap");
        held[n % 32] = map_arena(size);
    }
}

/* malloc and free at random, to a bound: the allocator grows and keeps. */
static void allocator(void)
{
    void *held[400] = {0};
    for (beat at = {0};; pace(&at, 100)) {
        int place = (int)(chance() * 400);
        free(held[place]);
        held[place] = malloc((size_t)(chance() * chance() * 300 * 1024) + 1);
        if (held[place])
            memset(held[place], 1, 1);
    }
}

/* Maps a buffer for each request and unmaps but half of it. */
SITE static char *map_buffer(size_t size)
{
    char *buffer = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(buffer == MAP_FAILED ? -1 : 0, "mmap");
    return buffer;
}

static void half_unmapped(void)
{
    const size_t half = 64 * 1024;
    for (beat at = {0};; pace(&at, 6)) {
        char *buffer = map_buffer(2 * half);
        buffer[half] = 1;
        munmap(buffer, half);
    }
}

/* A view of a part of a file. */
SITE static char *map_view(int file, long part)
{
    char *view = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, part * 8192);
    must(view == MAP_FAILED ? -1 : 0, "mmap");
    return view;
}

enum { VIEWS = 40 };

/* A file of which views are taken, which do not lie side by side. */
static int views_file(void)
{
    FILE *file = tmpfile();
    must(file ? ftruncate(fileno(file), 1024 * 8192) : -1, "tmpfile");
    return fileno(file);
}

/* Keeps each view of a file that it ever took. */
static void file_views(void)
{
    int file = views_file();
    long part = 0;
    for (beat at = {0};; pace(&at, 6))
        map_view(file, part++ % 1024);
}

/* Keeps the last forty. */
static void file_view_cache(void)
{
    static char *cache[VIEWS];
    int file = views_file();
    long part = 0;
    for (beat at = {0};; pace(&at, 6)) {
        char **slot = &cache[part % VIEWS];
        if (*slot)
            munmap(*slot, 4096);
        *slot = map_view(file, part++ % 1024);
    }
}

static const pattern programs[] = {
    {"arenas", arenas},
    {"memory-cache", memory_cache},
    {"allocator", allocator},
    {"half-unmapped", half_unmapped},
    {"file-views", file_views},
    {"file-view-cache", file_view_cache},
};

int main(int argc, char **argv)
{
    return BEGIN(programs);
}
