/* ways WAY COUNT [ARGUMENT...]: stacks that are hard to walk. Each way acquires
 * COUNT times in a function of its own, called by main where nothing else is said. */
#include "unwind.h"
#include "ways_of_control.h"
#include "ways_of_frames.h"
#include "ways_of_processes.h"

static const struct {
    const char *name;
    void (*way)(char **arguments);
} WAYS[] = {
    {"signal", by_signal},     {"altstack", by_altstack},   {"coroutine", by_coroutine},
    {"longjmp", by_longjmp},   {"jit", by_jit},             {"plugin", by_plugin},
    {"reloaded", by_reloaded}, {"deep", by_depth},          {"large", by_size},
    {"aligned", by_alignment}, {"thread", by_thread},       {"vfork", by_vfork},
    {"fork", by_fork},         {"zombies", by_zombies},     {"leaderless", by_leaderless},
};

int main(int argc, char **argv)
{
    void (*way)(char **) = NULL;
    for (size_t i = 0; argc > 2 && i < sizeof WAYS / sizeof *WAYS; i++)
        if (!strcmp(argv[1], WAYS[i].name))
            way = WAYS[i].way;
    if (!way)
        return BROKEN;
    count = atoi(argv[2]);
    await_start();
    way(argv + 3);
    linger();
    return 0;
}
