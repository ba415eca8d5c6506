"""What the Python programs of the corpus share: beginning on a word, pacing, ends."""

import ctypes
import signal
import sys
import time


def begin():
    """Says that all is prepared, waits for the word; sees to an end in any case."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    signal.alarm(400)
    print("ready", flush=True)
    if not sys.stdin.readline():
        sys.exit(0)


def paced(per_second):
    """Counts, so many a second."""
    start, number = time.monotonic(), 0
    while True:
        yield number
        number += 1
        time.sleep(max(0.0, start + number / per_second - time.monotonic()))


def run(programs):
    """Runs the program that is named by the first argument."""
    program = programs[sys.argv[1]]
    begin()
    program()
