/* Rows for threads and child processes. */
#include <linux/futex.h>

#ifndef SYS_fork
#define SYS_fork -1
#define SYS_vfork -1
#endif

/* A thread that waits until `stop` is set. The C library knows nothing of it:
 * its own way to start one would hide the caller. */
struct thread {
    int stop;
    int tid;
};
static void thread_body(struct thread *thread)
{
    while (!__atomic_load_n(&thread->stop, __ATOMIC_ACQUIRE))
        SYS(SYS_futex, &thread->stop, FUTEX_WAIT, 0, 0);
    SYS(SYS_exit, 0);
}
enum { THREAD_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                      CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID };
INLINE long clone_thread(struct thread *thread, void *top)
{
    /* The new thread finds its function and its argument on its stack. */
    void **stack = (void **)top - 2;
    stack[0] = (void *)thread_body;
    stack[1] = thread;
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = (long)&thread->tid;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "pop %%rax\n\t"
                     "pop %%rdi\n\t"
                     "call *%%rax\n"
                     "1:"
                     : "=a"(result)
                     : "0"(SYS_clone), "D"((long)THREAD_FLAGS), "S"(stack),
                       "d"(&thread->tid), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = SYS_clone;
    register long x0 __asm__("x0") = THREAD_FLAGS;
    register void *x1 __asm__("x1") = stack;
    register void *x2 __asm__("x2") = &thread->tid;
    register long x3 __asm__("x3") = 0;
    register void *x4 __asm__("x4") = &thread->tid;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "ldp x9, x0, [sp], #16\n\t"
                     "blr x9\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                     : "memory", "x9");
    return x0;
#endif
}
INLINE void acquire_thread(struct unit *unit)
{
    map_at(unit, 0, ANONYMOUS, -1);
    must(clone_thread(unit->address, (char *)unit->address + unit->length), __func__);
}
SITES(thread)
static void release_thread(struct unit *unit)
{
    struct thread *thread = unit->address;
    int tid;
    __atomic_store_n(&thread->stop, 1, __ATOMIC_RELEASE);
    SYS(SYS_futex, &thread->stop, FUTEX_WAKE, 1, 0);
    while ((tid = __atomic_load_n(&thread->tid, __ATOMIC_ACQUIRE)))
        SYS(SYS_futex, &thread->tid, FUTEX_WAIT, tid, 0);
    release_mapping(unit);
}

/* Children that end at once: zombies until they are waited for. */
#define CHILD(name, ...)                                                       \
    INLINE void acquire_##name(struct unit *unit)                              \
    {                                                                          \
        unit->id = must(SYS(__VA_ARGS__), __func__);                           \
        if (unit->id == 0)                                                     \
            SYS(SYS_exit_group, 0);                                            \
    }                                                                          \
    SITES(name)
static struct clone_args as_fork = {.exit_signal = SIGCHLD};
CHILD(process_fork, SYS_fork)
CHILD(process_clone, SYS_clone, SIGCHLD, 0)
CHILD(process_clone3, SYS_clone3, &as_fork, sizeof as_fork)

/* The child of vfork runs on our stack: it may not leave these instructions. */
INLINE long vfork_and_exit(void)
{
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %[exit], %%eax\n\t"
                     "xor %%edi, %%edi\n\t"
                     "syscall\n"
                     "1:"
                     : "=a"(result)
                     : "0"(SYS_vfork), [exit] "i"(SYS_exit_group)
                     : "rcx", "r11", "rdi", "memory");
    return result;
#else
    return -ENOSYS;
#endif
}
INLINE void acquire_process_vfork(struct unit *unit) { unit->id = must(vfork_and_exit(), __func__); }
SITES(process_vfork)
static void release_process(struct unit *unit)
{
    must(SYS(SYS_wait4, unit->id, 0, 0, 0), __func__);
}

#define TASK_ROWS                                                              \
    ROW(thread, setup_nothing, release_thread),                                \
    ROW(process_fork, setup_nothing, release_process),                         \
    ROW(process_vfork, setup_nothing, release_process),                        \
    ROW(process_clone, setup_nothing, release_process),                        \
    ROW(process_clone3, setup_nothing, release_process)
