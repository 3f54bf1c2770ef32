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

_LOWEST = 100  # our descriptors in bash are above those that scripts choose by hand
_AGAIN = 250  # milliseconds from an interrupt until bash is asked again whether it is done
_PATIENCE = 2000  # milliseconds for bash to end by itself
_CHUNK = 1 << 16

# Sourced with $? and a record as arguments. Leaves $? as it was, unless `set -e` would end bash.
_TELL = rb"""\builtin printf '%%s\0' "$2" >&%d
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
    descriptors for the output of cells. One thread runs code, and its signal handlers call
    interrupt(); any thread may call close()."""

    def __init__(self, stdout: int, stderr: int):
        self.interrupted = False  # since the kernel has seen the request at hand
        self._n = 0  # which code runs
        self._started = False
        self._status = 0  # $?
        self._in_cell = False
        self._signalled = False
        self._code = os.memfd_create("cell")
        self._said, said = os.pipe()
        os.set_blocking(self._said, False)
        tell = os.memfd_create("tell")
        fds = [_above(stdout), _above(stderr), _above(said), _reader(self._code), _reader(tell)]
        self._fds = dict(zip(("out", "err", "said", "code", "tell"), fds, strict=True))
        os.write(tell, _TELL % self.said)
        self._process = _spawn(fds)
        for fd in (*fds, said, tell):
            os.close(fd)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._poll = select.poll()
        self._poll.register(self._said, select.POLLIN)
        self._poll.register(self._pidfd, select.POLLIN)
        self.ask(_SETUP)

    @property
    def said(self) -> int:
        """The descriptor, in bash, for what code of ours has to say."""
        return self._fds["said"]

    def run(self, code: str) -> int:
        """Run a cell; return $?. Raises Ended."""
        self._in_cell = True
        try:
            self._status, _said = self._run(code, _SEEN, _END)
        finally:
            self._in_cell = False
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
            self._signal(signal.SIGINT)
            self._signalled = True

    def close(self):
        """End bash and what it runs; what left its session stays. Not reaped before the last signal,
        so that its number is its own."""
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        self._signal(signal.SIGHUP)
        ended.poll(_PATIENCE)
        self._signal(signal.SIGKILL)
        ended.poll()

    def forget(self):
        """Give the descriptors back; the object is of no use then."""
        self._process.stdin.close()
        for fd in (self._code, self._said, self._pidfd):
            os.close(fd)

    # -- talking to it --------------------------------------------------------------------------

    def _run(self, code: str, where: bytes, end: bytes) -> tuple[int, list[str]]:
        self._n += 1
        self._started = self._signalled = False
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
        text, mine = b"", b"%d:" % self._n
        while True:
            ready = [fd for fd, _events in self._poll.poll(_AGAIN if self._signalled else None)]
            if not ready:
                # The interrupt may have met bash while it read what to do after the cell.
                self._signalled = False
                self._write(b"\n" + end)
            text += self._heard()
            *records, _rest = text.split(b"\0")
            if not self._started and mine + b"start" in records:
                self._started = True
                if self._in_cell and self.interrupted:
                    self.interrupt()
            if records and records[-1].startswith(mine) and records[-1] != mine + b"start":
                first = records.index(mine + b"start") + 1
                said = [record.decode("utf-8", "surrogateescape") for record in records[first:-1]]
                return int(records[-1][len(mine) :]), said
            if self._pidfd in ready:
                raise Ended(self._process.wait())

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

    def _signal(self, signum: int):
        """Signal bash's process group, and the other groups in its session: `timeout` makes one."""
        mine = self._process.pid
        groups = {group for group, session in _groups() if session == mine} - {mine}
        for group in (mine, *groups):
            try:
                os.killpg(group, signum)
            except (ProcessLookupError, PermissionError):
                pass


def _groups():
    """Yield (process group, session) of every process there is."""
    for name in os.listdir("/proc"):
        try:
            if name.isdigit():
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
                yield int(fields[2]), int(fields[3])
        except OSError:
            pass  # it has ended


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
