/* processes PATTERN: what leaks, or does not, between processes: children that are
 * never waited for, inherited descriptors, descriptors that travel in messages. */
#include "corpus.h"
#include <sys/uio.h>

SITE static int open_report(void)
{
    return (int)must(open("/etc/hostname", O_RDONLY | O_CLOEXEC), "open");
}

/* A worker leaks; the master only waits. */
static void leak_in_child(void)
{
    pid_t worker = child();
    if (worker == 0)
        for (beat at = {0};; pace(&at, 8))
            open_report();
    waitpid(worker, NULL, 0);
}

/* A child for each request, never waited for. */
SITE static pid_t start_job(void)
{
    pid_t pid = child();
    if (pid == 0) {
        rest(0.05);
        _exit(0);
    }
    return pid;
}

static void zombies(void)
{
    for (beat at = {0};; pace(&at, 5))
        start_job();
}

/* The same, and some were there before. */
static void earlier_jobs(void)
{
    beat at = {0};
    for (unsigned n = 0; n < 20; n++, pace(&at, 5))
        start_job();
}

/* Each child is waited for, but only 12 seconds after it was started. */
enum { JOBS_AT_A_TIME = 60 };
static pid_t jobs[JOBS_AT_A_TIME];

static void first_jobs(void)
{
    beat at = {0};
    for (unsigned n = 0; n < 20; n++, pace(&at, 5))
        jobs[n] = start_job();
}

static void late_waits(void)
{
    beat at = {0};
    for (unsigned n = 20;; n++, pace(&at, 5)) {
        if (n >= JOBS_AT_A_TIME)
            waitpid(jobs[n % JOBS_AT_A_TIME], NULL, 0);
        jobs[n % JOBS_AT_A_TIME] = start_job();
    }
}

/* The same, but one child in ten only: the others are waited for. */
static void some_zombies(void)
{
    beat at = {0};
    for (unsigned n = 1;; n++, pace(&at, 8)) {
        pid_t pid = start_job();
        if (n % 10)
            waitpid(pid, NULL, 0);
    }
}

/* Children that hang: they are alive, and more of them by the second. */
SITE static pid_t start_hanging(void)
{
    pid_t pid = child();
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static void hanging_children(void)
{
    beat at = {0};
    for (int n = 0; n < 600; n++, pace(&at, 5))
        start_hanging();
    pause();
}

/* Runs itself anew three times a second, as for an upgrade, and forgets the file
 * that is not closed by it: close-on-exec is missing. */
SITE static int open_inherited(void)
{
    return (int)must(open("/etc/hosts", O_RDONLY), "open");
}

static void exec_inherits(void)
{
    open_inherited();
    rest(0.16);
    execl("/proc/self/exe", "processes", "exec-inherits", "again", NULL);
}

/* The same with close-on-exec: nothing remains. */
static void exec_closes(void)
{
    for (int i = 0; i < 5; i++)
        open_report();
    rest(1.5);
    execl("/proc/self/exe", "processes", "exec-closes", "again", NULL);
}

/* A forking server whose parent forgets its end of each connection; the child is
 * waited for. */
SITE static int accept_for_child(void)
{
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
    pid_t pid = child();
    if (pid == 0) {
        close(pair[0]);
        must(write(pair[1], "x", 1), "write");
        _exit(0);
    }
    close(pair[1]);
    waitpid(pid, NULL, 0);
    return pair[0];
}

static void parent_keeps(void)
{
    for (beat at = {0};; pace(&at, 6))
        accept_for_child();
}

static void parent_closes(void)
{
    int held[8];
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, 6)) {
        if (n >= 8)
            close(held[n % 8]);
        held[n % 8] = accept_for_child();
    }
}

/* A pipe to each helper; the write end is inherited by the helpers that come
 * later, and the master never closes its own. */
SITE static int start_helper(void)
{
    int ends[2];
    must(pipe(ends), "pipe");
    pid_t pid = child();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    close(ends[0]);
    return ends[1];
}

static void helper_pipes(void)
{
    for (beat at = {0};; pace(&at, 5))
        start_helper();
}

/* Descriptors in messages. */
static void send_file(int socket, int file)
{
    char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &file, sizeof file);
    must(sendmsg(socket, &message, 0), "sendmsg");
}

SITE static int receive_file(int socket)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    int file = -1;
    must(recvmsg(socket, &message, MSG_CMSG_CLOEXEC), "recvmsg");
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header)
        memcpy(&file, CMSG_DATA(header), sizeof file);
    return file;
}

/* The receiver keeps the last so many; 0: all. */
static void hand_over(unsigned keeps)
{
    int pair[2], held[16];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
    pid_t receiver = child();
    if (receiver == 0) {
        close(pair[1]);
        for (unsigned n = 0;; n++) {
            int file = receive_file(pair[0]);
            if (keeps && n >= keeps)
                close(held[n % keeps]);
            if (keeps)
                held[n % keeps] = file;
        }
    }
    close(pair[0]);
    for (beat at = {0};; pace(&at, 6)) {
        int file = open_report();
        send_file(pair[1], file);
        close(file);
    }
}

