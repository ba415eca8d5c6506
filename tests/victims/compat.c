/* compat: copies its stdin five times by 32-bit system calls. Their number for
 * dup is that of socket among the 64-bit ones. */
#include "victim.h"

SITE long leak_compat(void)
{
#if defined(__x86_64__)
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "0"(41L), "b"(0L) : "memory", "r8", "r9", "r10", "r11");
    return (int)result;
#else
    return -ENOSYS;
#endif
}

/* A kernel without 32-bit calls faults on the instruction. */
static void lacks(int signal)
{
    (void)signal;
    _exit(LACKS);
}

int main(void)
{
    signal(SIGSEGV, lacks);
    await_start();
    for (int i = 0; i < 5; i++)
        must(leak_compat(), "32-bit dup");
    SAY("held");
    await_word();
    return 0;
}
