/* sockets PATTERN: servers and clients over the loopback interface. The other side
 * of each is a process of its own, so that what one holds is not the other's. */
#include "corpus.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

enum { HELD = 256 };

static struct sockaddr_in address;

static int listen_somewhere(void)
{
    int listener = (int)must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    socklen_t length = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(bind(listener, (struct sockaddr *)&address, length), "bind");
    must(listen(listener, 128), "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
    return listener;
}

SITE static int connect_to_server(void)
{
    int file = (int)must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    must(connect(file, (struct sockaddr *)&address, sizeof address), "connect");
    return file;
}

SITE static int accept_client(int listener)
{
    return (int)must(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept4");
}

/* Starts the server as a child of the client; the client goes on. */
static void beside(void (*serve)(int))
{
    int listener = listen_somewhere();
    if (child() == 0) {
        serve(listener);
        _exit(0);
    }
    close(listener);
}

/* Starts a client as a child of the server; the server goes on. */
static int listener_beside(void (*visit)(void))
{
    int listener = listen_somewhere();
    if (child() == 0) {
        close(listener);
        visit();
        _exit(0);
    }
    return listener;
}

/* Connects, says a word and goes. */
static void brief_visits(void)
{
    for (beat at = {0};; pace(&at, 6)) {
        int file = connect_to_server();
        must(write(file, "x", 1), "write");
        close(file);
    }
}

/* The server never closes: its sockets stay in CLOSE_WAIT. */
static void close_wait(void)
{
    int listener = listener_beside(brief_visits);
    for (;;) {
        char byte;
        int file = accept_client(listener);
        if (read(file, &byte, 1) < 0)
            exit(99);
    }
}

/* The server forgets to close when a request is odd, which every sixth is. */
static void close_wait_seldom(void)
{
    int listener = listener_beside(brief_visits);
    for (unsigned n = 0;; n++) {
        int file = accept_client(listener);
        if (n % 6)
            close(file);
    }
}

/* Clients that vanish without a word: the server waits for them for ever. */
static void vanish(void)
{
    for (beat at = {0};; pace(&at, 6)) {
        int on = 1;
        int file = connect_to_server();
        /* A socket under repair says nothing when it is closed. */
        must(setsockopt(file, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on), "TCP_REPAIR");
        close(file);
    }
}

static void half_open(void)
{
    int listener = listener_beside(vanish);
    for (;;)
        accept_client(listener);
}

/* The server answers and closes; the client keeps its end. */
static void answer_and_close(int listener)
{
    for (;;) {
        int file = accept_client(listener);
        must(write(file, "x", 1), "write");
        close(file);
    }
}

static void client_keeps(void)
{
    beside(answer_and_close);
    for (beat at = {0};; pace(&at, 6))
        connect_to_server();
}

/* A socket for each look-up, never closed. */
SITE static int look_up(void)
{
    int file = (int)must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    must(connect(file, (struct sockaddr *)&address, sizeof address), "connect");
    must(send(file, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL), "send");
    return file;
}

static void look_ups(void)
{
    int server = (int)must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    socklen_t length = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(bind(server, (struct sockaddr *)&address, length), "bind");
    must(getsockname(server, (struct sockaddr *)&address, &length), "getsockname");
    for (beat at = {0};; pace(&at, 5))
        look_up();
}

/* A server that serves all its clients until each is gone. */
static void serve(int listener)
{
    struct pollfd files[HELD] = {{listener, POLLIN, 0}};
    nfds_t count = 1;
    for (;;) {
        must(poll(files, count, -1), "poll");
        if (files[0].revents && count < HELD)
            files[count++] = (struct pollfd){accept_client(listener), POLLIN, 0};
        for (nfds_t i = 1; i < count;) {
            char byte;
            if (files[i].revents &&
                (read(files[i].fd, &byte, 1) != 1 || send(files[i].fd, "x", 1, MSG_NOSIGNAL) != 1)) {
                close(files[i].fd);
                files[i] = files[--count];
            } else {
                files[i++].revents = 0;
            }
        }
    }
}

static void ask(int file)
{
    char byte;
    must(write(file, "x", 1), "write");
    must(read(file, &byte, 1), "read");
}

/* Eight connections, opened at the start and used in turn. */
static void client_pool(void)
{
    int files[8];
    beside(serve);
    for (int i = 0; i < 8; i++)
        files[i] = connect_to_server();
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, 20))
        ask(files[n % 8]);
}

/* Connections that live for as long as `least` to `most`, by chance. */
static void visits(double per_second, double least, double most)
{
    struct {
        int file;
        double end;
    } held[HELD];
    int count = 0;
    for (beat at = {0};; pace(&at, per_second)) {
        for (int i = 0; i < count;)
            if (held[i].end < now()) {
                close(held[i].file);
                held[i] = held[--count];
            } else {
                ask(held[i++].file);
            }
        if (count < 100) {
            held[count].file = connect_to_server();
            held[count++].end = now() + least + chance() * (most - least);
        }
    }
}

static void random_connections(void)
{
    beside(serve);
    visits(8, 0.3, 5);
}

static void long_polls(void)
{
    beside(serve);
    visits(3, 4, 6);
}

/* Clients that come all at once and stay: a server that has become busy. */
static void busy_hour(void)
{
    beside(serve);
    int files[60];
    for (int i = 0; i < 60; i++)
        files[i] = connect_to_server();
    beat at = {0};
    for (unsigned n = 0;; n++, pace(&at, 20))
        ask(files[n % 60]);
}

/* A connection that breaks each second and is made anew. */
static void reconnecting(void)
{
    beside(serve);
    for (;;) {
        int file = connect_to_server();
        double end = now() + 1.4;
        for (beat at = {0}; now() < end; pace(&at, 10))
            ask(file);
        close(file);
    }
}

static const pattern programs[] = {
    {"close-wait", close_wait},
    {"close-wait-seldom", close_wait_seldom},
    {"half-open", half_open},
    {"client-keeps", client_keeps},
    {"look-ups", look_ups},
    {"client-pool", client_pool},
    {"random-connections", random_connections},
    {"long-polls", long_polls},
    {"busy-hour", busy_hour},
    {"reconnecting", reconnecting},
};

int main(int argc, char **argv)
{
    return BEGIN(programs);
}