static void receiver_keeps(void)
{
    hand_over(0);
}

static void receiver_closes(void)
{
    hand_over(9);
}

/* Four workers that live for three seconds each and are started anew. */
static void respawning_workers(void)
{
    pid_t worker[4] = {0};
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, 4.0 / 3)) {
        pid_t *slot = &worker[n % 4];
        if (*slot)
            waitpid(*slot, NULL, 0);
        *slot = child();
        if (*slot == 0) {
            for (int i = 0; i < 6; i++)
                open_report();
            rest(2.9);
            _exit(0);
        }
    }
}

/* Eight children at the start that share the work. */
static void prefork(void)
{
    int work[2];
    must(pipe(work), "pipe");
    for (int i = 0; i < 8; i++)
        if (child() == 0) {
            char byte;
            while (read(work[0], &byte, 1) == 1) {
                int file = open_report();
                rest(1.3);
                close(file);
            }
            _exit(0);
        }
    for (beat at = {0};; pace(&at, 4))
        must(write(work[1], "x", 1), "write");
}

/* Prefork that grows by one child a second up to ten, as load comes. */
static void growing_prefork(void)
{
    beat at = {0};
    for (int i = 0; i < 10; i++, pace(&at, 1))
        if (child() == 0)
            for (;;)
                pause();
    for (;;)
        pause();
}

/* Runs short commands and waits for each. */
static void commands(void)
{
    for (beat at = {0};; pace(&at, 4)) {
        pid_t pid = child();
        if (pid == 0) {
            execlp("true", "true", NULL);
            _exit(127);
        }
        waitpid(pid, NULL, 0);
    }
}

/* Children are waited for in batches, each five seconds. */
static void batched_waits(void)
{
    for (;;) {
        double end = now() + 5;
        for (beat at = {0}; now() < end; pace(&at, 4))
            start_job();
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
}

/* A pidfd for each child, closed when the child is waited for, a second later. */
SITE static int follow(pid_t pid)
{
    return (int)must(syscall(SYS_pidfd_open, pid, 0), "pidfd_open");
}

static void followed_children(void)
{
    struct {
        pid_t pid;
        int file;
    } held[6] = {0};
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, 4)) {
        unsigned i = n % 6;
        if (held[i].pid) {
            waitpid(held[i].pid, NULL, 0);
            close(held[i].file);
        }
        held[i].pid = start_job();
        held[i].file = follow(held[i].pid);
    }
}

/* Threads: a pool that grows by two a second to sixteen. */
static void *work(void *argument)
{
    for (;;)
        pause();
    return argument;
}

SITE static void start_thread(void)
{
    pthread_t id;
    must(-pthread_create(&id, NULL, work, NULL), "pthread_create");
}

static void thread_pool(void)
{
    beat at = {0};
    for (int i = 0; i < 16; i++, pace(&at, 2))
        start_thread();
    for (;;)
        pause();
}

/* A thread for each request, joined when it has ended. */
static void *request(void *argument)
{
    rest(2.5);
    return argument;
}

static void joined_threads(void)
{
    pthread_t held[12];
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, 4)) {
        if (n >= 12)
            pthread_join(held[n % 12], NULL);
        must(-pthread_create(&held[n % 12], NULL, request, NULL), "pthread_create");
    }
}

/* A thread that ends and is joined, and one that is forgotten: the C library gives the second the
 * stack of the first, which is not what leaks. */
static void *forgotten(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

static void *brief(void *nothing)
{
    return nothing;
}

SITE static void start_joined(void)
{
    pthread_t joined;
    must(-pthread_create(&joined, NULL, brief, NULL), "pthread_create");
    pthread_join(joined, NULL);
}

SITE static void start_forgotten(void)
{
    pthread_t thread;
    must(-pthread_create(&thread, NULL, forgotten, NULL), "pthread_create");
}

static void cached_stacks(void)
{
    for (beat at = {0};; pace(&at, 5)) {
        start_joined();
        start_forgotten();
    }
}

static const pattern programs[] = {
    {"leak-in-child", leak_in_child},
    {"zombies", zombies},
    {"more-zombies", zombies, earlier_jobs},
    {"late-waits", late_waits, first_jobs},
    {"some-zombies", some_zombies},
    {"hanging-children", hanging_children},
    {"exec-inherits", exec_inherits},
    {"exec-closes", exec_closes},
    {"parent-keeps", parent_keeps},
    {"parent-closes", parent_closes},
    {"helper-pipes", helper_pipes},
    {"receiver-keeps", receiver_keeps},
    {"receiver-closes", receiver_closes},
    {"respawning-workers", respawning_workers},
    {"prefork", prefork},
    {"growing-prefork", growing_prefork},
    {"commands", commands},
    {"batched-waits", batched_waits},
    {"followed-children", followed_children},
    {"thread-pool", thread_pool},
    {"joined-threads", joined_threads},
    {"cached-stacks", cached_stacks},
};

int main(int argc, char **argv)
{
    return BEGIN(programs);
}
