"""The one queue in front of the iopub socket: everything in program order, bounded, nothing dropped.

Text of both streams, text captured from descriptors and whole messages (results, displays, status)
stand in one list in the order in which they were made; only the IOPub thread takes from it. A thread
that makes output faster than the reader takes it waits here: the socket's send mark is small and set
before bind (see app.py), so sending blocks the IOPub thread, the list fills, and the writer waits.

Waking that thread costs a short run more than its code. So what something else follows at once in most
runs (`busy`, execute_input, execute_result) wakes it only where nothing has followed for 3 ms.
"""

import os
import select
import sys
import threading
import traceback
from functools import partial
from os import _exit  # not the one that waits for output
from time import monotonic

import zmq.backend
from ipykernel.iostream import IOPubThread

from .alarm import Alarm

PIECE = 1 << 16  # most bytes of text in one stream message
FULL = 1 << 16  # a writer waits when this much is queued
_MORE = int(zmq.SNDMORE)
_send = zmq.backend.Socket.send
_MESSAGE_COST = 512  # what a queued message counts beside its bytes
_FOLLOWED = 0.003  # seconds in which something follows
_PATIENT = (b".execute_input", b".execute_result")


class _Run:
    """Consecutive text of one stream for one parent message."""

    __slots__ = ("parent", "parts", "stream")

    def __init__(self, stream, parent, text):
        self.stream = stream
        self.parent = parent
        self.parts = [text]


def _pieces(text: str):
    """Yield `text` in pieces that are at most PIECE bytes in UTF-8."""
    step = PIECE if text.isascii() else PIECE // 4
    for start in range(0, len(text), step):
        yield text[start : start + step]


def _is_followed(msg) -> bool:
    """True for the frames of a message that another follows at once in most runs."""
    topic = msg[0]
    return topic.endswith(_PATIENT) or topic.endswith(b".status") and b'"busy"' in msg[-1]


