/* Rows that go through a ring of requests instead of a system call each. */
#include "ring.h"

RETURNS(io_uring_setup, SYS_io_uring_setup, 4, &(struct io_uring_params){0})

#define URING(name, ...)                                                       \
    INLINE void acquire_##name(struct unit *unit)                              \
    {                                                                          \
        submit((struct io_uring_sqe){__VA_ARGS__});                            \
        KEEP(unit, complete());                                                \
    }                                                                          \
    SITES(name)

URING(uring_openat, .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD,
      .addr = (unsigned long)file_path, .open_flags = O_RDONLY)
/* Done by a worker of the kernel instead of at submission. */
URING(uring_openat_async, .opcode = IORING_OP_OPENAT, .flags = IOSQE_ASYNC, .fd = AT_FDCWD,
      .addr = (unsigned long)file_path, .open_flags = O_RDONLY)
URING(uring_socket, .opcode = IORING_OP_SOCKET, .fd = AF_INET, .off = SOCK_STREAM)

/* A connection that is there when it is asked for. */
INLINE void acquire_uring_accept(struct unit *unit)
{
    peer_connect(unit);
    submit((struct io_uring_sqe){.opcode = IORING_OP_ACCEPT, .fd = listener});
    KEEP(unit, complete());
}
SITES(uring_accept)
/* A connection that comes after it was asked for. */
INLINE void acquire_uring_accept_armed(struct unit *unit)
{
    submit((struct io_uring_sqe){.opcode = IORING_OP_ACCEPT, .fd = listener});
    peer_connect(unit);
    KEEP(unit, complete());
}
SITES(uring_accept_armed)
static void setup_uring_accept(void)
{
    setup_accept4();
    setup_uring();
}

/* Acquired by a system call, released by the ring. */
RETURNS(uring_close, SYS_openat, AT_FDCWD, file_path, O_RDONLY)
static void release_uring(struct unit *unit)
{
    for (int i = 0; i < unit->count; i++) {
        submit((struct io_uring_sqe){.opcode = IORING_OP_CLOSE, .fd = (int)unit->fds[i]});
        must(complete(), "close through the ring");
    }
}

/* A request that accepts again and again: it is armed once. */
#define ACCEPT_MULTISHOT 1
INLINE void acquire_uring_accept_multishot(struct unit *unit)
{
    static int armed;
    if (!armed++)
        submit((struct io_uring_sqe){
            .opcode = IORING_OP_ACCEPT, .fd = listener, .ioprio = ACCEPT_MULTISHOT});
    peer_connect(unit);
    KEEP(unit, complete());
}
SITES(uring_accept_multishot)
static void setup_uring_accept_multishot(void)
{
    needs_kernel(6, 0);
    setup_uring_accept();
}

/* IORING_OP_PIPE, which older headers do not name. */
enum { OP_PIPE = 62 };
INLINE void acquire_uring_pipe(struct unit *unit)
{
    int both[2];
    submit((struct io_uring_sqe){.opcode = OP_PIPE, .addr = (unsigned long)both});
    must(complete(), __func__);
    KEEP(unit, both[0]);
    KEEP(unit, both[1]);
}
SITES(uring_pipe)
static void setup_uring_pipe(void)
{
    needs_kernel(6, 16);
    setup_uring();
}

INLINE void acquire_uring_recvmsg(struct unit *unit)
{
    union control control = {0};
    char byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1,
                             .msg_control = &control, .msg_controllen = sizeof control};
    peer_send(1);
    submit((struct io_uring_sqe){
        .opcode = IORING_OP_RECVMSG, .fd = receiver, .addr = (unsigned long)&message, .len = 1});
    must(complete(), __func__);
    keep_received(unit, &control);
}
SITES(uring_recvmsg)
static void setup_uring_recvmsg(void)
{
    needs_kernel(6, 0);
    setup_recvmsg();
    setup_uring();
}

/* A close behind a read that comes out short: it is cancelled, and the file stays open. The twin
 * closes by a chain that holds. Each request has user data of its own: some kernels tell no more of
 * a completion than that. */
RETURNS(uring_cancelled, SYS_openat, AT_FDCWD, file_path, O_RDONLY)
static void close_behind_read(struct unit *unit, int bytes, int expected)
{
    static char buffer[64];
    for (int i = 0; i < unit->count; i++) {
        queue((struct io_uring_sqe){.opcode = IORING_OP_READ, .flags = IOSQE_IO_LINK,
                                    .fd = (int)unit->fds[i], .addr = (unsigned long)buffer,
                                    .len = bytes, .off = 1 << 20, .user_data = 1});
        queue((struct io_uring_sqe){.opcode = IORING_OP_CLOSE, .fd = (int)unit->fds[i],
                                    .user_data = 2});
        must(SYS(SYS_io_uring_enter, ring.fd, 2, 0, 0), "io_uring_enter");
        /* In any order. A read behind the end is 0. */
        if (complete() + complete() != expected) {
            fprintf(stderr, "%s: not what was expected\n", __func__);
            exit(BROKEN);
        }
    }
}
static void setup_uring_cancelled(void)
{
    needs_kernel(5, 15);
    setup_uring();
}
static void cancel_close(struct unit *unit) { close_behind_read(unit, 64, -ECANCELED); }
static void close_in_chain(struct unit *unit) { close_behind_read(unit, 0, 0); }

#define URING_ROWS                                                             \
    ROW(io_uring_setup, setup_nothing, close_fds),                             \
    ROW(uring_openat, setup_uring, close_fds),                                 \
    ROW(uring_openat_async, setup_uring, close_fds),                           \
    ROW(uring_socket, setup_uring, release_uring),                             \
    ROW(uring_accept, setup_uring_accept, release_uring),                      \
    ROW(uring_accept_armed, setup_uring_accept, close_fds),                    \
    ROW(uring_accept_multishot, setup_uring_accept_multishot, release_uring),  \
    ROW(uring_pipe, setup_uring_pipe, release_uring),                          \
    ROW(uring_recvmsg, setup_uring_recvmsg, close_fds),                        \
    {"uring_cancelled", setup_uring_cancelled, leak_uring_cancelled, twin_uring_cancelled, \
     close_in_chain, cancel_close, 3},                                         \
    ROW(uring_close, setup_uring, release_uring)
