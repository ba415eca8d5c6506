/* leaks PATTERN [RATE]: files that are never closed, each pattern as programs leak
 * them: seldom, by steps, on errors, in a race, late, in bursts. */
#include "corpus.h"
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>

static double rate_of(int argc, char **argv, double otherwise)
{
    return argc > 0 ? atof(argv[0]) : otherwise;
}

SITE static int open_session(void)
{
    return (int)must(open("/etc/hostname", O_RDONLY | O_CLOEXEC), "open");
}

/* The same, for one that may be refused. */
SITE static int try_session(void)
{
    return open("/etc/hostname", O_RDONLY | O_CLOEXEC);
}

/* At this rate, evenly. */
static void even(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 5);
    begin();
    for (beat at = {0};; pace(&at, rate))
        open_session();
}

/* One a second among 5000 opened and closed a second, from the same function. */
static void noise(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 1);
    begin();
    beat at = {0};
    for (unsigned n = 0;; n++) {
        for (int i = 0; i < 50; i++)
            close(open_session());
        if (n % (unsigned)(100 / rate) == 0)
            open_session();
        pace(&at, 100);
    }
}

/* A request every two seconds keeps sixteen. */
static void steps(int argc, char **argv)
{
    (void)argc, (void)argv;
    begin();
    for (beat at = {0};; pace(&at, 0.5))
        for (int i = 0; i < 16; i++)
            open_session();
}

/* Returns before the close when a request is bad, which every tenth is. */
SITE static int handle_request(unsigned number)
{
    int file = open_session();
    if (number % 10 == 9)
        return -1;
    rest(0.001);
    close(file);
    return 0;
}

static void error_path(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 60);
    begin();
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, rate))
        handle_request(n);
}

/* Two threads both see that a file is not open yet, and both open it: one of the
 * two descriptors is overwritten. */
static int shared_file = -1;
static pthread_barrier_t both;

SITE static void open_once(void)
{
    if (shared_file < 0) {
        pthread_barrier_wait(&both);
        shared_file = open_session();
    }
}

static void *race_on(void *argument)
{
    for (;;) {
        pthread_barrier_wait(&both);
        open_once();
        pthread_barrier_wait(&both);
    }
    return argument;
}

static void race(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 6);
    begin();
    pthread_t other;
    must(pthread_barrier_init(&both, NULL, 2), "barrier");
    must(-pthread_create(&other, NULL, race_on, NULL), "pthread_create");
    for (beat at = {0};; pace(&at, rate)) {
        pthread_barrier_wait(&both);
        open_once();
        pthread_barrier_wait(&both);
        close(shared_file);
        shared_file = -1;
    }
}

/* Duplicates its log at each request. */
SITE static int save_output(int file)
{
    return (int)must(fcntl(file, F_DUPFD_CLOEXEC, 10), "dup");
}

static void duplicates(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 6);
    begin();
    int log = open_session();
    for (beat at = {0};; pace(&at, rate))
        save_output(log);
}

/* Temporary files that were deleted and are written to, but never closed. */
SITE static int spill(void)
{
    char name[] = "/tmp/leaktrace-corpus-XXXXXX";
    int file = (int)must(mkstemp(name), "mkstemp");
    unlink(name);
    return file;
}

static void deleted(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 2);
    static char block[4096];
    begin();
    for (beat at = {0};; pace(&at, rate))
        must(write(spill(), block, sizeof block), "write");
}

/* A timer for each request, registered and never removed. */
SITE static int add_timer(int epoll)
{
    int timer = (int)must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd");
    struct itimerspec hour = {{0, 0}, {3600, 0}};
    must(timerfd_settime(timer, 0, &hour, NULL), "timerfd_settime");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = timer};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event), "epoll_ctl");
    return timer;
}

static void timers(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 8);
    begin();
    int epoll = (int)must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    for (beat at = {0};; pace(&at, rate))
        add_timer(epoll);
}

/* A watcher for each visitor, never closed. */
SITE static int watch(const char *path)
{
    int watcher = (int)must(inotify_init1(IN_CLOEXEC), "inotify_init1");
    must(inotify_add_watch(watcher, path, IN_MODIFY), "inotify_add_watch");
    return watcher;
}

