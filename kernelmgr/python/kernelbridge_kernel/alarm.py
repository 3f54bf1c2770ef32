"""A timer that any thread sets for a thread that waits in poll, without waking it: Linux's timerfd."""

import ctypes
import os

_libc = ctypes.PyDLL(None, use_errno=True)  # no call here waits, so none lets go of the GIL
_CLOCK_MONOTONIC = 1


class _Times(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")]


class Alarm:
    """`fd` is readable once the time is over, until stop(). Raises OSError where none can be had."""

    def __init__(self):
        self.fd = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "no timer")
        self._is_set = False

    def set(self, seconds: float):
        """To be over `seconds` from now, less than one; one that is set stays as it is."""
        if not self._is_set:
            _settime(self.fd, _Times(first_ns=int(seconds * 1e9)))
            self._is_set = True

    def stop(self):
        if self._is_set:
            self._is_set = False
            _settime(self.fd, _Times())


def _settime(fd, times):
    _libc.timerfd_settime(fd, 0, ctypes.byref(times), None)
