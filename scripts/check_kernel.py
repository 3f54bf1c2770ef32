"""check_kernel.py NAME CODE EXPECTED: start the kernel NAME, run CODE, compare what it prints.

Run by install-kernels with the prefix's own Python and JUPYTER_PATH. Exit status 0 when stdout was
EXPECTED (whitespace at the end apart), else 1 with one line that says what came instead.
"""

import os
import sys
import tempfile

from jupyter_client.manager import KernelManager

START_TIMEOUT = 60  # seconds
RUN_TIMEOUT = 60


def run(name: str, code: str) -> str:
    """Return what `code` prints in the kernel `name`. Raises where anything else happens."""
    out = []

    def on_output(msg):
        if msg["msg_type"] == "stream" and msg["content"]["name"] == "stdout":
            out.append(msg["content"]["text"])

    with tempfile.TemporaryDirectory() as folder:
        os.environ["IPYTHONDIR"] = folder  # else jupyter_client makes ~/.ipython
        manager = KernelManager(kernel_name=name, transport="ipc", connection_file=f"{folder}/k.json")
        manager.start_kernel(cwd=folder)
        client = manager.client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=START_TIMEOUT)
            client.execute_interactive(code, output_hook=on_output, timeout=RUN_TIMEOUT)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    return "".join(out)


def main() -> int:
    name, code, expected = sys.argv[1:]
    try:
        got = run(name, code)
    except Exception as err:
        print(f"kernel {name} did not run {code!r}: {type(err).__name__}: {err}", file=sys.stderr)
        return 1
    if got.rstrip() != expected.rstrip():
        print(f"kernel {name} printed {got!r}, not {expected!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
