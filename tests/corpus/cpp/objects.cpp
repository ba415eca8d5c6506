// objects PATTERN: leaks and their correct twins as C++ programs have them: owners
// that are never destroyed, exceptions that pass a close, cycles of shared pointers.
#include "../c/corpus.h"

#include <deque>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

// Streams in a map that nobody ever removes from.
struct Sessions {
    std::map<unsigned, std::unique_ptr<std::ifstream>> open;

    SITE void add(unsigned number)
    {
        open.emplace(number, std::make_unique<std::ifstream>("/etc/passwd"));
    }
};

void map_grows()
{
    Sessions sessions;
    beat at = {};
    for (unsigned n = 0;; n++, pace(&at, 5))
        sessions.add(n);
}

// The same map, with the oldest removed.
void map_bounded()
{
    Sessions sessions;
    beat at = {};
    for (unsigned n = 0;; n++, pace(&at, 5)) {
        sessions.add(n);
        if (n >= 12)
            sessions.open.erase(n - 12);
    }
}

// A FILE that is passed by an exception, for each eighth document.
SITE void parse(unsigned number)
{
    FILE *file = fopen("/etc/hosts", "re");
    if (number % 8 == 0)
        throw std::runtime_error("no document");
    fclose(file);
}

void exception_path()
{
    beat at = {};
    for (unsigned n = 0;; n++, pace(&at, 48)) {
        try {
            parse(n);
        } catch (const std::runtime_error &) {
            // It will be asked for again.
        }
    }
}

// The exception passes an owner, which closes.
SITE void parse_owned(unsigned number)
{
    std::ifstream file("/etc/hosts");
    rest(0.02);
    if (number % 2 == 0)
        throw std::runtime_error("no document");
}

void exception_owned()
{
    beat at = {};
    for (unsigned n = 0;; n++, pace(&at, 20)) {
        try {
            parse_owned(n);
        } catch (const std::runtime_error &) {
        }
    }
}

// Two ends that own each other, and with each other a descriptor.
struct Peer {
    std::shared_ptr<Peer> other;
    int file = -1;
    ~Peer() { close(file); }
};

SITE void connect_peers(bool cycle)
{
    auto one = std::make_shared<Peer>();
    auto two = std::make_shared<Peer>();
    one->file = (int)must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    two->file = (int)must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    one->other = two;
    if (cycle)
        two->other = one;
}

void shared_cycle()
{
    for (beat at = {};; pace(&at, 4))
        connect_peers(true);
}

void no_cycle()
{
    for (beat at = {};; pace(&at, 20))
        connect_peers(false);
}

// A thread for each event that waits for what never comes.
SITE void start_waiter()
{
    std::thread([] {
        for (;;)
            pause();
    }).detach();
}

void threads_wait()
{
    beat at = {};
    for (int n = 0; n < 800; n++, pace(&at, 5))
        start_waiter();
    for (;;)
        pause();
}

// Work in futures, at most eight at a time, each two seconds long.
void futures()
{
    std::deque<std::future<void>> work;
    for (beat at = {};; pace(&at, 4)) {
        work.push_back(std::async(std::launch::async, [] {
            std::ifstream file("/etc/hosts");
            rest(1.9);
        }));
        if (work.size() > 8)
            work.pop_front();
    }
}

// A vector of buffers that doubles to its bound.
void vector_grows_to_bound()
{
    std::vector<std::string> blocks;
    beat at = {};
    for (int n = 0; n < 80; n++, pace(&at, 8))
        blocks.emplace_back(200 * 1024, 'x');
    for (unsigned n = 0;; n++, pace(&at, 8))
        blocks[n % blocks.size()] = std::string(200 * 1024, 'y');
}

// A vector of large blocks that nobody bounds.
SITE void remember(std::vector<std::unique_ptr<char[]>> &blocks)
{
    blocks.push_back(std::make_unique<char[]>(256 * 1024));
}

void blocks_grow()
{
    std::vector<std::unique_ptr<char[]>> blocks;
    for (beat at = {};; pace(&at, 6))
        remember(blocks);
}

} // namespace

int main(int argc, char **argv)
{
    const std::map<std::string, void (*)()> programs = {
        {"map-grows", map_grows},
        {"map-bounded", map_bounded},
        {"exception-path", exception_path},
        {"exception-owned", exception_owned},
        {"shared-cycle", shared_cycle},
        {"no-cycle", no_cycle},
        {"threads-wait", threads_wait},
        {"futures", futures},
        {"vector-grows-to-bound", vector_grows_to_bound},
        {"blocks-grow", blocks_grow},
    };
    auto found = programs.find(argc > 1 ? argv[1] : "");
    if (found == programs.end())
        return 2;
    begin();
    found->second();
}
