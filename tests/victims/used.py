"""used.py: connections that are opened and forgotten, and as many that go on being used; and
duplicates that are forgotten, of a file that goes on being used."""

import os
import socket
import sys
import threading
import time

SECONDS = 18
EVERY = 0.1


def echo(connection):
    while word := connection.recv(10):
        connection.sendall(word)


def serve(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def ask(connection):
    connection.sendall(b"hello")
    connection.recv(10)


def open_and_forget(address, kept):
    kept.append(socket.create_connection(address))
    ask(kept[-1])


def open_and_use(address, used):
    used.append(socket.create_connection(address))
    ask(used[-1])


def duplicate_and_forget(file, duplicates):
    duplicates.append(os.dup(file.fileno()))
    if not file.read(1):
        file.seek(0)


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
address = listener.getsockname()
print("ready", flush=True)
sys.stdin.readline()
kept, used, duplicates = [], [], []
file = open(__file__, "rb", buffering=0)
start = time.monotonic()
for turn in range(int(SECONDS / EVERY)):
    time.sleep(max(0.0, start + turn * EVERY - time.monotonic()))
    open_and_forget(address, kept)
    open_and_use(address, used)
    duplicate_and_forget(file, duplicates)
    # Each of them about once a second.
    for _ in range(len(used) // 10 + 1):
        used.append(used.pop(0))
        ask(used[0])
print("held", flush=True)
sys.stdin.readline()
