/* kinds leak|pool KIND RATE: takes a resource of a kind so many times a second.
 * The leak keeps all of them; the pool gives back the oldest once it has ten. */
#include "corpus.h"
#include <dirent.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

enum { POOL = 10, MAPPED = 256 * 1024 };

/* When there are no more of them it goes no further. */
static int watcher(void)
{
    int file = inotify_init1(IN_CLOEXEC);
    while (file < 0)
        pause();
    return file;
}

/* What one acquisition gave: descriptors, an address, a segment, a process. */
typedef struct {
    long handle;
    long other;
} taken;

#define TAKES(name, call)                                                      \
    SITE taken take_##name(void)                                               \
    {                                                                          \
        return (taken){must((long)(call), #name), -1};                         \
    }

#define TAKES_TWO(name, call)                                                  \
    SITE taken take_##name(void)                                               \
    {                                                                          \
        int pair[2];                                                           \
        must(call, #name);                                                     \
        return (taken){pair[0], pair[1]};                                      \
    }

static sigset_t some_signal(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return set;
}

TAKES(file, open("/etc/passwd", O_RDONLY | O_CLOEXEC))
TAKES(directory, open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC))
TAKES(socket, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))
TAKES_TWO(socketpair, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
TAKES_TWO(pipe, pipe2(pair, O_CLOEXEC))
TAKES(eventfd, eventfd(0, EFD_CLOEXEC))
TAKES(epoll, epoll_create1(EPOLL_CLOEXEC))
TAKES(timerfd, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC))
TAKES(inotify, watcher())
TAKES(memfd, memfd_create("cache", MFD_CLOEXEC))
TAKES(pidfd, syscall(SYS_pidfd_open, getpid(), 0))
TAKES(anon, syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY))
TAKES(mapping, mmap(NULL, MAPPED, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
TAKES(shm, shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600))

/* The other end of one terminal, as openpty(3) asks for it. */
SITE taken take_terminal(void)
{
    static int terminal = -1;
    if (terminal < 0) {
        int unlocked = 0;
        terminal = must(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "ptmx");
        must(ioctl(terminal, TIOCSPTLCK, &unlocked), "unlock");
    }
    int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    return (taken){must(ioctl(terminal, TIOCGPTPEER, flags), "peer"), -1};
}

/* An event of fanotify, whose descriptor is in what is read. */
SITE taken take_event(void)
{
    static int events = -1;
    static char path[] = "/tmp/leaktrace-corpus-XXXXXX";
    if (events < 0) {
        must(close(must(mkstemp(path), "file")), "close");
        events = must(fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC), "init");
        must(fanotify_mark(events, FAN_MARK_ADD, FAN_CLOSE_WRITE, AT_FDCWD, path), "mark");
    }
    must(close(must(open(path, O_WRONLY | O_CLOEXEC), "open")), "close");
    struct fanotify_event_metadata event;
    must(read(events, &event, sizeof event), "read");
    return (taken){event.fd, -1};
}

/* A watch of one instance, which stays one. When there is nothing more to watch it goes no
 * further. */
static int instance = -1;
SITE taken take_watch(void)
{
    static DIR *watched;
    if (instance < 0) {
        instance = must(inotify_init1(IN_CLOEXEC), "inotify");
        watched = opendir("/usr/share/doc");
    }
    struct dirent *entry = watched ? readdir(watched) : NULL;
    while (!entry)
        pause();
    char path[300];
    snprintf(path, sizeof path, "/usr/share/doc/%s", entry->d_name);
    return (taken){must(inotify_add_watch(instance, path, IN_CREATE), "watch"), -1};
}
static void give_watch(taken what) { must(inotify_rm_watch(instance, what.handle), "remove"); }

SITE taken take_signalfd(void)
{
    sigset_t set = some_signal();
    return (taken){must(signalfd(-1, &set, SFD_CLOEXEC), "signalfd"), -1};
}

SITE taken take_iouring(void)
{
    struct io_uring_params parameters = {0};
    return (taken){must(syscall(SYS_io_uring_setup, 2, &parameters), "io_uring_setup"), -1};
}

