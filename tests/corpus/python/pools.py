"""pools.py PATTERN: a bounded pool of connections (a queue, as that of SQLAlchemy). One borrow in
twenty is by export_report. In `dry` it does not give back, and in the end all callers get an error;
in `day` it does; in `evening` the callers become fewer one after the other, and then it is night."""

import queue
import socket
import threading
import time

from corpus import paced, run

CONNECTIONS = 10
KEPT = []


def serve(connection):
    while word := connection.recv(10):
        connection.sendall(word)


def accept(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def ask(connection):
    connection.sendall(b"select")
    connection.recv(10)


def open_connection(address):
    return socket.create_connection(address)


def open_pool():
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    address = listener.getsockname()
    pool = queue.Queue()
    for _ in range(CONNECTIONS):
        pool.put(open_connection(address))
    return pool


def list_orders(pool):
    connection = pool.get(timeout=0.01)
    ask(connection)
    pool.put(connection)


def list_users(pool):
    connection = pool.get(timeout=0.01)
    ask(connection)
    pool.put(connection)


def export_report(pool, gives_back):
    connection = pool.get(timeout=0.01)
    ask(connection)
    if gives_back:
        pool.put(connection)
    else:
        KEPT.append(connection)


def call(pool, number, gives_back=True):
    try:
        if number % 20 == 19:
            export_report(pool, gives_back)
        elif number % 2:
            list_orders(pool)
        else:
            list_users(pool)
    except queue.Empty:
        pass


def dry():
    pool = open_pool()
    for number in paced(20):
        call(pool, number, gives_back=number < 160)


def day():
    pool = open_pool()
    for number in paced(20):
        call(pool, number)


def evening():
    pool = open_pool()
    for number in paced(20):
        call(pool, number)
        if number > 100 and number % 20 == 10:
            # A caller goes home.
            KEPT.append(pool.get())
            if pool.empty():
                break
    while True:
        time.sleep(5)


run({"dry": dry, "day": day, "evening": evening})
