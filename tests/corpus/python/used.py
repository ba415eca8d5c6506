"""used.py PATTERN: correct programs that grow for half a minute and use what they hold, and
twins that forget it. Nothing but use tells them apart for that time."""

import random
import socket
import threading
import time

from corpus import paced, run

GROWING = 30
HELD = []


def open_one():
    file = open("/etc/services")
    file.read(100)
    HELD.append(file)


def read_again(file):
    file.seek(0 if file.tell() > 5000 else file.tell() + 1)
    file.readline()


def cache():
    """Six files a second, each read again and again; then one out for each one in."""
    for number in paced(60):
        if number % 10 == 0:
            if len(HELD) >= 6 * GROWING:
                HELD.pop(0).close()
            open_one()
        for _ in range(3):
            read_again(random.choice(HELD))


def batch():
    """As many over the same time, used, then all closed: again and again."""
    while True:
        for number in paced(60):
            if number % 10 == 0:
                if len(HELD) >= 6 * GROWING:
                    break
                open_one()
            for _ in range(3):
                read_again(random.choice(HELD))
        while HELD:
            HELD.pop().close()
        time.sleep(5)


def serve(connection):
    while word := connection.recv(10):
        connection.sendall(word)


def accept(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def connect_and_ask(address):
    connection = socket.create_connection(address)
    HELD.append(connection)
    ask(connection)


def ask(connection):
    connection.sendall(b"hello")
    connection.recv(10)


def listening():
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    return listener.getsockname()


def clients():
    """A thread for each client; clients come for half a minute, stay and talk."""
    address = listening()
    for number in paced(100):
        if number % 20 == 0 and len(HELD) < 5 * GROWING:
            connect_and_ask(address)
        for _ in range(len(HELD) // 100 + 1):
            HELD.append(HELD.pop(0))
            ask(HELD[-1])


def forgotten():
    """The clients come at the same pace, ask once and are forgotten."""
    address = listening()
    for _ in paced(5):
        connect_and_ask(address)


run({"cache": cache, "batch": batch, "clients": clients, "forgotten": forgotten})
