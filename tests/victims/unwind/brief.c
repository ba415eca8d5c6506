/* brief: acquires one file as the first thing it does, and is gone 30 ms later. */
#include "unwind.h"

LEAK(leak_brief)

SITE long first(void)
{
    char room[300];
    memset(room, 1, sizeof room);
    KEEP(room);
    long file = leak_brief();
    KEEP(room);
    return file;
}

int main(void)
{
    long kept = first();
    KEEP(kept);
    pause_ms(30);
    return 0;
}
