/* Rows for descriptors of events, timers and anonymous memory. */
#include <sys/wait.h>

#ifndef SYS_eventfd
#define SYS_eventfd -1
#define SYS_epoll_create -1
#define SYS_signalfd -1
#define SYS_inotify_init -1
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

/* The kernel's signal set: SIGUSR1. */
static unsigned long signals = 1UL << (SIGUSR1 - 1);

RETURNS(eventfd, SYS_eventfd, 0)
RETURNS(eventfd2, SYS_eventfd2, 0, O_CLOEXEC)
RETURNS(epoll_create, SYS_epoll_create, 1)
RETURNS(epoll_create1, SYS_epoll_create1, O_CLOEXEC)
RETURNS(timerfd_create, SYS_timerfd_create, CLOCK_MONOTONIC, O_CLOEXEC)
RETURNS(signalfd, SYS_signalfd, -1, &signals, sizeof signals)
RETURNS(inotify_init, SYS_inotify_init)
RETURNS(inotify_init1, SYS_inotify_init1, O_CLOEXEC)
RETURNS(fanotify_init, SYS_fanotify_init, 1 /* FAN_CLOEXEC */, O_RDONLY)
RETURNS(memfd_create, SYS_memfd_create, "leaktrace", 1 /* MFD_CLOEXEC */)
RETURNS(memfd_secret, SYS_memfd_secret, 0)
RETURNS(userfaultfd, SYS_userfaultfd, O_CLOEXEC)

/* signalfd4 on a descriptor changes its signals and acquires nothing. */
INLINE void acquire_signalfd4(struct unit *unit)
{
    long fd = must(SYS(SYS_signalfd4, -1, &signals, sizeof signals, O_CLOEXEC), __func__);
    must(SYS(SYS_signalfd4, fd, &signals, sizeof signals, O_CLOEXEC), __func__);
    KEEP(unit, fd);
}
SITES(signalfd4)

#define EVENT_ROWS                                                             \
    ROW(eventfd, setup_nothing, close_fds), ROW(eventfd2, setup_nothing, close_fds), \
    ROW(epoll_create, setup_nothing, close_fds),                               \
    ROW(epoll_create1, setup_nothing, close_fds),                              \
    ROW(timerfd_create, setup_nothing, close_fds),                             \
    ROW(signalfd, setup_nothing, close_fds), ROW(signalfd4, setup_nothing, close_fds), \
    ROW(inotify_init, setup_nothing, close_fds),                               \
    ROW(inotify_init1, setup_nothing, close_fds),                              \
    ROW(fanotify_init, setup_nothing, close_fds),                              \
    ROW(memfd_create, setup_nothing, close_fds),                               \
    ROW(memfd_secret, setup_nothing, close_fds),                               \
    ROW(userfaultfd, setup_nothing, close_fds)
