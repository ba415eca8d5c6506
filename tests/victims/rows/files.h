/* Rows that open by path or copy a descriptor. */
#include <linux/openat2.h>

/* Numbers that some architectures or older headers lack: -1 fails with ENOSYS. */
#ifndef SYS_open
#define SYS_open -1
#define SYS_creat -1
#define SYS_dup2 -1
#endif
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif

RETURNS(open, SYS_open, file_path, O_RDONLY)
RETURNS(creat, SYS_creat, other_path, 0600)
RETURNS(openat, SYS_openat, AT_FDCWD, file_path, O_RDONLY)
RETURNS(openat_directory, SYS_openat, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY)
RETURNS(openat_path, SYS_openat, AT_FDCWD, file_path, O_PATH)
RETURNS(openat_tmpfile, SYS_openat, AT_FDCWD, directory, O_TMPFILE | O_RDWR, 0600)
static struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};
RETURNS(openat2, SYS_openat2, AT_FDCWD, file_path, &how, sizeof how)

static struct {
    struct file_handle handle;
    unsigned char bytes[MAX_HANDLE_SZ];
} by_handle = {.handle.handle_bytes = MAX_HANDLE_SZ};
static int mount_fd;
static void setup_open_by_handle_at(void)
{
    int mount;
    must(SYS(SYS_name_to_handle_at, AT_FDCWD, file_path, &by_handle, &mount, 0), __func__);
    mount_fd = must(SYS(SYS_openat, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY), __func__);
}
RETURNS(open_by_handle_at, SYS_open_by_handle_at, mount_fd, &by_handle, O_RDONLY)
RETURNS(open_tree, SYS_open_tree, AT_FDCWD, directory, O_CLOEXEC)
RETURNS(open_tree_attr, SYS_open_tree_attr, AT_FDCWD, directory, O_CLOEXEC, 0, 0)

/* What is copied: the kinds differ, since a copy has the kind of its file. */
static int copied;
static void setup_dup(void) { copied = must(SYS(SYS_socket, AF_UNIX, SOCK_DGRAM, 0), __func__); }
static void setup_dup2(void)
{
    copied = must(SYS(SYS_openat, AT_FDCWD, file_path, O_RDONLY), __func__);
}
static void setup_dup3(void) { copied = must(SYS(SYS_eventfd2, 0, 0), __func__); }
static void setup_fcntl_dupfd(void)
{
    int both[2];
    must(SYS(SYS_pipe2, both, 0), __func__);
    copied = both[0];
}
static void setup_fcntl_dupfd_cloexec(void)
{
    copied = must(SYS(SYS_epoll_create1, 0), __func__);
}
static int next_number = 300;
RETURNS(dup, SYS_dup, copied)
RETURNS(dup2, SYS_dup2, copied, next_number++)
RETURNS(dup3, SYS_dup3, copied, next_number++, O_CLOEXEC)
RETURNS(fcntl_dupfd, SYS_fcntl, copied, F_DUPFD, 400)
RETURNS(fcntl_dupfd_cloexec, SYS_fcntl, copied, F_DUPFD_CLOEXEC, 400)

/* dup2 over an open file: the file is closed, a socket takes its number. */
INLINE void acquire_dup2_over(struct unit *unit)
{
    long file = must(SYS(SYS_openat, AT_FDCWD, file_path, O_RDONLY), __func__);
    KEEP(unit, SYS(SYS_dup2, copied, file));
}
SITES(dup2_over)

/* close_range closes; with CLOSE_RANGE_CLOEXEC it does not. */
RETURNS(close_range, SYS_openat, AT_FDCWD, file_path, O_RDONLY)
RETURNS(close_range_cloexec, SYS_openat, AT_FDCWD, file_path, O_RDONLY)
static void release_close_range(struct unit *unit)
{
    must(SYS(SYS_close_range, unit->fds[0], unit->fds[0], 0), __func__);
}
static void keep_close_range_cloexec(struct unit *unit)
{
    must(SYS(SYS_close_range, unit->fds[0], unit->fds[0], 4 /* CLOSE_RANGE_CLOEXEC */), __func__);
}

/* The victim executes itself at the end: the twin's descriptors close then. */
SITE void leak_exec(struct unit *unit)
{
    KEEP(unit, SYS(SYS_openat, AT_FDCWD, file_path, O_RDONLY));
}
SITE void twin_exec(struct unit *unit)
{
    KEEP(unit, SYS(SYS_openat, AT_FDCWD, file_path, O_RDONLY | O_CLOEXEC));
}

/* Calls that fail acquire nothing. */
INLINE void acquire_failing(struct unit *unit)
{
    int pair[2];
    (void)unit;
    for (int i = 0; i < 100; i++) {
        SYS(SYS_openat, AT_FDCWD, "/nonexistent/leaktrace", O_RDONLY);
        SYS(SYS_close, -1);
        SYS(SYS_close, 9999);
        SYS(SYS_dup, -1);
        SYS(SYS_fcntl, 9999, F_DUPFD, 0);
        SYS(SYS_pipe2, pair, -1);
        SYS(SYS_socket, 9999, 0, 0);
        SYS(SYS_accept4, 9999, 0, 0, 0);
        SYS(SYS_mmap, 0, 0, 0, 0, -1, 0);
        SYS(SYS_recvmsg, 9999, 0, 0);
    }
}
SITES(failing)

#define FILE_ROWS                                                              \
    ROW(open, setup_nothing, close_fds), ROW(creat, setup_nothing, close_fds), \
    ROW(openat, setup_nothing, close_fds),                                     \
    ROW(openat_directory, setup_nothing, close_fds),                           \
    ROW(openat_path, setup_nothing, close_fds),                                \
    ROW(openat_tmpfile, setup_nothing, close_fds),                             \
    ROW(openat2, setup_nothing, close_fds),                                    \
    ROW(open_by_handle_at, setup_open_by_handle_at, close_fds),                \
    ROW(open_tree, setup_nothing, close_fds),                                  \
    ROW(open_tree_attr, setup_nothing, close_fds),                             \
    ROW(dup, setup_dup, close_fds), ROW(dup2, setup_dup2, close_fds),          \
    ROW(dup3, setup_dup3, close_fds), ROW(dup2_over, setup_dup, close_fds),    \
    ROW(fcntl_dupfd, setup_fcntl_dupfd, close_fds),                            \
    ROW(fcntl_dupfd_cloexec, setup_fcntl_dupfd_cloexec, close_fds),            \
    ROW(close_range, setup_nothing, release_close_range),                      \
    {"close_range_cloexec", setup_nothing, leak_close_range_cloexec,           \
     twin_close_range_cloexec, release_close_range, keep_close_range_cloexec, 3}, \
    {"exec", setup_nothing, leak_exec, twin_exec, keep_all, keep_all, 0},      \
    {"failing", setup_nothing, leak_failing, twin_failing, keep_all, keep_all, 3}
