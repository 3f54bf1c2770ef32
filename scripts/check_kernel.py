"""check_kernel.py NAME CODE EXPECTED: start the kernel NAME, run CODE, compare what it prints.

Run by install-kernels with the prefix's own Python and JUPYTER_PATH. Exit status 0 when stdout was
EXPECTED (whitespace at the end apart), else 1 with one line that says what came instead, after what
the kernel's process itself wrote.
"""

import os
import queue
import sys
import tempfile
import time

from jupyter_client.manager import KernelManager

START_TIMEOUT = 60  # seconds
RUN_TIMEOUT = 60
LATE = 2  # some kernels publish output after they said that they are idle


def run(name: str, code: str, expected: str, log) -> str:
    """Return what `code` prints in the kernel `name`, at the end without whitespace.

    `log` is a binary file for what its process writes. Raises where anything else happens.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IPYTHONDIR"] = folder  # else jupyter_client makes ~/.ipython
        manager = KernelManager(kernel_name=name, connection_file=f"{folder}/k.json")
        ours = manager.kernel_spec.metadata.get("kernelbridge", {})
        manager.transport = ours.get("transport", "ipc")
        manager.start_kernel(cwd=folder, stdout=log, stderr=log)
        client = manager.client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=START_TIMEOUT)
            return printed(client, client.execute(code, allow_stdin=False), expected)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def printed(client, request: str, expected: str) -> str:
    """Return the stdout of the request with this id: complete, or as EXPECTED soon after idle."""
    out, end, idle = "", time.monotonic() + RUN_TIMEOUT, False
    while not (idle and out.rstrip() == expected.rstrip()):
        try:
            msg = client.get_iopub_msg(timeout=max(0, end - time.monotonic()))
        except queue.Empty:
            if idle:
                break
            raise TimeoutError(f"not done after {RUN_TIMEOUT} s") from None
        if msg["parent_header"].get("msg_id") != request:
            continue
        if msg["msg_type"] == "stream" and msg["content"]["name"] == "stdout":
            out += msg["content"]["text"]
        elif msg["msg_type"] == "status" and msg["content"]["execution_state"] == "idle":
            idle, end = True, time.monotonic() + LATE
    return out.rstrip()


def main() -> int:
    name, code, expected = sys.argv[1:]
    with tempfile.TemporaryFile() as log:
        try:
            got = run(name, code, expected, log)
        except Exception as err:
            fault = f"did not run {code!r}: {type(err).__name__}: {err}"
        else:
            if got == expected.rstrip():
                return 0
            fault = f"printed {got!r}, not {expected!r}"
        log.seek(0)
        sys.stderr.write(log.read().decode(errors="replace"))
    print(f"kernel {name} {fault}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
