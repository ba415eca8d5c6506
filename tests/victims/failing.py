"""Opens files until there are no descriptors left, in a function of its own."""

import resource
import sys

KEPT = []


def fail_open():
    while True:
        KEPT.append(open("/dev/null"))  # fails here


def main():
    # What an import needs it has.
    import traceback  # noqa: F401

    print("ready", flush=True)
    sys.stdin.readline()
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    try:
        fail_open()
    except OSError as error:
        print(f"held {error.errno}", flush=True)
    sys.stdin.readline()


main()
