/* rows NAME leak|twin [COUNT]: acquires through one row of the table of system
 * calls. `leak` keeps COUNT of them, `twin` gives all back. Both acquire in a
 * function of their own, leak_NAME or twin_NAME, spread over some two seconds,
 * with pairs of correct use in between. Everything a row needs that is not its
 * subject is acquired in setup_NAME or peer_NAME. */
#include "victim.h"

/* One acquisition: what is needed to give it back. */
struct unit {
    long fds[4];
    int count;
    void *address;
    size_t length;
    long id;
};

enum { MOST_UNITS = 256 };
static const long PAGE = 4096;

/* A file and a directory that exist as long as the victim. */
static char directory[] = "/tmp/leaktrace-rows-XXXXXX";
static char file_path[64];
static char other_path[64];

#define KEEP(unit, fd) ((unit)->fds[(unit)->count++] = must((fd), __func__))

static void close_fds(struct unit *unit)
{
    for (int i = 0; i < unit->count; i++)
        must(SYS(SYS_close, unit->fds[i]), "close");
    unit->count = 0;
}

static void keep_all(struct unit *unit) { (void)unit; }
static void setup_nothing(void) {}

struct row {
    const char *name;
    void (*setup)(void);
    void (*leak)(struct unit *);
    void (*twin)(struct unit *);
    /* How the twin gives back. */
    void (*release)(struct unit *);
    /* What the leak does where the twin gives back. */
    void (*keep)(struct unit *);
    /* How often a unit is acquired and given back between two that stay. */
    int pairs;
};

/* Makes leak_NAME and twin_NAME of acquire_NAME. */
#define SITES(name)                                                            \
    SITE void leak_##name(struct unit *unit) { acquire_##name(unit); }         \
    SITE void twin_##name(struct unit *unit) { acquire_##name(unit); }
#define ROW(name, setup, release)                                              \
    {#name, setup, leak_##name, twin_##name, release, keep_all, 3}
/* A row whose victim executes itself in the end, which gives back what closes then. */
#define EXEC_ROW(name)                                                         \
    {"exec_" #name, setup_nothing, leak_exec_##name, twin_exec_##name, keep_all, keep_all, 0}
/* The same for a row whose acquisition is one system call with a descriptor as
 * its result. */
#define RETURNS(name, ...)                                                     \
    INLINE void acquire_##name(struct unit *unit) { KEEP(unit, SYS(__VA_ARGS__)); } \
    SITES(name)

#include "rows/files.h"
#include "rows/sockets.h"
#include "rows/events.h"
#include "rows/kernel.h"
#include "rows/asked.h"
#include "rows/memory.h"
#include "rows/tasks.h"
#include "rows/uring.h"

static const struct row rows[] = {FILE_ROWS,   SOCKET_ROWS, EVENT_ROWS, KERNEL_ROWS,
                                  ASKED_ROWS,                                  MEMORY_ROWS, TASK_ROWS,   URING_ROWS};

static void make_files(void)
{
    if (!mkdtemp(directory))
        must(-errno, "mkdtemp");
    snprintf(file_path, sizeof file_path, "%s/file", directory);
    snprintf(other_path, sizeof other_path, "%s/other", directory);
    int fd = open(file_path, O_CREAT | O_WRONLY, 0600);
    if (fd < 0 || ftruncate(fd, 64 * PAGE) || close(fd))
        must(-errno, file_path);
}

static void remove_files(void)
{
    unlink(file_path);
    unlink(other_path);
    rmdir(directory);
}

/* How many descriptors stay open when the process executes. */
static int survivors(const struct unit *units, int count)
{
    int stay = 0;
    for (int i = 0; i < count; i++)
        for (int fd = 0; fd < units[i].count; fd++)
            stay += !(must(SYS(SYS_fcntl, units[i].fds[fd], F_GETFD), __func__) & FD_CLOEXEC);
    return stay;
}

static void spread(const struct row *row, int leaks, struct unit *units, int count)
{
    void (*acquire)(struct unit *) = leaks ? row->leak : row->twin;
    for (int i = 0; i < count; i++) {
        acquire(&units[i]);
        for (int pair = 0; pair < row->pairs; pair++) {
            struct unit brief = {0};
            acquire(&brief);
            row->release(&brief);
        }
        pause_ms(2000 / count);
    }
    for (int i = 0; i < count; i++)
        (leaks ? row->keep : row->release)(&units[i]);
}

int main(int argc, char **argv)
{
    static struct unit units[MOST_UNITS];
    if (argc == 3 && !strcmp(argv[1], "after-exec")) {
        SAY("held %s", argv[2]);
        await_word();
        return 0;
    }
    int count = argc > 3 ? atoi(argv[3]) : 5;
    if (argc < 3 || count < 1 || count > MOST_UNITS) {
        fprintf(stderr, "usage: rows NAME leak|twin [COUNT]\n");
        return BROKEN;
    }
    int leaks = !strcmp(argv[2], "leak");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        if (strcmp(row->name, argv[1]))
            continue;
        make_files();
        atexit(remove_files);
        row->setup();
        await_start();
        spread(row, leaks, units, count);
        if (!strncmp(row->name, "exec", 4)) {
            char held[16];
            snprintf(held, sizeof held, "%d", survivors(units, count));
            remove_files();
            execl("/proc/self/exe", argv[0], "after-exec", held, NULL);
            must(-errno, "exec");
        }
        SAY("held %d", leaks ? count : 0);
        await_word();
        /* What outlives a process: segments. */
        if (leaks && row->release == release_shmget)
            for (int unit = 0; unit < count; unit++)
                row->release(&units[unit]);
        return 0;
    }
    fprintf(stderr, "no row is called %s\n", argv[1]);
    return BROKEN;
}
