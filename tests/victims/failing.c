/* failing WAY TIMES: runs into a limit in the function fail_WAY, TIMES times, and
 * says "held" with what it holds by then. The ways of the twins run into none.
 *
 * open, socket, accept, dup, ring: RLIMIT_NOFILE. thread, fork: RLIMIT_NPROC of a user
 * of its own. group: the limit of its control group. map: RLIMIT_AS. inotify: the limit of its
 * user name space.
 * watch: the watches of inotify in a user name space of its own.
 * twin: opens and closes below the limit. again: an accept that need not wait. */
#include "victim.h"
#include "rows/ring.h"
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
    DESCRIPTORS = 40,
    WATCHES = 20,
    TASKS = 4,
    /* Users are from here to 53999. */
    USER = 20000,
    MIB = 1 << 20,
};

static int times, listener, flags;

static void limit(int resource, rlim_t value)
{
    struct rlimit both = {value, value};
    must(setrlimit(resource, &both) ? -errno : 0, "setrlimit");
}

static long listens(int type)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    long made = must(SYS(SYS_socket, AF_INET, SOCK_STREAM | type, 0), "socket");
    must(SYS(SYS_bind, made, &address, length), "bind");
    must(SYS(SYS_listen, made, 128), "listen");
    return made;
}

/* A connection that waits to be accepted. */
static void connects(void)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    must(SYS(SYS_getsockname, listener, &address, &length), "getsockname");
    long made = must(SYS(SYS_socket, AF_INET, SOCK_STREAM, 0), "socket");
    must(SYS(SYS_connect, made, &address, length), "connect");
}

SITE long fail_open(void) { return SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY); }
SITE long fail_socket(void) { return SYS(SYS_socket, AF_INET, SOCK_DGRAM, 0); }
SITE long fail_dup(void) { return SYS(SYS_dup, 0); }
SITE long fail_accept(void) { return SYS(SYS_accept4, listener, 0, 0, flags); }
SITE long fail_ring(void)
{
    submit((struct io_uring_sqe){.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD,
                                 .addr = (unsigned long)"/dev/null"});
    return complete();
}
SITE long fail_map(void)
{
    return SYS(SYS_mmap, 0, 64 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

SITE long fail_inotify(void) { return SYS(SYS_inotify_init1, 0); }
/* Watches one file after the other, on one instance. */
static long instance;
SITE long fail_watch(void)
{
    static int next;
    char path[64];
    snprintf(path, sizeof path, "/tmp/leaktrace-watched-%d-%d", getpid(), next);
    if (next < 2 * WATCHES) {
        SYS(SYS_close, must(SYS(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY, 0600), path));
        next++;
    }
    long result = SYS(SYS_inotify_add_watch, instance, path, IN_MODIFY);
    return result;
}
static void setup_watch(void)
{
    must(unshare(CLONE_NEWUSER) ? -errno : 0, "unshare");
    int limit = must(SYS(SYS_openat, AT_FDCWD, "/proc/sys/user/max_inotify_watches", O_WRONLY),
                     "the limit of watches");
    char most[8];
    snprintf(most, sizeof most, "%d", WATCHES);
    must(SYS(SYS_write, limit, most, strlen(most)), "the limit of watches");
    SYS(SYS_close, limit);
    instance = must(SYS(SYS_inotify_init1, 0), "inotify");
}
static void remove_watched(void)
{
    char path[64];
    for (int i = 0; i < 2 * WATCHES; i++) {
        snprintf(path, sizeof path, "/tmp/leaktrace-watched-%d-%d", getpid(), i);
        unlink(path);
    }
}

static void *waits(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

SITE long fail_thread(void)
{
    pthread_t thread;
    return -pthread_create(&thread, 0, waits, 0);
}

SITE long fail_fork(void)
{
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        waits(0);
    }
    return child < 0 ? -errno : child;
}
#define fail_group fail_fork

/* Until it fails often enough; how often it did not. */
static int runs(long (*way)(void), int error)
{
    int held = 0;
    for (int failed = 0; failed < times;) {
        long result = way();
        if (result >= 0) {
            held++;
        } else if (result == -error) {
            failed++;
        } else {
            must(result, "what is to fail in another way");
        }
    }
    return held;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return BROKEN;
    times = atoi(argv[2]);
    const char *way = argv[1];
#define IS(name) !strcmp(way, #name)
    int held = 0;
    if (IS(accept)) {
        listener = listens(0);
        for (int i = 0; i < times + DESCRIPTORS / 2; i++) {
            /* What connects is to be no descriptor of this process. */
            pid_t child = fork();
            if (child == 0) {
                connects();
                _exit(0);
            }
            must(child, "fork");
            waitpid(child, 0, 0);
        }
    }
    if (IS(watch))
        setup_watch();
    if (IS(ring))
        setup_uring();
    if (IS(again))
        listener = listens(SOCK_NONBLOCK);
    if (IS(thread) || IS(fork)) {
        /* Nobody else's: what an earlier one had started may not be gone yet. */
        int user = USER + getpid() % 34000;
        must(SYS(SYS_setresgid, user, user, user), "setresgid");
        must(SYS(SYS_setresuid, user, user, user), "setresuid");
        limit(RLIMIT_NPROC, TASKS);
        /* Forgotten when the user changes. */
        must(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
    } else if (IS(map)) {
        limit(RLIMIT_AS, 200 * MIB);
    } else if (IS(inotify)) {
        enter_user_namespace("max_inotify_instances", TASKS);
    } else if (!IS(group)) {
        limit(RLIMIT_NOFILE, IS(accept) ? DESCRIPTORS / 2 : DESCRIPTORS);
    }
    await_start();
    if (IS(open))
        held = runs(fail_open, EMFILE);
    else if (IS(socket))
        held = runs(fail_socket, EMFILE);
    else if (IS(dup))
        held = runs(fail_dup, EMFILE);
    else if (IS(ring))
        held = runs(fail_ring, EMFILE);
    else if (IS(accept))
        held = runs(fail_accept, EMFILE);
    else if (IS(thread))
        held = runs(fail_thread, EAGAIN);
    else if (IS(fork))
        held = runs(fail_fork, EAGAIN);
    else if (IS(group))
        held = runs(fail_group, EAGAIN);
    else if (IS(map))
        held = runs(fail_map, ENOMEM);
    else if (IS(inotify))
        held = runs(fail_inotify, EMFILE);
    else if (IS(watch))
        held = runs(fail_watch, ENOSPC);
    else if (IS(again))
        held = runs(fail_accept, EAGAIN);
    else if (IS(twin))
        for (int i = 0; i < 10 * DESCRIPTORS; i++)
            must(SYS(SYS_close, must(fail_open(), "open")), "close");
    else
        return BROKEN;
    SAY("held %d", held);
    await_word();
    if (IS(watch))
        remove_watched();
    return 0;
}
