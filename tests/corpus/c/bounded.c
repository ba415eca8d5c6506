/* bounded PATTERN: descriptors that are held for long and come down, or stop
 * growing: what a correct service does. */
#include "corpus.h"
#include <math.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>

enum { MANY = 512 };

SITE static int open_entry(void)
{
    return (int)must(open("/etc/hosts", O_RDONLY | O_CLOEXEC), "open");
}

/* So many at the start, then work that holds nothing. */
static void start_up_burst(void)
{
    for (int i = 0; i < 200; i++)
        open_entry();
    for (beat at = {0};; pace(&at, 50))
        close(open_entry());
}

/* Grows to its bound, then gives back the oldest for each new one. */
static void pool(double per_second, unsigned bound)
{
    int held[MANY];
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, per_second)) {
        if (n >= bound)
            close(held[n % bound]);
        held[n % bound] = open_entry();
    }
}

static void pool_slow(void)
{
    pool(1, 30);
}

static void pool_fast(void)
{
    pool(8, 24);
}

/* A pool that is full after half a minute, and sessions of eight seconds beside it, from one
 * place: from then on as many end as begin. */
static void pool_beside_sessions(void)
{
    enum { POOL = 120, SECONDS = 30, LIFE = 8 };
    static struct {
        int file;
        double end;
    } sessions[MANY];
    unsigned begun = 0, ended = 0;
    double start = now();
    for (int pooled = 0;;) {
        double passed = now() - start;
        int due = pooled < POOL && pooled < passed * POOL / SECONDS;
        int session = begun < passed * 2.5;
        for (int n = 0; n < due + session; n++) {
            int file = open_entry();
            if (n < due) {
                pooled++;
            } else {
                sessions[begun % MANY].file = file;
                sessions[begun++ % MANY].end = passed + LIFE;
            }
        }
        while (ended < begun && sessions[ended % MANY].end < passed)
            close(sessions[ended++ % MANY].file);
        rest(0.02);
    }
}

/* Fills within half of a short window, then is only used. */
static void fills_then_flat(void)
{
    beat at = {0};
    for (int n = 0; n < 40; n++, pace(&at, 8))
        open_entry();
    for (;; pace(&at, 20))
        close(open_entry());
}

/* Fifteen seconds of warming up, four a second; then flat. */
static void warm_up(void)
{
    beat at = {0};
    for (double start = now(); now() < start + 15; pace(&at, 4))
        open_entry();
    for (;; pace(&at, 20))
        close(open_entry());
}

/* Opens 32 files by chance and closes the one that was not used for longest. */
static void lru(void)
{
    struct {
        int key, file;
        unsigned used;
    } cache[32];
    memset(cache, -1, sizeof cache);
    beat at = {0};
    for (unsigned n = 1;; n++, pace(&at, 25)) {
        int key = (int)(chance() * 80);
        int oldest = 0, found = -1;
        for (int i = 0; i < 32; i++) {
            if (cache[i].file >= 0 && cache[i].key == key)
                found = i;
            if (cache[i].file < 0 || (cache[oldest].file >= 0 && cache[i].used < cache[oldest].used))
                oldest = i;
        }
        if (found < 0) {
            found = oldest;
            if (cache[found].file >= 0)
                close(cache[found].file);
            cache[found].key = key;
            cache[found].file = open_entry();
        }
        cache[found].used = n;
    }
}

/* Gathers a batch, then closes all of it. */
static void sawtooth(double per_second, int batch)
{
    int held[MANY];
    beat at = {0};
    for (;;) {
        for (int n = 0; n < batch; n++, pace(&at, per_second))
            held[n] = open_entry();
        for (int n = 0; n < batch; n++)
            close(held[n]);
    }
}

static void sawtooth_short(void)
{
    sawtooth(12, 50);
}

static void sawtooth_long(void)
{
    sawtooth(4, 56);
}

/* A log that is opened anew every two seconds; three old ones are kept a while. */
static void log_rotation(void)
{
    pool(0.5, 4);
}

/* Each entry lives for so long; from then on as many go as come. */
static void ttl(double per_second, double least, double most)
{
    struct {
        int file;
        double end;
    } held[MANY];
    int count = 0;
    beat at = {0};
    for (;; pace(&at, per_second)) {
        double time = now();
        for (int i = 0; i < count;)
            if (held[i].end < time) {
                close(held[i].file);
                held[i] = held[--count];
            } else {
                i++;
            }
        if (count < MANY) {
            held[count].file = open_entry();
            held[count++].end = time + least + chance() * (most - least);
        }
    }
}

static void ttl_short(void)
{
    ttl(10, 2, 4);
}

static void ttl_long(void)
{
    ttl(5, 8, 10);
}

/* As visitors do: most are short, some stay. */
static void random_lifetimes(void)
{
    ttl(8, 0.2, 7);
}

/* Two buffers: each is renewed while the other is in use. */
static void double_buffer(void)
{
    pool(0.5, 2);
}

/* A queue whose length goes up and down with the load. */
static void wave(double seconds, double height)
{
    int held[MANY];
    int count = 0;
    double start = now();
    beat at = {0};
    for (;; pace(&at, 20)) {
        double phase = (now() - start) / seconds * 2 * 3.14159265;
        int wanted = (int)(height * (1 - cos(phase)) / 2 + 2);
        while (count < wanted)
            held[count++] = open_entry();
        while (count > wanted)
            close(held[--count]);
    }
}

