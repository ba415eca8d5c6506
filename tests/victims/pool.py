"""A pool of connections: list_orders and list_users give back what they borrow; in `keeps`,
export_report, one call in twenty, does not. In `gives` all do, and work ends."""

import socket
import sys
import threading
import time

CONNECTIONS = 8
PAUSE = 0.025


def serve(listener):
    def answer(connection):
        while connection.recv(64):
            connection.sendall(b"rows")

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def open_pool(port):
    return [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]


def query(connection):
    connection.sendall(b"select")
    connection.recv(64)


def list_orders(pool):
    connection = pool.pop(0)
    query(connection)
    pool.append(connection)


def list_users(pool):
    connection = pool.pop(0)
    query(connection)
    pool.append(connection)


def export_report(pool, kept):
    connection = pool.pop(0)
    query(connection)
    kept.append(connection)


def work(pool, kept, seconds):
    """Works for a time, or until the pool is dry."""
    end = time.monotonic() + seconds
    number = 0
    while pool and time.monotonic() < end:
        number += 1
        if number % 20 == 0:
            export_report(pool, kept)
        elif number % 2:
            list_orders(pool)
        else:
            list_users(pool)
        time.sleep(PAUSE)


def main():
    keeps = sys.argv[1] == "keeps"
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.readline()
    pool = open_pool(listener.getsockname()[1])
    # Until it is known as a pool, nothing is missing.
    work(pool, pool, 8)
    kept = [] if keeps else pool
    work(pool, kept, 6)
    time.sleep(10.5)
    print("quiet", flush=True)
    sys.stdin.readline()


main()
