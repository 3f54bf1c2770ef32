"""One bash process: it is told on its standard input what to do, and never sees the code there.

A cell lies in a file in memory, and bash sources it: so lines keep their numbers, code can be of any
length, and `$?`, `set -e` and functions are what they are at a prompt. While a cell runs, descriptor 0
is empty, 1 and 2 are the kernel's own pipes, and only the cell's file is open besides. At other times 1
and 2 lead nowhere: prompts and traces of what is done here stay unseen. What `exec` does to descriptors
0 to 2 lasts until the end of the cell.

bash is interactive (-i), because only so SIGINT ends what runs and leaves the shell, and has no
terminal: there is no job control, and background jobs ignore the interrupt of what runs in front.
"""

import os
import select
import shutil
import signal
import subprocess
from fcntl import F_DUPFD_CLOEXEC, fcntl

from kernelbridge_kernel.wire import encode

from .session import Session

_LOWEST = 100  # our descriptors in bash are above those that scripts choose by hand
_AGAIN = 20  # milliseconds from an interrupt until it is followed up; a quarter more each time
_AT_MOST = 1000
_LONG = 250  # by then most have worked
_PATIENCE = 2000  # milliseconds for bash to end by itself
_CHUNK = 1 << 16

# Sourced with $? and a record as arguments: tells what SIGINT does in bash, and the record. Leaves $?
# as it was, unless `set -e` would end bash.
_TELL = rb"""\builtin trap -p INT >&%d
\builtin printf '\0%%s\0' "$2" >&%d
[[ $- == *e* ]] || \builtin return "$1"
"""
_START = b". /dev/fd/%(tell)d $? %(n)d:start; . /dev/fd/%(code)d </dev/null "
_SEEN = b">&%(out)d 2>&%(err)d %(tell)d<&- %(said)d>&- %(out)d>&- %(err)d>&-\n"
_UNSEEN = b">/dev/null 2>&1\n"
_END = b". /dev/fd/%(tell)d $? %(n)d:$?\n"
_END_UNSEEN = b". /dev/fd/%(tell)d %(status)d %(n)d:0\n"
_SETUP = "set +o history\nhistory -c\nset +H\nshopt -u checkwinsize\nunset MAILCHECK\n"


class Ended(Exception):
    """bash has ended; `status` is its exit status, or minus a signal's number."""

    def __init__(self, status: int):
        super().__init__(status)
        self.status = status


