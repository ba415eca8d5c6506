/* Rows for descriptors of processes and of the kernel's own facilities. */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>

RETURNS(pidfd_open, SYS_pidfd_open, getpid(), 0)
static long self_pidfd;
static void setup_pidfd_getfd(void)
{
    self_pidfd = must(SYS(SYS_pidfd_open, getpid(), 0), __func__);
    copied = must(SYS(SYS_openat, AT_FDCWD, file_path, O_RDONLY), __func__);
}
RETURNS(pidfd_getfd, SYS_pidfd_getfd, self_pidfd, copied, 0)

/* A child that ends at once, and is waited for: its pidfd stays. */
INLINE void acquire_clone_pidfd(struct unit *unit)
{
    int pidfd = -1;
    long child = must(SYS(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd), __func__);
    if (child == 0)
        SYS(SYS_exit_group, 0);
    must(SYS(SYS_wait4, child, 0, 0, 0), __func__);
    KEEP(unit, pidfd);
}
SITES(clone_pidfd)
INLINE void acquire_clone3_pidfd(struct unit *unit)
{
    int pidfd = -1;
    struct clone_args arguments = {
        .flags = CLONE_PIDFD, .pidfd = (unsigned long)&pidfd, .exit_signal = SIGCHLD};
    long child = must(SYS(SYS_clone3, &arguments, sizeof arguments), __func__);
    if (child == 0)
        SYS(SYS_exit_group, 0);
    must(SYS(SYS_wait4, child, 0, 0, 0), __func__);
    KEEP(unit, pidfd);
}
SITES(clone3_pidfd)

static struct perf_event_attr event = {
    .type = PERF_TYPE_SOFTWARE,
    .config = PERF_COUNT_SW_TASK_CLOCK,
    .size = sizeof event,
    .disabled = 1,
};
RETURNS(perf_event_open, SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC)

static union bpf_attr map = {
    .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
RETURNS(bpf_map, SYS_bpf, BPF_MAP_CREATE, &map, sizeof map)
static const struct bpf_insn returns_zero[] = {
    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
    {.code = BPF_JMP | BPF_EXIT},
};
static union bpf_attr program = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2};
static void setup_bpf_prog(void)
{
    program.insns = (unsigned long)returns_zero;
    program.license = (unsigned long)"GPL";
}
RETURNS(bpf_prog, SYS_bpf, BPF_PROG_LOAD, &program, sizeof program)

RETURNS(fsopen, SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)
RETURNS(fspick, SYS_fspick, AT_FDCWD, "/", FSPICK_CLOEXEC)
INLINE void acquire_fsmount(struct unit *unit)
{
    long context = must(SYS(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), __func__);
    must(SYS(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0), __func__);
    KEEP(unit, SYS(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0));
    must(SYS(SYS_close, context), __func__);
}
SITES(fsmount)

/* Asking for the version acquires nothing, though it returns a small number. */
static struct landlock_ruleset_attr ruleset = {.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE};
INLINE void acquire_landlock_create_ruleset(struct unit *unit)
{
    must(SYS(SYS_landlock_create_ruleset, 0, 0, LANDLOCK_CREATE_RULESET_VERSION), __func__);
    KEEP(unit, SYS(SYS_landlock_create_ruleset, &ruleset, 8, 0));
}
SITES(landlock_create_ruleset)

/* A filter that allows everything; a process can have one listener. */
static struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
static struct sock_fprog filter = {1, allow};
RETURNS(seccomp, SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter)

/* A queue of the smallest size, since they count against a limit of the user. */
INLINE void open_queue(struct unit *unit, int flags)
{
    struct { long flags, most, size, now, reserved[4]; } attributes = {.most = 1, .size = 8};
    char name[32];
    snprintf(name, sizeof name, "leaktrace-%d", getpid());
    KEEP(unit, SYS(SYS_mq_open, name, O_CREAT | O_RDWR | flags, 0600, &attributes));
    must(SYS(SYS_mq_unlink, name), __func__);
}
INLINE void acquire_mq_open(struct unit *unit) { open_queue(unit, O_CLOEXEC); }
SITES(mq_open)

/* The victim executes itself at the end. fspick and perf_event_open have flags of their
 * own that close then; a message queue closes whether it was asked to or not. */
SITE void leak_exec_fspick(struct unit *unit)
{
    KEEP(unit, SYS(SYS_fspick, AT_FDCWD, "/", 0));
}
SITE void twin_exec_fspick(struct unit *unit)
{
    KEEP(unit, SYS(SYS_fspick, AT_FDCWD, "/", FSPICK_CLOEXEC));
}
SITE void leak_exec_perf_event_open(struct unit *unit)
{
    KEEP(unit, SYS(SYS_perf_event_open, &event, 0, -1, -1, 0));
}
SITE void twin_exec_perf_event_open(struct unit *unit)
{
    KEEP(unit, SYS(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}
SITE void leak_exec_mq_open(struct unit *unit) { open_queue(unit, 0); }
SITE void twin_exec_mq_open(struct unit *unit) { open_queue(unit, O_CLOEXEC); }

#define KERNEL_ROWS                                                            \
    ROW(pidfd_open, setup_nothing, close_fds),                                 \
    ROW(pidfd_getfd, setup_pidfd_getfd, close_fds),                            \
    ROW(clone_pidfd, setup_nothing, close_fds),                                \
    ROW(clone3_pidfd, setup_nothing, close_fds),                               \
    ROW(perf_event_open, setup_nothing, close_fds),                            \
    ROW(bpf_map, setup_nothing, close_fds), ROW(bpf_prog, setup_bpf_prog, close_fds), \
    ROW(fsopen, setup_nothing, close_fds), ROW(fspick, setup_nothing, close_fds), \
    ROW(fsmount, setup_nothing, close_fds),                                    \
    ROW(landlock_create_ruleset, setup_nothing, close_fds),                    \
    {"seccomp", setup_nothing, leak_seccomp, twin_seccomp, close_fds, keep_all, 0}, \
    ROW(mq_open, setup_nothing, close_fds), EXEC_ROW(fspick),                  \
    EXEC_ROW(perf_event_open), EXEC_ROW(mq_open)
