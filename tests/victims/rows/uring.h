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

#define URING_ROWS                                                             \
    ROW(io_uring_setup, setup_nothing, close_fds),                             \
    ROW(uring_openat, setup_uring, close_fds),                                 \
    ROW(uring_openat_async, setup_uring, close_fds),                           \
    ROW(uring_socket, setup_uring, release_uring),                             \
    ROW(uring_accept, setup_uring_accept, release_uring),                      \
    ROW(uring_accept_armed, setup_uring_accept, close_fds),                    \
    ROW(uring_close, setup_uring, release_uring)