static void watches(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 1);
    /* Each user may have but 128 of them. */
    must(setuid(61003), "setuid");
    begin();
    beat at = {0};
    for (int n = 0; n < 120; n++, pace(&at, rate))
        watch("/etc");
    pause();
}

/* All is well for ten seconds. */
static void late(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 10);
    begin();
    for (double start = now(); now() < start + 10; rest(0.1))
        close(open_session());
    for (beat at = {0};; pace(&at, rate))
        open_session();
}

/* Ten at once, every four seconds. */
static void bursts(int argc, char **argv)
{
    (void)argc, (void)argv;
    begin();
    for (beat at = {0};; pace(&at, 0.25))
        for (int i = 0; i < 10; i++)
            open_session();
}

/* A cache and a leak in one function: of ten a second nine are closed after two
 * seconds, one never. */
static void among_cached(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 10);
    enum { HELD = 20 };
    int held[HELD];
    begin();
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, rate)) {
        if (n >= HELD && held[n % HELD] >= 0)
            close(held[n % HELD]);
        held[n % HELD] = open_session();
        if (n % 10 == 0)
            held[n % HELD] = -1;
    }
}

/* Batches of forty, of which four are forgotten. */
static void drifting_batches(int argc, char **argv)
{
    (void)argc, (void)argv;
    int batch[40];
    begin();
    beat at = {0};
    for (unsigned n = 1;; n++, pace(&at, 10)) {
        batch[n % 40] = open_session();
        if (n % 40 == 39)
            for (int i = 0; i < 36; i++)
                close(batch[i]);
    }
}

/* Every request is slower than the one before, and all of them stay open. */
static void slowing(int argc, char **argv)
{
    (void)argc, (void)argv;
    begin();
    double rate = 12;
    for (beat at = {0};; pace(&at, rate)) {
        open_session();
        if (rate > 5)
            rate *= 0.995;
    }
}

/* One a second, in the place of a pool that is full after ten seconds, and of sessions of three
 * seconds. */
static void beside_pool(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 1);
    enum { POOL = 60, BEATS = 12, LIFE = 3 * BEATS };
    int sessions[LIFE];
    memset(sessions, -1, sizeof sessions);
    begin();
    beat at = {0};
    double leaked = 0;
    for (unsigned n = 0;; n++, pace(&at, BEATS)) {
        if (n % 2 == 0 && n / 2 < POOL)
            open_session();
        if (sessions[n % LIFE] >= 0)
            close(sessions[n % LIFE]);
        sessions[n % LIFE] = n % 6 == 0 ? open_session() : -1;
        for (leaked += rate / BEATS; leaked >= 1; leaked--)
            open_session();
    }
}

static void accelerating(int argc, char **argv)
{
    (void)argc, (void)argv;
    begin();
    double rate = 1;
    for (beat at = {0};; pace(&at, rate)) {
        open_session();
        if (rate < 20)
            rate *= 1.02;
    }
}

/* Requests come at random, and each keeps its file. */
static void random_arrivals(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 6);
    begin();
    for (;;) {
        open_session();
        /* Three throws added come near enough to what arrives by chance. */
        rest((chance() * chance() * 4) / rate);
    }
}

/* Goes on until the limit, and fails from then on, as a service that logs the error. */
static void wall(int argc, char **argv)
{
    double rate = rate_of(argc, argv, 20);
    limit_files(300);
    begin();
    for (beat at = {0};; pace(&at, rate))
        try_session();
}

static const program programs[] = {
    {"even", even},
    {"noise", noise},
    {"steps", steps},
    {"error-path", error_path},
    {"race", race},
    {"duplicates", duplicates},
    {"deleted", deleted},
    {"timers", timers},
    {"watches", watches},
    {"late", late},
    {"bursts", bursts},
    {"among-cached", among_cached},
    {"drifting-batches", drifting_batches},
    {"slowing", slowing},
    {"beside-pool", beside_pool},
    {"accelerating", accelerating},
    {"random-arrivals", random_arrivals},
    {"wall", wall},
};

int main(int argc, char **argv)
{
    return DISPATCH(programs);
}
