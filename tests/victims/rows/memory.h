/* Rows for mappings and System V segments. */
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

/* Every mapping is this long: its neighbours must not be mistaken for it. */
enum { PAGES = 8 };
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

INLINE void map_at(struct unit *unit, void *where, int flags, int fd)
{
    long start = SYS(SYS_mmap, where, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (start < 0 && start > -4096)
        must(start, "mmap");
    unit->address = (void *)start;
    unit->length = PAGES * PAGE;
}
static void release_mapping(struct unit *unit)
{
    must(SYS(SYS_munmap, unit->address, unit->length), "munmap");
}

INLINE void acquire_mmap_anonymous(struct unit *unit) { map_at(unit, 0, ANONYMOUS, -1); }
SITES(mmap_anonymous)

static long mapped;
static void setup_mmap_file(void)
{
    mapped = must(SYS(SYS_openat, AT_FDCWD, file_path, O_RDWR), __func__);
}
INLINE void acquire_mmap_file(struct unit *unit) { map_at(unit, 0, MAP_SHARED, mapped); }
SITES(mmap_file)

/* A hole in the middle: two pieces of three pages stay. */
INLINE void acquire_mmap_partial(struct unit *unit)
{
    map_at(unit, 0, ANONYMOUS, -1);
    must(SYS(SYS_munmap, (char *)unit->address + 3 * PAGE, 2 * PAGE), __func__);
}
SITES(mmap_partial)

/* A mapping over the one before: one stays. */
INLINE void acquire_mmap_fixed(struct unit *unit)
{
    map_at(unit, 0, ANONYMOUS, -1);
    map_at(unit, unit->address, ANONYMOUS | MAP_FIXED, -1);
}
SITES(mmap_fixed)

/* Grows, and most likely moves. */
INLINE void acquire_mremap(struct unit *unit)
{
    map_at(unit, 0, ANONYMOUS, -1);
    long start = SYS(SYS_mremap, unit->address, unit->length, 4 * unit->length, MREMAP_MAYMOVE);
    if (start < 0 && start > -4096)
        must(start, "mremap");
    unit->address = (void *)start;
    unit->length *= 4;
}
SITES(mremap)

/* One munmap releases two neighbours. */
INLINE void acquire_munmap_two(struct unit *unit)
{
    struct unit second;
    map_at(unit, 0, ANONYMOUS, -1);
    long whole = SYS(SYS_mremap, unit->address, unit->length, 2 * unit->length, MREMAP_MAYMOVE);
    if (whole < 0 && whole > -4096)
        must(whole, "mremap");
    map_at(&second, (char *)whole + unit->length, ANONYMOUS | MAP_FIXED, -1);
    unit->address = (void *)whole;
    unit->length *= 2;
}
SITES(munmap_two)

/* A segment that goes with its last attachment, which setup has. */
static long segment;
static void setup_shmat(void)
{
    segment = must(SYS(SYS_shmget, IPC_PRIVATE, PAGES * PAGE, IPC_CREAT | 0600), __func__);
    long start = SYS(SYS_shmat, segment, 0, 0);
    must(SYS(SYS_shmctl, segment, IPC_RMID, 0), __func__);
    if (start < 0 && start > -4096)
        must(start, __func__);
}
INLINE void acquire_shmat(struct unit *unit)
{
    long start = SYS(SYS_shmat, segment, 0, 0);
    if (start < 0 && start > -4096)
        must(start, __func__);
    unit->address = (void *)start;
}
SITES(shmat)
static void release_shmat(struct unit *unit) { must(SYS(SYS_shmdt, unit->address), __func__); }

INLINE void acquire_shmget(struct unit *unit)
{
    unit->id = must(SYS(SYS_shmget, IPC_PRIVATE, PAGES * PAGE, IPC_CREAT | 0600), __func__);
}
SITES(shmget)
static void release_shmget(struct unit *unit)
{
    must(SYS(SYS_shmctl, unit->id, IPC_RMID, 0), __func__);
}

#define MEMORY_ROWS                                                            \
    ROW(mmap_anonymous, setup_nothing, release_mapping),                       \
    ROW(mmap_file, setup_mmap_file, release_mapping),                          \
    ROW(mmap_partial, setup_nothing, release_mapping),                         \
    ROW(mmap_fixed, setup_nothing, release_mapping),                           \
    ROW(mremap, setup_nothing, release_mapping),                               \
    ROW(munmap_two, setup_nothing, release_mapping),                           \
    ROW(shmat, setup_shmat, release_shmat), ROW(shmget, setup_nothing, release_shmget)
