"""Stops at known places; tells each time which stack it stopped with."""

import os
import sys
import threading

def stop():
    tell(sys._getframe()); os.read(0, 1)

def tell(frame):
    lines = [str(threading.get_ident())]
    while frame is not None:
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)
        lines.append("\t".join((name, code.co_filename, str(frame.f_lineno))))
        frame = frame.f_back
    os.write(1, ("\n".join(lines) + "\n\n").encode())

def direct_call():
    stop()

class Outer:
    class Inner:
        def method(self):
            return direct_call()

    @property
    def entered_or_not(self):
        def closure():
            direct_call()
        return closure()

def entered_key(item):
    direct_call()
    return item

def entered_each(item):
    (lambda: direct_call())()
    return item

def generator():
    yield 1
    direct_call()
    yield 2

def delegating():
    yield from generator()

async def coroutine():
    direct_call()

async def awaiting():
    await coroutine()

def deep(left):
    if left == 0:
        direct_call()
    else:
        deep(left - 1)

def many_lines():
    return [
        1,
        direct_call(),
        2,
    ]

def far_lines(value):
    lines = ["def far(value):", " if value:", "  pass"] + [""] * 400 + [" call()", " return ("] + [""] * 200 + [" value)", "far(1)"]
    exec(compile("\n".join(lines), "far", "exec"), {"call": direct_call})

def caught():
    try:
        raise ValueError
    except ValueError:
        with open(os.devnull):
            direct_call()

def été():
    direct_call()

def 关():
    été()

def 𐌰():
    关()

def awaited():
    try:
        awaiting().send(None)
    except StopIteration:
        pass

def in_other_code(name):
    code = compile("\n\n\ndef inside():\n  call()\n\ninside()\n", name, "exec")
    exec(code, {"call": direct_call})

def in_thread():
    thread = threading.Thread(target=direct_call)
    thread.start()
    thread.join()

def in_body():
    class Body:
        direct_call()

def in_other_interpreter():
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    with open(__file__) as file:
        source = file.read().partition("def direct_call")[0]
    # It stays, with a state for this thread that has no frames.
    interpreters.run_string(interpreters.create(), source + "stop()\n")

SCENES = [
    direct_call,
    lambda: Outer.Inner().method(),
    lambda: Outer().entered_or_not,
    lambda: sorted([1], key=entered_key),
    lambda: list(map(entered_each, [1])),
    lambda: list(generator()),
    lambda: [each for each in delegating()],
    lambda: [direct_call() for each in [1]],
    awaited,
    lambda: deep(60),
    many_lines,
    lambda: far_lines(1),
    caught,
    𐌰,
    lambda: in_other_code("<stÿle>"),
    lambda: in_other_code("/tmp/名.py"),
    lambda: in_other_code("/tmp/\U00010330.py"),
    lambda: in_other_code("/tmp/" + "x" * 2000),
    in_thread,
    in_body,
    lambda: sorted([1, 2], key=lambda item: list(map(entered_key, [item]))),
    in_other_interpreter,
    direct_call,
]

for scene in SCENES:
    scene()