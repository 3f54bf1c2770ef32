"""`python -P -m kernelbridge_kernel.zygote [--OPTION=VALUE...] [MODULE...]`: fork kernels on request.

Loads what a kernel has loaded after its first cells, then the MODULEs (those that are installed),
says {"ready": true} on descriptor 3 and forks a kernel for each request that comes there; the packets
are those of kernelmgr/launch_zygote.h. Ends when descriptor 3 reaches its end, and when a
request comes after packages were installed: that request is for the next zygote.

What all kernels of one zygote share: the hash seed (of str and bytes) and the address-space layout.
A set of strings has the same order in each of them, as with a fixed PYTHONHASHSEED; those who must not
learn each other's seed need a zygote each. All else that a program can see is made anew: reborn.py.
"""

import gc
import sys

if not sys.flags.safe_path:
    del sys.path[0]

gc.disable()

import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import socket  # noqa: E402
from contextlib import suppress  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402

from kernelbridge_kernel import options, reborn  # noqa: E402
from kernelbridge_kernel.app import run  # noqa: E402
from kernelbridge_kernel.preload import Preload  # noqa: E402

SOCKET = 3
_MOST = 4 << 20  # bytes of a request; an environment that execve(2) takes is smaller


class Request(NamedTuple):
    """A kernel to fork; `env` is its whole environment, `out` the descriptor for its output."""

    n: int
    connection_file: str
    kernel_id: str
    cwd: str
    env: dict[str, str]
    out: int


class Refused(Exception):
    """A request that cannot be done. The text says why."""


def serve(sock: socket.socket, block: reborn.StartBlock, loaded: Preload) -> Request | None:
    """Answer requests until the socket's end: returns None. Returns a Request in each kernel."""
    _send(sock, {"ready": True})
    while True:
        data, fds, flags, _ = socket.recv_fds(sock, _MOST, 4)
        if not data:
            return None
        if loaded.is_stale():
            print("zygote: ends, for packages have changed", file=sys.stderr, flush=True)
            return None
        n = _number(data)
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise Refused("the request is too large")
            request = _parse(data, fds)
            if _fork(request, block, sock):
                return request
        except (Refused, OSError) as err:
            if n is not None:
                _send(sock, {"n": n, "error": str(err)[:500]})
            else:
                print(f"zygote: a request without n: {err}", file=sys.stderr, flush=True)
        for fd in fds:
            os.close(fd)


def _send(sock, packet):
    sock.send(json.dumps(packet).encode())


def _number(data: bytes) -> int | None:
    """Return the request's `n`, also where the rest of it is malformed."""
    found = re.search(rb'"n"\s*:\s*(\d{1,18})\b', data)
    return int(found[1]) if found else None


def _parse(data: bytes, fds: list[int]) -> Request:
    """Raises Refused."""
    try:
        packet = json.loads(data)
        n, env = packet["n"], packet["env"]
        texts = [packet[key] for key in ("connection_file", "kernel_id", "cwd")]
        pairs = list(env.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise Refused(f"malformed request: {type(err).__name__}: {err}") from None
    if type(n) is not int:
        raise Refused("malformed request: n must be an integer")
    if not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise Refused("malformed request: connection_file, kernel_id and cwd must be strings")
    for name, value in pairs:
        if not isinstance(value, str) or not name or "=" in name or "\0" in name + value:
            raise Refused(f"malformed request: environment variable {name!r}")
    if len(fds) != 1:
        raise Refused(f"malformed request: {len(fds)} descriptors, not one")
    return Request(n, *texts, env, fds[0])


def _fork(request: Request, block: reborn.StartBlock, sock: socket.socket) -> bool:
    """Fork twice. Returns True in the kernel, which is then a session of its own with its descriptors,
    folder and environment; False here, once it or the process between has answered. So a kernel serves
    only after its answer is on its way, whatever becomes of its zygote. Raises OSError or Refused."""
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if child == 0:
        _fork_again(request, block, sock, writing)
        return True
    os.close(writing)
    try:
        os.waitpid(child, 0)
        answered = os.read(reading, 1)
    finally:
        os.close(reading)
    if not answered:
        raise Refused("the kernel ended before it began")
    return False


def _fork_again(request, block, sock, pipe):
    """In the process between: fork the kernel and end. Returns in the kernel only."""
    try:
        answer = _begin(request, block, keep=(sock.fileno(), pipe))
    except BaseException as err:
        answer = {"error": f"{type(err).__name__}: {err}"[:500]}
    try:
        _send(sock, {"n": request.n, **answer})
    except OSError:  # the gateway does not wait for it any more
        os._exit(1)
    with suppress(BrokenPipeError):  # the zygote was killed meanwhile
        os.write(pipe, b".")
    if "error" in answer:
        os._exit(1)
    os.close(pipe)
    sock.close()


def _begin(request, block, keep):
    """As _fork_again(). The process between is gone when this returns the answer."""
    block.mark(request.kernel_id)
    between = os.getpid()
    if os.fork() != 0:
        os._exit(0)
    os.setsid()
    reborn.become(request, keep)
    while os.getppid() == between:
        os.sched_yield()
    return {"pid": os.getpid()}


def main() -> None:
    """Load and serve; in each kernel, run it."""
    given, modules = options.split(sys.argv[1:])
    kernel = _load_and_serve(given, modules)
    if kernel is not None:
        reborn.renew()
        run(["-f", kernel.connection_file, *given])


def _load_and_serve(given, modules):
    """As serve()."""
    sock = socket.socket(fileno=SOCKET)
    block = reborn.StartBlock()
    loaded = Preload()
    loaded.load(modules, given)
    gc.collect()
    gc.freeze()
    threads = os.listdir("/proc/self/task")
    if len(threads) != 1:
        raise SystemExit(f"zygote: {len(threads)} threads after loading; it must have one to fork")
    try:
        return serve(sock, block, loaded)
    except ConnectionError:  # the gateway ended
        return None


if __name__ == "__main__":
    main()
