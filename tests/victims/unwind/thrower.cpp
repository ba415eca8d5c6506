// thrower COUNT: acquires COUNT files while an exception is handled, while one
// cleans up, and in functions that exist only within another. Lives on
// for a while.
#include <cstdlib>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <unistd.h>

#define SITE __attribute__((noipa))
#define KEEP(value) __asm__ volatile("" : : "r"(value) : "memory")

namespace victim {

struct Keeper {
    SITE int leak_in_catch(const std::string &path) const
    {
        int file = open(path.c_str(), O_RDONLY);
        KEEP(file);
        return file;
    }
};

SITE void leak_in_cleanup()
{
    int file = open("/dev/null", O_RDONLY);
    KEEP(file);
}

struct Guard {
    __attribute__((noinline)) ~Guard()
    {
        leak_in_cleanup();
        KEEP(this);
    }
};

SITE void throws(int depth)
{
    char room[200];
    KEEP(room);
    if (depth == 0)
        throw std::runtime_error("thrown");
    throws(depth - 1);
    KEEP(room);
}

SITE void guarded()
{
    Guard guard;
    KEEP(&guard);
    throws(10);
}

SITE void catches()
{
    try {
        throws(10);
    } catch (const std::exception &) {
        Keeper().leak_in_catch("/dev/null");
    }
}

SITE void cleans()
{
    try {
        guarded();
    } catch (const std::exception &error) {
        KEEP(&error);
    }
}

template <int N> struct Level {
    static inline __attribute__((always_inline)) int leak()
    {
        return Level<N - 1>::leak();
    }
};

template <> struct Level<0> {
    static inline __attribute__((always_inline)) int leak()
    {
        int file = open("/dev/null", O_RDONLY);
        KEEP(file);
        return file;
    }
};

SITE void leak_inlined()
{
    int file = Level<2>::leak();
    KEEP(file);
}

} // namespace victim

int main(int argc, char **argv)
{
    for (volatile int left = argc > 1 ? atoi(argv[1]) : 0; left > 0; left = left - 1) {
        victim::catches();
        victim::cleans();
        victim::leak_inlined();
    }
    sleep(1);
    return 0;
}
