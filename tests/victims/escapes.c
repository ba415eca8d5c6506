/* escapes DIRECTORY [WORD]: a name and a path that would command a terminal. */
#include "victim.h"

SITE long leak_escapes(const char *path)
{
    return must(SYS(SYS_openat, AT_FDCWD, path, O_CREAT | O_RDWR, 0600), "open");
}

int main(int argc, char **argv)
{
    char path[512];
    if (argc < 2)
        return BROKEN;
    prctl(PR_SET_NAME, "\033[31mevil");
    snprintf(path, sizeof path, "%s/wicked\033]0;owned\007\033[2J\r\n\x9b", argv[1]);
    await_start();
    for (int i = 0; i < 40; i++) {
        leak_escapes(path);
        pause_ms(50);
    }
    SAY("held 40");
    await_word();
    unlink(path);
    return 0;
}
