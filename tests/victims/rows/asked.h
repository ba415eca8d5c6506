/* Rows for calls that make a descriptor only for some of what they are asked, and for
 * descriptors that come with what is read. */
#include <linux/nsfs.h>
#include <linux/userfaultfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif
#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif
/* PIDFD_GET_NET_NAMESPACE, SIOCGSKNS. */
enum { PIDFD_NET = 0xff04, SOCKET_NET = 0x894c };

/* What the rows ask. */
static long asked;

/* The result of a call that older kernels, or some configurations, do not know. */
INLINE long may(long result, const char *what)
{
    switch (result) {
    case -ENOTTY: case -ENOPROTOOPT: case -EINVAL: case -ENOENT: case -EPERM:
        fprintf(stderr, "%s: the kernel lacks it\n", what);
        exit(LACKS);
    }
    return must(result, what);
}

/* The other end of a terminal, as openpty makes it. Asking for its number makes nothing. */
static void setup_ioctl_ptpeer(void)
{
    int unlocked = 0;
    asked = may(SYS(SYS_openat, AT_FDCWD, "/dev/ptmx", O_RDWR | O_NOCTTY), __func__);
    must(SYS(SYS_ioctl, asked, TIOCSPTLCK, &unlocked), __func__);
}
INLINE void acquire_ioctl_ptpeer(struct unit *unit)
{
    unsigned number;
    must(SYS(SYS_ioctl, asked, TIOCGPTN, &number), __func__);
    KEEP(unit, SYS(SYS_ioctl, asked, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
}
SITES(ioctl_ptpeer)

static void setup_ioctl_userns(void)
{
    asked = must(SYS(SYS_openat, AT_FDCWD, "/proc/self/ns/net", O_RDONLY), __func__);
}
INLINE void acquire_ioctl_userns(struct unit *unit)
{
    must(SYS(SYS_ioctl, asked, NS_GET_NSTYPE, 0), __func__);
    KEEP(unit, SYS(SYS_ioctl, asked, NS_GET_USERNS, 0));
}
SITES(ioctl_userns)

static void setup_ioctl_pidfd(void)
{
    asked = must(SYS(SYS_pidfd_open, getpid(), 0), __func__);
}
INLINE void acquire_ioctl_pidfd(struct unit *unit)
{
    KEEP(unit, may(SYS(SYS_ioctl, asked, PIDFD_NET, 0), __func__));
}
SITES(ioctl_pidfd)

static void setup_ioctl_skns(void)
{
    asked = must(SYS(SYS_socket, AF_INET, SOCK_DGRAM, 0), __func__);
}
RETURNS(ioctl_skns, SYS_ioctl, asked, SOCKET_NET, 0)

static void setup_ioctl_uffd(void)
{
    asked = may(SYS(SYS_openat, AT_FDCWD, "/dev/userfaultfd", O_RDWR), __func__);
}
RETURNS(ioctl_uffd, SYS_ioctl, asked, _IO(0xaa, 0), O_CLOEXEC)

static int asked_pair[2];
static void setup_peerpidfd(void)
{
    must(SYS(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, asked_pair), __func__);
}
INLINE void acquire_getsockopt_peerpidfd(struct unit *unit)
{
    int value, size = sizeof value;
    must(SYS(SYS_getsockopt, asked_pair[0], SOL_SOCKET, SO_TYPE, &value, &size), __func__);
    may(SYS(SYS_getsockopt, asked_pair[0], SOL_SOCKET, SO_PEERPIDFD, &value, &size), __func__);
    KEEP(unit, value);
}
SITES(getsockopt_peerpidfd)

/* A message that brings its sender and, in front of it, a file. */
static void setup_recvmsg_pidfd(void)
{
    int on = 1;
    must(SYS(SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, asked_pair), __func__);
    may(SYS(SYS_setsockopt, asked_pair[1], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on), __func__);
    asked = must(SYS(SYS_openat, AT_FDCWD, file_path, O_RDONLY), __func__);
}
INLINE void acquire_recvmsg_pidfd(struct unit *unit)
{
    union { struct cmsghdr header; char bytes[128]; } control = {0};
    char byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control};
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &(int){asked}, sizeof(int));
    message.msg_controllen = CMSG_SPACE(sizeof(int));
    must(SYS(SYS_sendmsg, asked_pair[0], &message, 0), __func__);
    message.msg_controllen = sizeof control;
    must(SYS(SYS_recvmsg, asked_pair[1], &message, 0), __func__);
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
        int fd;
        memcpy(&fd, CMSG_DATA(part), sizeof fd);
        if (part->cmsg_type == SCM_RIGHTS || part->cmsg_type == SCM_PIDFD)
            KEEP(unit, fd);
    }
}
SITES(recvmsg_pidfd)

