"""asynchronous.py PATTERN: asyncio servers and clients, one that leaks and two that do not."""

import asyncio
import random

from corpus import run

KEPT = []


async def echo(reader, writer):
    while data := await reader.readline():
        writer.write(data)
        await writer.drain()
    writer.close()


async def silent(reader, writer):
    """Takes what comes and never closes."""
    KEPT.append((reader, writer))
    await reader.readline()


async def server(handler):
    started = await asyncio.start_server(handler, "127.0.0.1", 0)
    return started.sockets[0].getsockname()[1]


async def connect_and_keep(port):
    KEPT.append(await asyncio.open_connection("127.0.0.1", port))


async def leak():
    port = await server(silent)
    while True:
        await connect_and_keep(port)
        await asyncio.sleep(0.18)


async def talk(port, seconds):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        writer.write(b"hello\n")
        await reader.readline()
        await asyncio.sleep(0.3)
    writer.close()
    await writer.wait_closed()


async def turnover():
    port = await server(echo)
    tasks = set()
    while True:
        task = asyncio.create_task(talk(port, random.uniform(0.5, 5)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await asyncio.sleep(0.2)


async def pooled():
    port = await server(echo)
    await asyncio.gather(*(talk(port, 1000) for _ in range(8)))


run(
    {
        "leak": lambda: asyncio.run(leak()),
        "turnover": lambda: asyncio.run(turnover()),
        "pooled": lambda: asyncio.run(pooled()),
    }
)
