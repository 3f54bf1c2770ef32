"""A forked process made what a spawned one is: its descriptors, environment, numbers and randomness."""

import ctypes
import os
import random
import signal
import threading

from . import assign

_KEY = b"KERNELBRIDGE_KERNEL_ID="
_MOST_FD = (1 << 31) - 1


class StartBlock:
    """The memory from which /proc shows the environment that this process was started with."""

    def __init__(self):
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        start, end = int(fields[47]), int(fields[48])  # proc(5): env_start, env_end, 50 and 51
        block = b"\0" + ctypes.string_at(start, end - start)
        found = block.find(b"\0" + _KEY)
        self._id = start + found + len(_KEY) if found >= 0 else None
        self._len = block.index(b"\0", found + 1) - found - 1 - len(_KEY) if found >= 0 else 0

    def mark(self, kernel_id: str):
        """Put `kernel_id` in place of KERNELBRIDGE_KERNEL_ID's value there: by it the gateway finds
        what a kernel left behind. Raises ValueError where it is not as long as that value."""
        data = kernel_id.encode()
        if self._id is None or len(data) != self._len:
            raise ValueError(f"kernel id {kernel_id!r} is not as long as the zygote's own")
        ctypes.memmove(self._id, data, len(data))


def become(request, keep: tuple[int, ...]):
    """Take on the descriptors, the folder and the environment of `request`, a zygote.Request; all
    other descriptors but those of `keep` are closed. Raises OSError."""
    os.dup2(request.out, 1)
    os.dup2(request.out, 2)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    first = 3
    for fd in sorted(keep):
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, _MOST_FD)
    os.chdir(request.cwd)
    for name in os.environ.keys() - request.env.keys():
        del os.environ[name]
    for name, value in request.env.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def renew():
    """Make anew what this process and its zygote have in common and must not. What this reads may be a
    file that the environment names (TZ) and that never opens: so a kernel has answered before."""
    threading.main_thread()._set_native_id()
    assign.catch_up()
    random.seed()