class Bash:
    """A bash in this process's directory and with its environment; `stdout` and `stderr` are
    descriptors for the output of cells, `wake` is readable after each signal. One thread runs code,
    and its signal handlers call interrupt(); any thread may call close()."""

    def __init__(self, stdout: int, stderr: int, wake: int):
        self.interrupted = False  # since the kernel has seen the request at hand
        self._n = 0  # which code runs
        self._started = False
        self._status = 0  # $?
        self._in_cell = False
        self._trap = False  # the code may handle SIGINT itself
        self._signalled = False  # and not asked again since
        self._struck = False  # the code got a SIGINT
        self._code = os.memfd_create("cell")
        self._wake = wake
        self._said, said = os.pipe()
        os.set_blocking(self._said, False)
        tell = os.memfd_create("tell")
        fds = [_above(stdout), _above(stderr), _above(said), _reader(self._code), _reader(tell)]
        self._fds = dict(zip(("out", "err", "said", "code", "tell"), fds, strict=True))
        os.write(tell, _TELL % (self.said, self.said))
        self._process = _spawn(fds)
        self._session = Session(self._process.pid)
        for fd in (*fds, said, tell):
            os.close(fd)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._poll = select.poll()
        self._poll.register(self._said, select.POLLIN)
        self._poll.register(self._pidfd, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        self.ask(_SETUP)

    @property
    def said(self) -> int:
        """The descriptor, in bash, for what code of ours has to say."""
        return self._fds["said"]

    def run(self, code: str) -> int:
        """Run a cell; return $?. Raises Ended."""
        self._in_cell = True
        self._trap = "trap" in code
        try:
            self._status, _said = self._run(code, _SEEN, _END)
        finally:
            self._in_cell = False
        if self._struck:
            self._session.end_strays()
        return self._status

    def ask(self, code: str) -> list[str]:
        """Run code of ours, which leaves no trace in $?, and return the records, each ended by NUL,
        that it wrote to the descriptor `said`. Raises Ended."""
        _zero, said = self._run(code, _UNSEEN, _END_UNSEEN)
        return said

    def run_command(self, command: str, timeout=None) -> str:
        """What bash_kernel's completion needs of its terminal: return what `command` prints."""
        return self.ask(f"{{ {command}\nprintf '\\0'; }} >&{self.said}\n")[0]

    def interrupt(self):
        """SIGINT for a cell: now, or when it begins if the kernel has its request already."""
        self.interrupted = True
        if self._in_cell and self._started:
            self._session.interrupt()
            self._signalled = self._struck = True

    def close(self):
        """End bash and what it runs; what left its session stays. Not reaped before the last signal,
        so that its number is its own."""
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        self._session.signal(signal.SIGHUP)
        ended.poll(_PATIENCE)
        self._session.signal(signal.SIGKILL)
        ended.poll()

    def forget(self):
        """Give the descriptors back; the object is of no use then."""
        self._process.stdin.close()
        for fd in (self._code, self._said, self._pidfd):
            os.close(fd)

    # -- talking to it --------------------------------------------------------------------------

    def _run(self, code: str, where: bytes, end: bytes) -> tuple[int, list[str]]:
        self._n += 1
        self._started = self._signalled = self._struck = False
        os.ftruncate(self._code, 0)
        with open(self._code, "wb", closefd=False) as file:
            file.seek(0)
            file.write(encode(code))
        words = {name.encode(): fd for name, fd in self._fds.items()}
        words |= {b"n": self._n, b"status": self._status}
        end %= words
        self._write((_START + where) % words + end)
        return self._until_told(end)

    def _until_told(self, end: bytes) -> tuple[int, list[str]]:
        """Return the status that bash tells for this run, and what it said before that."""
        text, mine, timeout = b"", b"%d:" % self._n, None
        while True:
            if self._struck and timeout is None:
                timeout = _AGAIN
            ready = [fd for fd, _events in self._poll.poll(timeout)]
            if self._wake in ready:
                os.read(self._wake, _CHUNK)
            if not ready:
                timeout = min(timeout + timeout // 4, _AT_MOST)
                self._follow_up(timeout, end)
            text += self._heard()
            *records, _rest = text.split(b"\0")
            if not self._started and mine + b"start" in records:
                self._started = True
                first = records.index(mine + b"start") + 1
                self._trap = self._trap or records[first - 2] != b""
                if self._in_cell and self.interrupted:
                    self.interrupt()
            if self._started and len(records) > first and records[-1].startswith(mine):
                said = [record.decode("utf-8", "surrogateescape") for record in records[first:-2]]
                return int(records[-1][len(mine) :]), said
            if self._pidfd in ready:
                raise Ended(self._process.wait())

    def _follow_up(self, timeout: int, end: bytes):
        """An interrupt has not ended the cell so far."""
        if self._signalled:  # it may have met bash while it read what to do after the cell
            self._signalled = False
            self._write(b"\n" + end)
        self._session.interrupt_again(only_deaf=self._trap)
        if timeout > _LONG and self._session.is_stuck():
            self._process.kill()

    def _write(self, line: bytes):
        try:
            self._process.stdin.write(line)
        except BrokenPipeError:
            pass  # it has ended, which the poll tells

    def _heard(self) -> bytes:
        parts = []
        try:
            while part := os.read(self._said, _CHUNK):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts)


def _above(fd: int) -> int:
    return fcntl(fd, F_DUPFD_CLOEXEC, _LOWEST)


def _reader(fd: int) -> int:
    """Return a descriptor that can only read the file of `fd`."""
    reader = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _above(reader)
    finally:
        os.close(reader)


def _spawn(fds: list[int]) -> subprocess.Popen:
    """Start bash with these descriptors open. When this process dies, it gets SIGHUP, which it hands
    on to what it runs."""
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
    tied = [setpriv, "--pdeathsig", "HUP"] if setpriv else []
    return subprocess.Popen(
        [*tied, shutil.which("bash") or "/bin/bash", "--noprofile", "--norc", "--noediting", "-i"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=fds,
        start_new_session=True,
        bufsize=0,
    )