static void queue(void)
{
    wave(9, 40);
}

static void slow_tide(void)
{
    wave(40, 60);
}

/* Jobs of random size, one after the other. */
static void batch_jobs(void)
{
    int held[MANY];
    beat at = {0};
    for (;;) {
        int size = 5 + (int)(chance() * 40);
        for (int n = 0; n < size; n++, pace(&at, 15))
            held[n] = open_entry();
        rest(chance() * 2);
        for (int n = size - 1; n >= 0; n--, pace(&at, 30))
            close(held[n]);
    }
}

/* Each of twelve tenants gets its file when it first comes. */
static void first_use(void)
{
    int file[12];
    memset(file, -1, sizeof file);
    for (beat at = {0};; pace(&at, 4)) {
        int tenant = (int)(chance() * 12);
        if (file[tenant] < 0)
            file[tenant] = open_entry();
        close(open_entry());
    }
}

/* A rush from the fifth second on, for three, that drains slowly. */
static void rush(void)
{
    int held[MANY];
    int count = 0;
    rest(5);
    beat at = {0};
    for (int n = 0; n < 60; n++, pace(&at, 20))
        held[count++] = open_entry();
    for (; count > 4; pace(&at, 5))
        close(held[--count]);
    for (;; pace(&at, 20))
        close(open_entry());
}

/* A timer for each request, closed two seconds later. */
static void timer_per_request(void)
{
    int held[20];
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, 10)) {
        if (n >= 20)
            close(held[n % 20]);
        held[n % 20] = (int)must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd");
    }
}

/* A watcher for each directory that is shown, closed when it is shown no more. */
static void watcher(void)
{
    int held[4];
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, 2)) {
        if (n >= 4)
            close(held[n % 4]);
        held[n % 4] = (int)must(inotify_init1(IN_CLOEXEC), "inotify_init1");
        must(inotify_add_watch(held[n % 4], n % 2 ? "/etc" : "/usr", IN_MODIFY), "inotify_add_watch");
    }
}

/* Output is redirected for each request and put back. */
SITE static int redirect(void)
{
    int saved = (int)must(fcntl(1, F_DUPFD_CLOEXEC, 10), "dup");
    int null = (int)must(open("/dev/null", O_WRONLY | O_CLOEXEC), "open");
    must(dup2(null, 1), "dup2");
    close(null);
    return saved;
}

static void redirects(void)
{
    for (beat at = {0};; pace(&at, 0.7)) {
        int saved = redirect();
        rest(1.2);
        must(dup2(saved, 1), "dup2");
        close(saved);
    }
}

/* Grows with the load to what it needs, and lets go what was idle for a while. */
static void idle_closing(void)
{
    int held[MANY];
    int count = 0;
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, 10)) {
        int wanted = 3 + (int)(chance() * chance() * 30);
        while (count < wanted)
            held[count++] = open_entry();
        if (n % 8 == 0 && count > 3)
            close(held[--count]);
    }
}

/* Flat, then a new level, as after a change of its settings; flat again. */
static void new_level(void)
{
    for (int i = 0; i < 10; i++)
        open_entry();
    rest(7);
    for (int i = 0; i < 25; i++)
        open_entry();
    for (beat at = {0};; pace(&at, 20))
        close(open_entry());
}

static void churn(void)
{
    for (beat at = {0};; pace(&at, 100))
        for (int i = 0; i < 10; i++)
            close(open_entry());
}

/* A busy server at its limit: clients are refused, and each that is served leaves again. */
static void crowded(void)
{
    int held[120];
    limit_files(100);
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, 40)) {
        unsigned slot = n % 120;
        if (n >= 120 && held[slot] >= 0)
            close(held[slot]);
        held[slot] = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
    }
}

/* A pool that is full long before a batch runs into the limit, and gives all of it back. */
static void batch_at_limit(void)
{
    limit_files(100);
    for (int i = 0; i < 40; i++)
        open_entry();
    for (;;) {
        int batch[80], count = 0;
        rest(6);
        while (count < 80 && (batch[count] = open("/etc/hostname", O_RDONLY | O_CLOEXEC)) >= 0)
            count++;
        rest(2);
        while (count > 0)
            close(batch[--count]);
    }
}

static const pattern programs[] = {
    {"start-up-burst", start_up_burst},
    {"pool-slow", pool_slow},
    {"pool-fast", pool_fast},
    {"pool-beside-sessions", pool_beside_sessions},
    {"fills-then-flat", fills_then_flat},
    {"warm-up", warm_up},
    {"lru", lru},
    {"sawtooth-short", sawtooth_short},
    {"sawtooth-long", sawtooth_long},
    {"log-rotation", log_rotation},
    {"ttl-short", ttl_short},
    {"ttl-long", ttl_long},
    {"random-lifetimes", random_lifetimes},
    {"double-buffer", double_buffer},
    {"queue", queue},
    {"slow-tide", slow_tide},
    {"batch-jobs", batch_jobs},
    {"first-use", first_use},
    {"rush", rush},
    {"timer-per-request", timer_per_request},
    {"watcher", watcher},
    {"redirects", redirects},
    {"idle-closing", idle_closing},
    {"new-level", new_level},
    {"churn", churn},
    {"crowded", crowded},
    {"batch-at-limit", batch_at_limit},
};

int main(int argc, char **argv)
{
    return BEGIN(programs);
}
