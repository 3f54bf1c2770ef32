"""Output written below Python: by child processes, C code and os.write to descriptors 1 and 2."""

import codecs
import ctypes
import fcntl
import os
import termios

_NOTHING = b"\0\0\0\0"
_PIPE_BYTES = 1 << 20  # so that C code that holds the GIL can print this much without a reader
_F_SETPIPE_SZ = 1031
_IOLBF = 1
_CHUNK = 1 << 16


class Capture:
    """Descriptor `fd` led into a pipe whose reading end is `self.pipe`, non-blocking.

    `self.original` is a copy of what the descriptor was before.
    """

    def __init__(self, fd: int):
        self.fd = fd
        self.original = os.dup(fd)
        self.pipe, end = os.pipe()
        try:
            fcntl.fcntl(end, _F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:
            pass  # over the user's limit of pipe memory: the default of 64 KiB does
        os.dup2(end, fd)
        os.close(end)
        os.set_blocking(self.pipe, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def waiting(self) -> int:
        """Return how many bytes can be read at once."""
        count = fcntl.ioctl(self.pipe, termios.FIONREAD, _NOTHING)
        return 0 if count == _NOTHING else int.from_bytes(count, "little")

    def read(self) -> tuple[int, str]:
        """Return (bytes read, their text); (0, "") when nothing waits. Reads at most 64 KiB."""
        try:
            data = os.read(self.pipe, _CHUNK)
        except BlockingIOError:
            return 0, ""
        return len(data), self._decoder.decode(data)

    def restore(self):
        """Let the descriptor be what it was before."""
        os.dup2(self.original, self.fd)


class CStdio:
    """The C library's own stdout, made to hand on every line."""

    def __init__(self):
        libc = ctypes.CDLL(None)
        self._fflush = libc.fflush
        self._stdout = ctypes.c_void_p.in_dll(libc, "stdout")
        libc.setvbuf(self._stdout, None, _IOLBF, 0)

    def flush(self):
        """Write out an unfinished line."""
        self._fflush(self._stdout)
