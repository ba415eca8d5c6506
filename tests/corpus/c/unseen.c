/* unseen leak|pool RATE: a supervisor gives it a descriptor so many times a second, as those of
 * containers do, in place of the result of a call that makes none. The leak keeps all of them; the
 * pool closes the oldest once it has ten. */
#include "corpus.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

enum { POOL = 10 };

static int listener;
static int given[2];

static void *supervise(void *nothing)
{
    for (;;) {
        struct seccomp_notif call = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
            continue;
        struct { unsigned long id; unsigned flags, source, number, close_on_exec; } add = {
            call.id, 2 /* SECCOMP_ADDFD_FLAG_SEND */, given[1], 0, O_CLOEXEC};
        must(ioctl(listener, _IOW('!', 3, add), &add), "give");
    }
    return nothing;
}

/* Its result is the descriptor that is given instead. */
SITE int ask(void) { return must(syscall(SYS_getppid), "ask"); }

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s leak|pool RATE\n", argv[0]);
        return 2;
    }
    int leaks = !strcmp(argv[1], "leak");
    static struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {4, rules};
    must(pipe2(given, O_CLOEXEC), "pipe");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl");
    listener = must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                            SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter), "seccomp");
    pthread_t thread;
    must(-pthread_create(&thread, NULL, supervise, NULL), "thread");
    begin();
    beat at = {0};
    int pool[POOL];
    for (unsigned long n = 0;; n++) {
        int what = ask();
        if (!leaks) {
            if (n >= POOL)
                must(close(pool[n % POOL]), "close");
            pool[n % POOL] = what;
        }
        pace(&at, atof(argv[2]));
    }
}
