"""leaky.py: keeps a file and a socket every 50 ms, for SECONDS; then waits."""

import os
import socket
import sys
import time

KEPT = []

print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[1]) * 20):
    KEPT.append(open(os.devnull))
    KEPT.append(socket.socket())
    open(os.devnull).close()
    socket.socket().close()
    time.sleep(0.05)
print("held", flush=True)
sys.stdin.readline()