/* Two events of fanotify, read at once: two files were written. Reads of other files bring
 * nothing. */
static const char *written[] = {file_path, other_path};
INLINE void watch_files(unsigned flags)
{
    unsigned all = FAN_CLOEXEC | FAN_NONBLOCK | flags;
    asked = may(SYS(SYS_fanotify_init, all, O_RDONLY | O_CLOEXEC), __func__);
    int other = must(SYS(SYS_openat, AT_FDCWD, other_path, O_CREAT | O_WRONLY, 0600), __func__);
    must(SYS(SYS_close, other), __func__);
    for (int i = 0; i < 2; i++)
        must(SYS(SYS_fanotify_mark, asked, FAN_MARK_ADD, FAN_CLOSE_WRITE, AT_FDCWD, written[i]), __func__);
}
static void setup_read_fanotify(void) { watch_files(0); }
static void setup_read_fanotify_pidfd(void) { watch_files(0x80 /* FAN_REPORT_PIDFD */); }
INLINE void read_events(struct unit *unit)
{
    _Alignas(8) char events[512], *event = events;
    for (int i = 0; i < 2; i++) {
        long file = must(SYS(SYS_openat, AT_FDCWD, written[i], O_WRONLY), __func__);
        must(SYS(SYS_close, file), __func__);
    }
    long left = must(SYS(SYS_read, asked, events, sizeof events), __func__);
    while (left > 0) {
        struct fanotify_event_metadata *head = (void *)event;
        KEEP(unit, head->fd);
        if (head->event_len > sizeof *head)
            /* Behind the head of its record. */
            KEEP(unit, ((int *)(head + 1))[1]);
        left -= head->event_len;
        event += head->event_len;
    }
    long zero = must(SYS(SYS_openat, AT_FDCWD, "/dev/zero", O_RDONLY), __func__);
    must(SYS(SYS_read, zero, events, sizeof events), __func__);
    must(SYS(SYS_close, zero), __func__);
}
INLINE void acquire_read_fanotify(struct unit *unit) { read_events(unit); }
SITES(read_fanotify)
INLINE void acquire_read_fanotify_pidfd(struct unit *unit) { read_events(unit); }
SITES(read_fanotify_pidfd)

/* Watches are no descriptors. */
static void setup_inotify_add_watch(void)
{
    asked = must(SYS(SYS_inotify_init1, O_CLOEXEC), __func__);
}
INLINE void acquire_inotify_add_watch(struct unit *unit)
{
    unit->id = must(SYS(SYS_inotify_add_watch, asked, file_path, IN_OPEN), __func__);
}
SITES(inotify_add_watch)

#define ASKED_ROWS                                                             \
    ROW(ioctl_ptpeer, setup_ioctl_ptpeer, close_fds),                          \
    ROW(ioctl_userns, setup_ioctl_userns, close_fds),                          \
    ROW(ioctl_pidfd, setup_ioctl_pidfd, close_fds),                            \
    ROW(ioctl_skns, setup_ioctl_skns, close_fds),                              \
    ROW(ioctl_uffd, setup_ioctl_uffd, close_fds),                              \
    ROW(getsockopt_peerpidfd, setup_peerpidfd, close_fds),                     \
    ROW(recvmsg_pidfd, setup_recvmsg_pidfd, close_fds),                        \
    ROW(read_fanotify, setup_read_fanotify, close_fds),                        \
    ROW(read_fanotify_pidfd, setup_read_fanotify_pidfd, close_fds),            \
    ROW(inotify_add_watch, setup_inotify_add_watch, keep_all)
