/* Frames of unusual depth, size and alignment, and code that has no tables. */
#include <alloca.h>
#include <dlfcn.h>
#include <sys/mman.h>

/* How many times to acquire. */
static int count;

LEAK(leak_deep)

SITE long descend(long depth)
{
    if (depth == 0)
        return leak_deep();
    long file = descend(depth - 1);
    KEEP(file);
    return file;
}

/* ARGUMENT: how many frames of descend lie between. */
SITE void by_depth(char **arguments)
{
    for (volatile int left = count; left > 0; left--)
        descend(atol(arguments[0]) - 1);
}

LEAK(leak_far)

/* Found through the frame pointer alone. */
SITE long variable(volatile size_t size)
{
    char *room = alloca(size);
    memset(room, 1, size);
    KEEP(room);
    long file = leak_far();
    KEEP(room);
    return file;
}

/* Further down than a copy of the stack reaches. */
SITE long spacious(void)
{
    char room[48 << 10];
    memset(room, 1, sizeof room);
    KEEP(room);
    long file = variable(6000);
    KEEP(room);
    return file;
}

SITE void by_size(char **arguments)
{
    KEEP(arguments);
    for (volatile int left = count; left > 0; left--)
        spacious();
}

LEAK(leak_aligned)

SITE long realigned(volatile size_t size)
{
    _Alignas(64) char line[64];
    char *room = alloca(size);
    memset(room, 1, size);
    memset(line, 1, sizeof line);
    KEEP(room);
    KEEP(line);
    long file = leak_aligned();
    KEEP(line);
    return file;
}

SITE void by_alignment(char **arguments)
{
    KEEP(arguments);
    for (volatile int left = count; left > 0; left--)
        realigned(24);
}

LEAK(leak_below_jit)

SITE long called_back(void)
{
    long file = leak_below_jit();
    KEEP(file);
    return file;
}

SITE long calling(long (*code)(long (*)(void)), long (*callback)(void))
{
    long file = code(callback);
    KEEP(file);
    return file;
}

/* Code as compilers at run time write it: with a frame pointer, without a table. */
SITE void by_jit(char **arguments)
{
    KEEP(arguments);
#if defined(__x86_64__)
    /* push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret */
    static const unsigned char CODE[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    got(page == MAP_FAILED ? -1 : 0);
    memcpy(page, CODE, sizeof CODE);
    got(mprotect(page, 4096, PROT_READ | PROT_EXEC));
    for (volatile int left = count; left > 0; left--)
        calling((long (*)(long (*)(void)))page, called_back);
#else
    exit(LACKS);
#endif
}

static void *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(BROKEN);
    }
    return library;
}

SITE void use(void *library)
{
    long (*plugin)(void) = (long (*)(void))dlsym(library, "plugin");
    for (volatile int left = count; left > 0; left--) {
        long file = plugin();
        KEEP(file);
    }
}

/* ARGUMENT: a library. */
SITE void by_plugin(char **arguments)
{
    use(load(arguments[0]));
}

/* Where a library begins. */
static void *base_of(void *library)
{
    Dl_info found = {0};
    dladdr(dlsym(library, "plugin"), &found);
    return found.dli_fbase;
}

/* ARGUMENTS: a library, and the one that takes its place. */
SITE void by_reloaded(char **arguments)
{
    void *library = load(arguments[0]);
    void *was = base_of(library);
    use(library);
    /* What is gone from memory at once can not be read: plugins are used for longer. */
    pause_ms(1000);
    dlclose(library);
    library = load(arguments[1]);
    use(library);
    SAY("reloaded %s", was == base_of(library) ? "in its place" : "elsewhere");
}
