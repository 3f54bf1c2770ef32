"""sys.stdout and sys.stderr of the user's code."""

import codecs
import io
import os

from ipykernel.iostream import OutStream

from .capture import Capture
from .wire import encode

_LINE = 1 << 12  # most characters that a forked child holds back
_FD = {"stdout": 1, "stderr": 2}


class Stream(OutStream):
    """A text stream into the iopub queue, which also takes over its file descriptor.

    Same constructor and attributes as ipykernel's OutStream. `fileno()` is the captured
    descriptor, so a child process that is given this stream is captured too.
    """

    flush_interval = 0.01  # seconds until text without a line end is published

    def __init__(self, session, pub_thread, name, pipe=None, echo=None, *, watchfd=True, isatty=False):
        super().__init__(session, pub_thread, name, watchfd=False, isatty=isatty)
        self._fd = _FD[name]
        self._capture = Capture(self._fd) if watchfd else None
        if self._capture:
            self._original_stdstream_copy = self._capture.original  # app.init_io logs to it
            pub_thread.watch(self._capture, self)
        self._buffer = None
        self._held = ""  # in a forked child: the line that is not finished

    def fileno(self):
        return self._fd

    @property
    def current_parent(self):
        """The header of the request that runs now, whichever thread asks."""
        return self._parent_header_global

    @property
    def buffer(self):
        """The same stream for bytes in UTF-8, as other text streams have."""
        if self._buffer is None:
            self._buffer = _Bytes(self)
        return self._buffer

    def write(self, string):
        """Publish `string` soon; wait while too much is unpublished. Returns its length."""
        pub = self.pub_thread
        if pub is None or pub.forked or not isinstance(string, str):
            return self._write_otherwise(string)
        try:
            parent = self._parent_header.get()
        except LookupError:  # a thread of the user's: the cell that runs now
            parent = self._parent_header_global
        pub.put_text(self, parent, string)
        return len(string)

    def _write_otherwise(self, string):
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string).__name__}")
        if self.pub_thread is None:
            raise ValueError("I/O operation on closed file")
        self._held += string
        if "\n" in string or len(self._held) >= _LINE:
            self._write_held()
        return len(string)

    def flush(self):
        """Return when everything written so far was handed to the socket."""
        pub = self.pub_thread
        if pub is not None and pub.forked:
            self._write_held()
        elif pub is not None:
            pub.sync()

    def close(self):
        """Stop taking text. The descriptor is given back when the IOPub thread stops."""
        self.flush()
        self.pub_thread = None

    def _write_held(self):
        """In a forked child: the parent process reads this from its captured descriptor."""
        data, self._held = memoryview(encode(self._held)), ""
        while data:
            data = data[os.write(self._fd, data) :]


class _Bytes(io.BufferedIOBase):
    """`sys.stdout.buffer`: bytes in, text out, a character may be cut between two writes."""

    def __init__(self, stream):
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def raw(self):
        return self

    def writable(self):
        return True

    def fileno(self):
        return self._stream.fileno()

    def write(self, data):
        view = memoryview(data)
        self._stream.write(self._decoder.decode(view))
        return view.nbytes

    def flush(self):
        self._stream.flush()