/* Threads that wait for a word on a pipe that all of them share: whichever reads
 * it ends. */
static int word[2];

static void *wait_for_word(void *argument)
{
    char byte;
    while (read(word[0], &byte, 1) < 0)
        ;
    return argument;
}

static void *end_at_once(void *argument)
{
    return argument;
}

static pthread_attr_t small(int state)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    pthread_attr_setdetachstate(&attributes, state);
    return attributes;
}

SITE taken take_thread(void)
{
    pthread_t id;
    pthread_attr_t attributes = small(PTHREAD_CREATE_DETACHED);
    must(-pthread_create(&id, &attributes, wait_for_word, NULL), "pthread_create");
    return (taken){(long)id, -1};
}

/* Threads that have ended and that nobody joins: their stacks stay mapped. */
SITE taken take_unjoined(void)
{
    pthread_t id;
    pthread_attr_t attributes = small(PTHREAD_CREATE_JOINABLE);
    must(-pthread_create(&id, &attributes, end_at_once, NULL), "pthread_create");
    return (taken){(long)id, -1};
}

SITE taken take_process(void)
{
    pid_t pid = child();
    if (pid == 0)
        _exit(0);
    return (taken){pid, -1};
}

static void give_descriptors(taken what)
{
    close((int)what.handle);
    if (what.other >= 0)
        close((int)what.other);
}

static void give_mapping(taken what)
{
    munmap((void *)what.handle, MAPPED);
}

static void give_shm(taken what)
{
    shmctl((int)what.handle, IPC_RMID, NULL);
}

static void give_thread(taken what)
{
    (void)what;
    must(write(word[1], "x", 1), "write");
}

static void give_unjoined(taken what)
{
    pthread_join((pthread_t)what.handle, NULL);
}

static void give_process(taken what)
{
    waitpid((pid_t)what.handle, NULL, 0);
}

static const struct {
    const char *name;
    taken (*take)(void);
    void (*give)(taken);
} kinds[] = {
    {"file", take_file, give_descriptors},
    {"directory", take_directory, give_descriptors},
    {"socket", take_socket, give_descriptors},
    {"socketpair", take_socketpair, give_descriptors},
    {"pipe", take_pipe, give_descriptors},
    {"eventfd", take_eventfd, give_descriptors},
    {"epoll", take_epoll, give_descriptors},
    {"timerfd", take_timerfd, give_descriptors},
    {"signalfd", take_signalfd, give_descriptors},
    {"inotify", take_inotify, give_descriptors},
    {"memfd", take_memfd, give_descriptors},
    {"pidfd", take_pidfd, give_descriptors},
    {"iouring", take_iouring, give_descriptors},
    {"anon", take_anon, give_descriptors},
    {"terminal", take_terminal, give_descriptors},
    {"event", take_event, give_descriptors},
    {"watch", take_watch, give_watch},
    {"mapping", take_mapping, give_mapping},
    {"shm", take_shm, give_shm},
    {"thread", take_thread, give_thread},
    {"unjoined", take_unjoined, give_unjoined},
    {"process", take_process, give_process},
};

int main(int argc, char **argv)
{
    size_t kind = 0;
    size_t count = sizeof kinds / sizeof *kinds;
    while (argc == 4 && kind < count && strcmp(kinds[kind].name, argv[2]))
        kind++;
    if (argc != 4 || kind == count) {
        fprintf(stderr, "usage: %s leak|pool KIND RATE\n", argv[0]);
        return 2;
    }
    int leaks = !strcmp(argv[1], "leak");
    double rate = atof(argv[3]);
    taken pool[POOL];
    must(pipe2(word, O_CLOEXEC), "pipe");
    /* Each user may have but 128 of these. */
    if (!strcmp(kinds[kind].name, "inotify"))
        must(setuid(61001 + leaks), "setuid");
    begin();
    beat at = {0};
    for (unsigned long n = 0;; n++) {
        taken what = kinds[kind].take();
        if (!leaks) {
            if (n >= POOL)
                kinds[kind].give(pool[n % POOL]);
            pool[n % POOL] = what;
        }
        pace(&at, rate);
    }
}
