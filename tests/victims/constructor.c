/* constructor: acquires three files before main, and ends at once. */
#include "victim.h"

SITE long leak_constructor(void)
{
    return must(SYS(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), "open");
}

__attribute__((constructor)) static void before_main(void)
{
    /* Not unrolled: one call site. */
    for (volatile int i = 0; i < 3; i++)
        leak_constructor();
}

int main(void) { return 0; }
