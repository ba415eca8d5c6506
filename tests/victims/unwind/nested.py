"""nested.py: opens files in many ways and says for each, as JSON, which functions
were on the stack: the innermost first, each with its file and line. Then waits."""

import json
import os
import sys
import threading
import time

KEPT = []
EXPECTED = []
TIMES = 12


def stack():
    frames = []
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        # Code knows its qualified name since 3.11.
        name = getattr(code, "co_qualname", code.co_name)
        frames.append([name, code.co_filename, frame.f_lineno])
        frame = frame.f_back
    return frames


def leak(kept):
    kept.append((open(os.devnull), stack()))


def inner(kept, depth):
    if depth:
        inner(kept, depth - 1)
    else:
        leak(kept)


def nested(kept):
    inner(kept, 3)


class Keeper:
    def keep(self, kept):
        def closure():
            leak(kept)

        closure()

    @classmethod
    def make(cls, kept):
        cls().keep(kept)


def generating(kept):
    leak(kept)
    yield 1


def generator(kept):
    list(generating(kept))


def mapped(kept):
    # From Python through C into Python.
    list(map(lambda _: leak(kept), [1]))


def sorted_by(kept):
    sorted([1], key=lambda _: leak(kept) or 0)


def comprehension(kept):
    [leak(kept) for _ in range(1)]


def raising(kept):
    try:
        raise ValueError
    except ValueError:
        leak(kept)


def deep(kept):
    inner(kept, 40)


def threaded(kept):
    thread = threading.Thread(target=nested, args=(kept,))
    thread.start()
    thread.join()


WAYS = [nested, Keeper.make, generator, mapped, sorted_by, comprehension, raising, deep, threaded]

print("ready", flush=True)
sys.stdin.readline()
for way in WAYS:
    kept = []
    for _ in range(TIMES):
        way(kept)
    KEPT.append(kept)
    # One site: the same functions and lines each time.
    assert all(frames == kept[0][1] for _, frames in kept)
    print("expected", json.dumps({"way": way.__qualname__, "frames": kept[0][1]}), flush=True)
print("held", flush=True)
sys.stdin.readline()
# Names are read from the process's memory: they take as long as that takes.
time.sleep(0.5)
# An interpreter that ends in an orderly way would close them.
os._exit(0)
