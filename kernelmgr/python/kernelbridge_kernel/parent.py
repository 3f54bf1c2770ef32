"""The kernel ends when the process that started it has ended."""

import os
import select
import threading
from os import _exit  # not the one that waits for output


class ParentWatch(threading.Thread):
    """Waits, without waking up meanwhile, until the process `pid` has ended, then ends this one.

    Raises OSError where the kernel has no pidfd_open or `pid` is not our parent: then polling, as
    ipykernel does, is what remains.
    """

    def __init__(self, pid: int):
        super().__init__(name="Parent", daemon=True)
        if os.getppid() != pid:
            raise ProcessLookupError(f"{pid} is not the parent process")
        self._poll = select.poll()
        self._fd = os.pidfd_open(pid)
        self._poll.register(self._fd, select.POLLIN)
        if os.getppid() != pid:  # it ended in between, and its number may be another's
            os.close(self._fd)
            raise ProcessLookupError(f"{pid} has ended")

    def run(self):
        while not self._poll.poll():
            pass
        _exit(1)
