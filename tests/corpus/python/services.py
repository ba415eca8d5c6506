"""services.py PATTERN: leaks and their correct twins as Python programs have them."""

import collections
import functools
import glob
import http.client
import http.server
import multiprocessing
import os
import random
import select
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from corpus import paced, run

KEPT = []


def open_and_keep():
    KEPT.append(open("/etc/passwd"))


def files():
    for _ in paced(6):
        open_and_keep()


def start_without_wait():
    KEPT.append(subprocess.Popen(["true"]))


def children():
    for _ in paced(5):
        start_without_wait()


def serve_without_close(listener):
    connection, _ = listener.accept()
    connection.recv(10)
    KEPT.append(connection)


def visit(address, per_second):
    for _ in paced(per_second):
        with socket.create_connection(address) as connection:
            connection.send(b"hello")


def beside(target, *arguments):
    """Runs a function in a process of its own, that ends with this one."""
    multiprocessing.get_context("fork").Process(
        target=target, args=arguments, daemon=True
    ).start()


def answer_for_a_while(listener):
    """Answers on each connection until nothing came for two seconds."""
    idle = {}
    listener.setblocking(False)
    while True:
        readable, _, _ = select.select([listener, *idle], [], [], 0.1)
        for one in readable:
            if one is listener:
                one, _ = listener.accept()
            elif not one.recv(10):
                one.close()
                del idle[one]
                continue
            else:
                one.send(b"hello")
            idle[one] = time.monotonic()
        for one in [one for one, last in idle.items() if time.monotonic() - last > 2]:
            one.close()
            del idle[one]


def ask_from_pool(address, pool, turn):
    """Takes the connection that was given back last; a dead one is found out by asking."""
    while True:
        time.sleep(random.expovariate(2))
        with turn:
            connection = pool.pop() if pool else None
        while True:
            connection = connection or socket.create_connection(address)
            try:
                connection.sendall(b"hello")
                if connection.recv(10):
                    break
            except OSError:
                pass
            connection.close()
            connection = None
        with turn:
            pool.append(connection)


def keep_alive_closed():
    """A pool of at most eight connections, whose peer closes those that are idle."""
    listener = socket.create_server(("127.0.0.1", 0))
    beside(answer_for_a_while, listener)
    pool, turn = [], threading.Lock()
    address = listener.getsockname()
    for _ in range(8):
        threading.Thread(target=ask_from_pool, args=(address, pool, turn), daemon=True).start()
    threading.Event().wait()


def close_wait():
    listener = socket.create_server(("127.0.0.1", 0))
    beside(visit, listener.getsockname(), 5)
    while True:
        serve_without_close(listener)


def spill():
    KEPT.append(tempfile.TemporaryFile())


def temporary():
    for _ in paced(2):
        spill()


def cycle_with_finalizer_off():
    """A cycle that is kept from the collector by its registry."""
    connection = sqlite3.connect(":memory:")
    read, write = os.pipe()
    KEPT.append((connection, read, write))


def registry():
    for _ in paced(3):
        cycle_with_finalizer_off()


def start_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def threads():
    for number in paced(5):
        if number < 600:
            start_thread()


def poll_and_keep():
    KEPT.append(select.epoll())


def epolls():
    for _ in paced(5):
        poll_and_keep()


def fail_before_close(number):
    file = open("/etc/hosts")
    try:
        if number % 12 == 0:
            raise ValueError("bad request")
        file.close()
    except ValueError as error:
        # Kept for the report that is sent at the end of the day, with its file.
        KEPT.append((error, file))


def errors_kept():
    for number in paced(60):
        fail_before_close(number)


# Correct ones.


def with_blocks():
    for _ in paced(20):
        with open("/etc/hosts") as file:
            file.read()


def lru():
    cache = collections.OrderedDict()
    for _ in paced(15):
        key = random.randrange(60)
        if key in cache:
            cache.move_to_end(key)
            continue
        cache[key] = open("/etc/hosts")
        if len(cache) > 20:
            cache.popitem(last=False)[1].close()


def answer(port_ready):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port_ready.send(server.server_address[1])
    server.serve_forever()


def web_server():
    here, there = multiprocessing.Pipe()
    beside(answer, there)
    return here.recv()


def keep_alive():
    port = web_server()
    clients = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(6)]
    for number in paced(12):
        client = clients[number % len(clients)]
        client.request("GET", "/")
        client.getresponse().read()


def keep_and_leak():
    """A client that makes a new connection for each request and keeps it."""
    port = web_server()
    for _ in paced(5):
        request_and_keep(port)


def request_and_keep(port):
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.request("GET", "/")
    client.getresponse().read()
    KEPT.append(client)


def thread_pool():
    with ThreadPoolExecutor(max_workers=12) as pool:
        for number in paced(4):
            pool.submit(time.sleep, 1.5 + number % 3)


def commands():
    for _ in paced(3):
        subprocess.run(["true"], check=True)


def queue():
    """Work that comes in waves of ten seconds, each item with its file."""
    held = collections.deque()
    for number in paced(20):
        wanted = 15 if number // 100 % 2 else 2
        if len(held) < wanted:
            held.append(open("/etc/hosts"))
        elif len(held) > wanted:
            held.popleft().close()


def process_pool():
    """Four workers, each replaced after six jobs."""
    with multiprocessing.get_context("fork").Pool(4, maxtasksperchild=6) as pool:
        for _ in paced(4):
            pool.apply_async(time.sleep, (0.4,))


@functools.lru_cache(maxsize=16)
def cached(number):
    return open("/etc/hosts"), number


def cache_decorated():
    for _ in paced(8):
        cached(random.randrange(40))


def directories():
    held = collections.deque(maxlen=10)
    for _ in paced(5):
        held.append(os.scandir("/etc"))
        next(held[-1])


def rotated_logs():
    held = collections.deque()
    with tempfile.TemporaryDirectory() as directory:
        for number in paced(1):
            held.append(open(os.path.join(directory, f"log.{number}"), "w"))
            held[-1].write("x" * 1000)
            if len(held) > 3:
                held.popleft().close()
            for old in sorted(glob.glob(os.path.join(directory, "*")))[:-5]:
                os.unlink(old)


run(
    {
        "files": files,
        "children": children,
        "close-wait": close_wait,
        "temporary": temporary,
        "registry": registry,
        "threads": threads,
        "epolls": epolls,
        "errors-kept": errors_kept,
        "keep-and-leak": keep_and_leak,
        "with-blocks": with_blocks,
        "lru": lru,
        "keep-alive": keep_alive,
        "keep-alive-closed": keep_alive_closed,
        "thread-pool": thread_pool,
        "commands": commands,
        "queue": queue,
        "process-pool": process_pool,
        "cache-decorated": cache_decorated,
        "directories": directories,
        "rotated-logs": rotated_logs,
    }
)
