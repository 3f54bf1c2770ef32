"""Record messages of a real kernel, byte for byte, as goldens for the unit tests of wire/.

    python record.py KERNEL_PYTHON PREFIX

starts ipykernel from KERNEL_PYTHON and writes PREFIX-NAME.bin here, one message per file: frames
one after the other, each four bytes of length (big endian) and that many bytes. The key is
"golden". Needs pyzmq and jupyter_client.
"""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import zmq
from jupyter_client.session import Session

KEY = b"golden"
HERE = pathlib.Path(__file__).parent
CHANNELS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4}
# What a cell does -> messages to keep, as (channel, type, name of the file).
CELLS = [
    (
        "print('hello')",
        [("iopub", "stream", "stream"), ("iopub", "execute_input", "execute_input")],
    ),
    ("print(chr(0xdc80) + chr(0) + 'x')", [("iopub", "stream", "stream-surrogate")]),
    (
        "1+1",
        [("iopub", "execute_result", "execute_result"), ("shell", "execute_reply", "reply-ok")],
    ),
    (
        "from IPython.display import display\nh = display({'n': float('nan')}, display_id='d')",
        [("iopub", "display_data", "display_data")],
    ),
    ("h.update(2)", [("iopub", "update_display_data", "update_display_data")]),
    (
        "h.display; from IPython.display import clear_output; clear_output(True)",
        [("iopub", "clear_output", "clear_output")],
    ),
    ("input('name? ')", [("stdin", "input_request", "input_request")]),
]


def save(prefix: str, name: str, frames: list[bytes]) -> None:
    """Write one message to PREFIX-NAME.bin."""
    data = b"".join(struct.pack(">I", len(f)) + f for f in frames)
    (HERE / f"{prefix}-{name}.bin").write_bytes(data)


class Kernel:
    """A kernel over ipc and sockets to it."""

    def __init__(self, python: str, folder: str) -> None:
        self.session = Session(key=KEY)
        conn = {
            "transport": "ipc",
            "ip": f"{folder}/k",
            "hb_port": 5,
            "key": KEY.decode(),
            "signature_scheme": "hmac-sha256",
        }
        conn |= {f"{name}_port": port for name, port in CHANNELS.items()}
        path = pathlib.Path(folder, "k.json")
        path.write_text(json.dumps(conn))
        context = zmq.Context()
        self.sockets = {}
        for name, port in CHANNELS.items():
            s = context.socket(zmq.SUB if name == "iopub" else zmq.DEALER)
            if name == "iopub":
                s.subscribe(b"")
            else:
                s.identity = b"recorder"
            s.connect(f"ipc://{folder}/k-{port}")
            self.sockets[name] = s
        self.process = subprocess.Popen(
            [python, "-m", "ipykernel_launcher", "-f", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def send(self, channel: str, kind: str, content: dict) -> list[bytes]:
        """Send a request; returns its frames."""
        msg = self.session.msg(kind, content)
        frames = self.session.serialize(msg)
        self.sockets[channel].send_multipart(frames)
        return frames

    def receive(self, timeout_ms: int = 5000):
        """Yield (channel, type, frames) until nothing comes for timeout_ms."""
        poller = zmq.Poller()
        names = {s: name for name, s in self.sockets.items()}
        for s in names:
            poller.register(s, zmq.POLLIN)
        while ready := poller.poll(timeout_ms):
            for s, _ in ready:
                frames = s.recv_multipart()
                header = json.loads(frames[frames.index(b"<IDS|MSG>") + 2])
                yield names[s], header["msg_type"], frames


def execute(code: str, **more) -> dict:
    """The content of an execute_request."""
    return {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": True,
        "stop_on_error": True,
    } | more


def main(python: str, prefix: str) -> None:
    """Record everything of one kernel."""
    with tempfile.TemporaryDirectory() as folder:
        k = Kernel(python, folder)
        save(prefix, "kernel_info_request", k.send("shell", "kernel_info_request", {}))
        for channel, kind, frames in k.receive(3000):
            if kind in ("iopub_welcome", "kernel_info_reply"):
                save(prefix, kind, frames)
            if kind == "status":
                state = json.loads(frames[frames.index(b"<IDS|MSG>") + 5])["execution_state"]
                save(prefix, f"status-{state}", frames)
        for code, wanted in CELLS:
            k.send("shell", "execute_request", execute(code))
            for channel, kind, frames in k.receive(500):
                for want in wanted:
                    if (channel, kind) == want[:2]:
                        save(prefix, want[2], frames)
                if kind == "input_request":
                    k.send("stdin", "input_reply", {"value": "x"})
        k.send("shell", "execute_request", execute("1/0"))
        k.send("shell", "execute_request", execute("2"))
        for channel, kind, frames in k.receive(1000):
            if kind == "error":
                save(prefix, "error", frames)
            elif kind == "execute_reply":
                status = json.loads(frames[frames.index(b"<IDS|MSG>") + 5])["status"]
                save(prefix, f"reply-{status}", frames)
        k.send("control", "interrupt_request", {})
        k.send("control", "shutdown_request", {"restart": False})
        for channel, kind, frames in k.receive(1000):
            if channel == "control":
                save(prefix, kind, frames)
        k.process.wait(10)


if __name__ == "__main__":
    main(*sys.argv[1:])
