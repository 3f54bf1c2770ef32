"""The processes of bash's session, and how an interrupt reaches those that run in front.

There is no terminal to do it. Background jobs ignore SIGINT, as in any shell without job control.
"""

import os
import select
import signal
import time
from collections.abc import Iterator
from typing import NamedTuple

_PAUSE = 5  # milliseconds
_TRIES = 400  # pauses for bash to reap what was killed
_BUSY = 20  # ticks of processor time in which a bash that works sleeps or takes SIGCHLD at least once
_TICK = os.sysconf("SC_CLK_TCK")


class _Process(NamedTuple):
    """A living process, and what it does about SIGINT."""

    pid: int
    name: bytes
    state: bytes
    parent: int
    group: int
    used: int  # processor time, in ticks
    started: int  # in ticks since boot
    ignores: bool
    handles: bool
    blocks: bool  # SIGCHLD


class Session:
    """The session whose leader is the process `leader`, a bash."""

    def __init__(self, leader: int):
        self._leader = leader
        self._struck = 0  # when, in ticks since boot
        self._handled: set[int] = set()  # who handles SIGINT, and got that one, though it may end by now

    def signal(self, signum: int):
        """Signal bash's process group, and the session's other groups: `timeout` makes one."""
        groups = {process.group for process in self._members()}
        for group in (self._leader, *groups - {self._leader}):
            try:
                os.killpg(group, signum)
            except (ProcessLookupError, PermissionError):
                pass

    def interrupt(self):
        """SIGINT for all of them."""
        self._handled = {process.pid for process in self._members() if self._may_handle(process)}
        self._struck = int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICK)
        self.signal(signal.SIGINT)

    def interrupt_again(self, only_deaf: bool):
        """SIGINT again: between fork and exec it does nothing, and when the child that bash waits for has
        ended otherwise just then, bash goes on. Not for one that handles SIGINT; and with `only_deaf`, or
        if one that handles it got the first, only for who had begun by then, bash not included: then
        going on is right."""
        only_deaf = only_deaf or bool(self._handled)
        members = list(self._members())
        if not only_deaf and not any(self._may_handle(process) for process in members):
            self.signal(signal.SIGINT)  # at once: between two signals a short child ends
            return
        if not only_deaf:
            _kill(self._leader, signal.SIGINT)
        for process in members:
            spared = process.ignores or process.handles or process.pid in self._handled
            if (
                process.pid != self._leader
                and not spared
                and (not only_deaf or process.started <= self._struck)
            ):
                _kill(process.pid, signal.SIGINT)

    def _may_handle(self, process: _Process) -> bool:
        """True for what may want to do something itself about SIGINT: no bash that is about to exec."""
        return process.pid != self._leader and process.handles and process.name != b"bash"

    def end_strays(self):
        """End children that have not heard when bash has ended the cell for the interrupt: it would wait
        for them in the next one."""
        for _try in range(_TRIES):
            strays = [
                process.pid
                for process in self._members()
                if process.parent == self._leader
                and process.started <= self._struck
                and not process.ignores
                and (process.name == b"bash" or not process.handles)
            ]
            if not strays:
                return
            for pid in strays:
                _kill(pid, signal.SIGKILL)
            _pause()

    def is_stuck(self) -> bool:
        """True where an interrupt has met bash at a fork and left it turning round with SIGCHLD blocked,
        for ever: 5.2 does when SIGINT comes with the handler that it sets to wait for a child. One that
        waits for a processor stands still in any state: only the time that it has used tells."""
        used = None
        while True:
            leader = _process(self._leader)
            if leader is None or not leader.blocks or leader.state != b"R":
                return False
            used = leader.used if used is None else used
            if leader.used - used >= _BUSY:
                return True
            _pause()

    def _members(self) -> Iterator[_Process]:
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and os.getsid(int(name)) == self._leader:
                    process = _process(int(name))
                    if process is not None:
                        yield process
            except OSError:
                pass  # it has ended


def _process(pid: int) -> _Process | None:
    """Return what /proc says of a process; None where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            before, _, after = file.read().rpartition(b")")
        with open(f"/proc/{pid}/status", "rb") as file:
            masks = dict(line.split(b":", 1) for line in file if line.startswith(b"Sig"))
    except OSError:
        return None
    fields = after.split()  # from the third on, see proc(5)
    if fields[0] in b"ZX":
        return None
    wanted = ((b"SigIgn", signal.SIGINT), (b"SigCgt", signal.SIGINT), (b"SigBlk", signal.SIGCHLD))
    does = (bool(int(masks[key], 16) >> (signum - 1) & 1) for key, signum in wanted)
    parent, group, user, system, started = (int(fields[i]) for i in (1, 2, 11, 12, 19))
    return _Process(pid, before.partition(b"(")[2], fields[0], parent, group, user + system, started, *does)


def _kill(pid: int, signum: int):
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        pass


def _pause():
    select.poll().poll(_PAUSE)
