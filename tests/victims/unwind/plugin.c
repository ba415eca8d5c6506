/* A library to be loaded while the program runs. NAME is the function that
 * acquires, ROOM the size of its callers' frames: two such libraries at one
 * address are unwound by different rules. */
#include "unwind.h"

LEAK(NAME)

SITE static long within(void)
{
    char room[ROOM];
    memset(room, 1, sizeof room);
    KEEP(room);
    long file = NAME();
    KEEP(room);
    return file;
}

long plugin(void)
{
    long file = within();
    KEEP(file);
    return file;
}
