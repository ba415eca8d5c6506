"""servers.py SERVER leak|pool|ramp: a real server as a child, on a port of its own and with
its data in a temporary directory, and a client that keeps or pools connections. A ramp is a
load that grows for half a minute: more and more clients, all of which go on talking."""

import atexit
import collections
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from corpus import begin, paced

NGINX = """
daemon off; user www-data; worker_processes 1; pid DIR/pid; error_log DIR/error.log;
events { worker_connections 2048; }
http {
  access_log off; keepalive_timeout 600; keepalive_requests 1000000;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy;
  fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  server { listen 127.0.0.1:PORT; location / { return 200 "hello"; } }
}
"""


HAPROXY = """
global
  maxconn 2000
defaults
  mode http
  timeout client 600s
  timeout connect 5s
  timeout server 5s
  timeout http-keep-alive 600s
frontend here
  bind 127.0.0.1:PORT
  http-request return status 200 content-type text/plain string hello
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def die_with_parent():
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def start(command, user):
    """Runs a server; postgres and redis as their own users."""
    server = subprocess.Popen(
        command,
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    atexit.register(server.terminate)
    return server


def found(name):
    """A program on PATH, or where Debian keeps PostgreSQL's."""
    places = [os.environ["PATH"], "/usr/sbin"]
    base = "/usr/lib/postgresql"
    if os.path.isdir(base):
        places += [f"{base}/{version}/bin" for version in sorted(os.listdir(base))]
    return shutil.which(name, path=":".join(places)) or sys.exit(f"no {name}")


def nginx(directory, port):
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w") as file:
        file.write(NGINX.replace("DIR", directory).replace("PORT", str(port)))
    start([found("nginx"), "-p", directory, "-c", path], None)


def redis(directory, port):
    os.chown(directory, pwd.getpwnam("redis").pw_uid, -1)
    start(
        [found("redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
        + ["--dir", directory, "--save", "", "--maxclients", "1500"],
        "redis",
    )


def postgres(directory, port):
    os.chown(directory, pwd.getpwnam("postgres").pw_uid, -1)
    data = os.path.join(directory, "data")
    subprocess.run(
        [found("initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"],
        user="postgres",
        cwd=directory,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    options = ["-c", "fsync=off", "-c", "max_connections=700", "-c", "shared_buffers=16MB"]
    options += ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-k", directory]
    start([found("postgres"), "-D", data] + options, "postgres")


def memcached(directory, port):
    start([found("memcached"), "-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-U", "0"], None)


def haproxy(directory, port):
    path = os.path.join(directory, "haproxy.cfg")
    with open(path, "w") as file:
        file.write(HAPROXY.replace("PORT", str(port)))
    start([found("haproxy"), "-db", "-f", path], None)


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def ask_nginx(client, _):
    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.recv(4096).startswith(b"HTTP/1.1 200")


def ask_memcached(client, _):
    client.sendall(b"set key 0 0 5\r\nvalue\r\n")
    assert client.recv(4096) == b"STORED\r\n"


def ask_redis(client, _):
    client.sendall(b"INCR counter\r\n")
    assert client.recv(4096).startswith(b":")


def ask_postgres(client, is_new):
    if is_new:
        words = b"user\0postgres\0database\0postgres\0\0"
        client.sendall(struct.pack("!ii", len(words) + 8, 196608) + words)
        until_ready(client)
    query = b"select 1\0"
    client.sendall(b"Q" + struct.pack("!i", len(query) + 4) + query)
    until_ready(client)


def until_ready(client):
    """Reads messages up to ReadyForQuery."""
    answer = b""
    while not answer.endswith((b"Z\0\0\0\5I", b"Z\0\0\0\5T")):
        part = client.recv(4096)
        assert part and not answer.startswith(b"E"), answer
        answer += part


SERVERS = {
    "nginx": (nginx, ask_nginx),
    "haproxy": (haproxy, ask_nginx),
    "redis": (redis, ask_redis),
    "memcached": (memcached, ask_memcached),
    "postgres": (postgres, ask_postgres),
}

# How many clients a ramp has: one more every 0.2 s for half a minute.
RAMP = 150


def connect_and_keep(port, kept, ask):
    client = connect(port)
    ask(client, True)
    kept.append(client)


def main():
    name, way = sys.argv[1:]
    serve, ask = SERVERS[name]
    directory = tempfile.mkdtemp(prefix="leaktrace-corpus-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = free_port()
    serve(directory, port)
    deadline = time.monotonic() + 60
    while True:
        try:
            with connect(port) as client:
                ask(client, True)
            break
        except (OSError, AssertionError):
            if time.monotonic() > deadline:
                sys.exit(f"{name} does not answer")
            time.sleep(0.1)
    clients = collections.deque()
    if way == "pool":
        for _ in range(8):
            connect_and_keep(port, clients, ask)
    begin()
    if way == "leak":
        for _ in paced(3 if name == "postgres" else 5):
            connect_and_keep(port, clients, ask)
    if way == "ramp":
        # Each of them talks about once a second.
        for number in paced(100):
            if number % 20 == 0 and len(clients) < RAMP:
                connect_and_keep(port, clients, ask)
            for _ in range(len(clients) // 100 + 1):
                clients.rotate(1)
                ask(clients[0], False)
    for number in paced(10):
        # One connection in the pool is renewed every two seconds.
        if number % 20 == 19:
            clients.popleft().close()
            connect_and_keep(port, clients, ask)
        ask(clients[number % 8], False)


main()
