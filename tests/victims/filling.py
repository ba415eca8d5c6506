"""Keeps a file and a socket every 50 ms until there are no descriptors left, then waits a little and ends."""

import os
import socket
import time

KEPT = []


def read_settings():
    KEPT.append(open(os.devnull))


def ask_server():
    KEPT.append(socket.socket())


try:
    while True:
        read_settings()
        ask_server()
        time.sleep(0.05)
except OSError:
    # Time to look at what it holds.
    time.sleep(0.4)
