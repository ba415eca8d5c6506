/* Rows for pipes, sockets and the descriptors that arrive through them. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef SYS_pipe
#define SYS_pipe -1
#endif

#define WRITES_TWO(name, call, ...)                                            \
    INLINE void acquire_##name(struct unit *unit)                              \
    {                                                                          \
        int both[2];                                                           \
        must(call, __func__);                                                  \
        KEEP(unit, both[0]);                                                   \
        KEEP(unit, both[1]);                                                   \
    }                                                                          \
    SITES(name)

WRITES_TWO(pipe, SYS(SYS_pipe, both))
WRITES_TWO(pipe2, SYS(SYS_pipe2, both, O_CLOEXEC))
WRITES_TWO(socketpair, SYS(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, both))
RETURNS(socket, SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)

/* A listener on the loopback interface (accept4) or on an abstract name. */
static int listener;
static struct sockaddr_storage address;
static socklen_t address_length;
static void listen_here(void)
{
    listener = must(SYS(SYS_socket, address.ss_family, SOCK_STREAM, 0), __func__);
    must(SYS(SYS_bind, listener, &address, address_length), __func__);
    must(SYS(SYS_listen, listener, 64), __func__);
    address_length = sizeof address;
    must(SYS(SYS_getsockname, listener, &address, &address_length), __func__);
}
static void setup_accept(void)
{
    /* Only the family: the kernel chooses a free abstract name. */
    address.ss_family = AF_UNIX;
    address_length = sizeof address.ss_family;
    listen_here();
}
static void setup_accept4(void)
{
    struct sockaddr_in *loopback = (struct sockaddr_in *)&address;
    loopback->sin_family = AF_INET;
    loopback->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address_length = sizeof *loopback;
    listen_here();
}
SITE void peer_connect(struct unit *unit)
{
    long peer = must(SYS(SYS_socket, address.ss_family, SOCK_STREAM, 0), __func__);
    must(SYS(SYS_connect, peer, &address, address_length), __func__);
    KEEP(unit, peer);
}
INLINE void acquire_accept(struct unit *unit)
{
    peer_connect(unit);
    KEEP(unit, SYS(SYS_accept, listener, 0, 0));
}
SITES(accept)
INLINE void acquire_accept4(struct unit *unit)
{
    peer_connect(unit);
    KEEP(unit, SYS(SYS_accept4, listener, 0, 0, SOCK_CLOEXEC));
}
SITES(accept4)

/* Descriptors sent by SCM_RIGHTS over a pair of our own. */
static int sender, receiver;
static void setup_recvmsg(void)
{
    int both[2];
    must(SYS(SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, both), __func__);
    sender = both[0];
    receiver = both[1];
}
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
};
/* Sends a pipe's end and an eventfd, or the eventfd alone, and closes its own. */
SITE void peer_send(int with_pipe)
{
    union control control = {0};
    char byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control};
    int both[2];
    int sent[2] = {must(SYS(SYS_eventfd2, 0, 0), __func__)};
    int count = 1;
    if (with_pipe) {
        must(SYS(SYS_pipe2, both, 0), __func__);
        sent[count++] = both[0];
        must(SYS(SYS_close, both[1]), __func__);
    }
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(&control.header), sent, count * sizeof(int));
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    must(SYS(SYS_sendmsg, sender, &message, 0), __func__);
    for (int i = 0; i < count; i++)
        must(SYS(SYS_close, sent[i]), __func__);
}
INLINE void keep_received(struct unit *unit, const union control *control)
{
    int fds[2];
    int count = (int)((control->header.cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(&control->header), count * sizeof(int));
    for (int i = 0; i < count; i++)
        KEEP(unit, fds[i]);
}
INLINE void acquire_recvmsg(struct unit *unit)
{
    union control control = {0};
    char byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1,
                             .msg_control = &control, .msg_controllen = sizeof control};
    peer_send(1);
    must(SYS(SYS_recvmsg, receiver, &message, 0), __func__);
    keep_received(unit, &control);
}
SITES(recvmsg)
INLINE void acquire_recvmmsg(struct unit *unit)
{
    union control controls[2] = {0};
    char byte;
    struct iovec data = {&byte, 1};
    struct mmsghdr messages[2] = {0};
    for (int i = 0; i < 2; i++) {
        peer_send(0);
        messages[i].msg_hdr.msg_iov = &data;
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = &controls[i];
        messages[i].msg_hdr.msg_controllen = sizeof controls[i];
    }
    must(SYS(SYS_recvmmsg, receiver, messages, 2, MSG_CMSG_CLOEXEC, 0), __func__);
    keep_received(unit, &controls[0]);
    keep_received(unit, &controls[1]);
}
SITES(recvmmsg)

#define SOCKET_ROWS                                                            \
    ROW(pipe, setup_nothing, close_fds), ROW(pipe2, setup_nothing, close_fds), \
    ROW(socket, setup_nothing, close_fds),                                     \
    ROW(socketpair, setup_nothing, close_fds),                                 \
    ROW(accept, setup_accept, close_fds), ROW(accept4, setup_accept4, close_fds), \
    ROW(recvmsg, setup_recvmsg, close_fds), ROW(recvmmsg, setup_recvmsg, close_fds)