class IOPub(IOPubThread):
    """ipykernel's IOPub thread around that queue. `exempt` holds idents of threads that never wait."""

    def __init__(self, socket, session):
        self.forked = False
        self.exempt: set[int] = set()
        self.captures: list[tuple] = []  # (Capture, its stream)
        self._lock = threading.RLock()  # re-entered when a finalizer prints
        self._items: list = []
        self._run: _Run | None = None  # the last of _items, where text can be added to it
        self._queued = 0  # characters and bytes queued or being sent
        self._has_text = False  # text is queued, the first of it since
        self._since = 0.0
        self._sending = False  # text was taken from the queue and is being sent
        self._epoll = select.epoll()
        self._readable = self._epoll.poll
        self._bol = True  # the last text ended a line
        self._woken = False
        self._armed = False
        self._draining = False
        self._sent_at = 0.0
        self._alarm = Alarm()  # set while something waits for what follows
        super().__init__(socket, pipe=False, session=session)
        self._listen(self._alarm.fd, lambda _fd, _events: self._on_wake())
        os.register_at_fork(after_in_child=self._after_fork)

    # What ipykernel's queue did with sockets and a collector is not needed here.
    def _setup_event_pipe(self):
        pass

    async def _run_event_pipe_gc(self):
        pass

    def _after_fork(self):
        """A forked child has no IOPub thread: its streams write to their descriptors instead."""
        self.forked = True
        self._lock = threading.RLock()
        self._items, self._run = [], None

    # -- putting in ---------------------------------------------------------------------------

    def put_text(self, stream, parent, text: str):
        """Queue `text`, to be published within the stream's flush interval.

        A finished line is handed to the socket before this returns when nothing was sent during
        the last interval: so it is not lost when the process dies next.
        """
        with self._lock:
            if self._bol and self._readable(0):
                self._collect()
            run = self._run
            if run is not None and run.stream is stream and run.parent is parent:
                run.parts.append(text)
                self._queued = queued = self._queued + len(text)
            else:
                self._append_text(stream, parent, text)
                queued = self._queued
            self._bol = ends = text[-1:] == "\n"
        if queued >= FULL or (ends and monotonic() - self._sent_at >= stream.flush_interval):
            self.wait()
        elif not self._armed:
            self._armed = True
            try:
                self._call(partial(self._arm, stream.flush_interval))
            except BaseException:  # an interrupt in between: the next text arms it again
                self._armed = False
                raise

    def schedule(self, f, cost: int = 0, patient: bool = False):
        """Queue a call for the IOPub thread, in order with everything else; wait when full. A patient one
        is made with what follows, or soon."""
        if self.forked:
            return
        with self._lock:
            if self._readable(0):
                self._collect()
            self._items.append((cost, f))
            self._run = None
            self._queued += cost
            full = self._queued >= FULL
            patient = patient and not full and self.thread.is_alive()
            if patient:
                self._alarm.set(_FOLLOWED)
        if full:
            self.wait()
        elif not patient:
            self._wake()

    def put_behind(self, f):
        """Queue a call like schedule() but never wait: for who reads a captured descriptor."""
        with self._lock:
            self._items.append((0, f))
            self._run = None
        self._wake()

    def send_multipart(self, msg, *args, **kwargs):
        """Queue a whole message."""
        cost = _MESSAGE_COST + sum(len(frame) for frame in msg)
        self.schedule(partial(self._really_send, msg, *args, **kwargs), cost, _is_followed(msg))

    def _really_send(self, msg, copy=True, track=False):
        """As ipykernel and zmq do it, in a third of the time where nothing is unusual."""
        socket = self.socket
        if not copy or track or socket is None or socket.closed or self.forked:
            return super()._really_send(msg, copy=copy, track=track)
        try:
            for frame in msg[:-1]:
                _send(socket, frame, _MORE)
            _send(socket, msg[-1], 0)
        except zmq.ZMQError as error:
            if error.errno != zmq.ENOTSOCK:  # closed meanwhile, at the end
                raise

    def sync(self):
        """Queue what waits in the captured descriptors, then wait until all text was handed to
        the socket."""
        if self.forked:
            return
        for capture, stream in self.captures if self._readable(0) else ():
            left = capture.waiting()
            while left > 0:
                with self._lock:
                    count = self._collect_one(capture, stream)
                    full = self._queued >= FULL
                if count == 0:
                    break
                left -= count
                if full:
                    self.wait()
        if self._has_text or self._sending:
            self.wait()

    def wait(self):
        """Wait until everything queued so far was handed to the socket. Interruptible."""
        ident = threading.get_ident()
        if ident in self.exempt or self._draining and ident == self.thread.ident:
            self._wake()
            return
        if ident == self.thread.ident or not self.thread.is_alive():
            self._drain()
            return
        gate = threading.Lock()
        gate.acquire()
        with self._lock:
            self._items.append((0, gate.release))
            self._run = None
        self._wake()
        while not gate.acquire(timeout=1):
            if not self.thread.is_alive():
                self._drain()
                return

    def _append_text(self, stream, parent, text):
        run = self._run
        if run is not None and run.stream is stream and run.parent is parent:
            run.parts.append(text)
        else:
            self._run = _Run(stream, parent, text)
            self._items.append(self._run)
        self._queued += len(text)
        if not self._has_text:
            self._has_text = True
            self._since = monotonic()

    def _collect(self):
        """Queue at most 64 KiB of each captured descriptor: it was written before what follows."""
        for capture, stream in self.captures:
            if capture.waiting():
                self._collect_one(capture, stream)

    def _collect_one(self, capture, stream) -> int:
        count, text = capture.read()
        if text:
            self._append_text(stream, stream.current_parent, text)
        return count

    # -- waking the thread ----------------------------------------------------------------------

    def _call(self, f):
        """Run `f` in the IOPub thread, soon."""
        if self.thread.is_alive():
            self.io_loop.asyncio_loop.call_soon_threadsafe(f)
        elif not self.forked:
            self._armed = False
            self._drain()

    def _wake(self):
        if self._woken:
            return
        self._woken = True
        try:
            self._call(self._on_wake)
        except BaseException:  # an interrupt in between: the next one wakes it again
            self._woken = False
            raise

    def watch(self, capture, stream):
        """Publish what comes through `capture` as text of `stream`."""
        self.captures.append((capture, stream))
        self._epoll.register(capture.pipe, select.EPOLLIN)
        self._listen(capture.pipe, self._on_readable)

    def _listen(self, fd, on_readable):
        self.io_loop.add_callback(partial(self.io_loop.add_handler, fd, on_readable, self.io_loop.READ))

    # -- in the IOPub thread ----------------------------------------------------------------------

    def _on_readable(self, fd, events):
        with self._lock:
            self._collect()
            idle, self._armed = not self._armed, True
        interval = self.captures[0][1].flush_interval
        if self._queued >= FULL or monotonic() - self._sent_at >= interval:
            self._drain()
        if idle:
            self._tick(interval)

    def _arm(self, interval):
        self.io_loop.call_later(interval, self._tick, interval)

    def _tick(self, interval):
        """Publish text that has waited for an interval; come again while there is younger text."""
        with self._lock:
            if not self._has_text:
                self._armed = False
                return
            late = self._since + interval - monotonic()
        if late <= 0:
            self._drain()
            late = interval
        self.io_loop.call_later(late, self._tick, interval)

    def _on_wake(self):
        """Publish what is queued but for a line that is being written: print() writes its text and
        the newline apart, and both are to arrive as one. The tick publishes it when it takes long."""
        with self._lock:
            unfinished = self._run if self._armed and not self._bol else None
        self._drain(unfinished)

    def _drain(self, unfinished: _Run | None = None):
        """Publish what is queued now; `unfinished` stays if it is still the last. Also called by
        others where the thread is gone."""
        self._woken = False
        if self._draining:
            return
        self._draining = True
        try:
            with self._lock:
                self._alarm.stop()
                items, self._items, self._run = self._items, [], None
                self._sending, self._has_text = self._has_text, False
                if unfinished is not None and items and items[-1] is unfinished:
                    self._items, self._run, self._has_text = [items.pop()], unfinished, True
            for item in items:
                self._handle(item)
            with self._lock:
                self._sending = False
                if not self._items:
                    self._queued = 0
        finally:
            self._draining = False

    def _handle(self, item):
        """Publish one item; whatever goes wrong with it, the next ones are published too."""
        try:
            if type(item) is _Run:
                cost = self._publish(item)
            else:
                cost, f = item
                f()
            with self._lock:
                self._queued -= cost
        except Exception:
            traceback.print_exc(file=sys.__stderr__)

    def _publish(self, run) -> int:
        text = "".join(run.parts)
        run.parts = ()
        for piece in _pieces(text):
            content = {"name": run.stream.name, "text": piece}
            msg = self.session.msg("stream", content, parent=run.parent)
            self._really_send(self.session.serialize(msg, ident=run.stream.topic))
        self._sent_at = monotonic()
        return len(text)

    # -- the end ----------------------------------------------------------------------------------

    def stop(self):
        """Publish what is left, then end the thread. A reader that takes nothing for 5 s is left."""
        if self.forked or not self.thread.is_alive():
            return
        for capture, _stream in self.captures:
            capture.restore()
        done = threading.Event()
        with self._lock:
            self._collect()
            self._items.append((0, done.set))
            self._run = None
        self._wake()
        if not done.wait(5):
            _exit(0)
        super().stop()
