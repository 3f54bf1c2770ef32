"""`python -m kernelbridge_bash -f CONNECTION_FILE`: run one kernel until it is told to stop."""

import gc
import sys

# The folder that the kernel runs in belongs to the user; see kernelbridge_kernel/__main__.py.
if not sys.flags.safe_path:
    del sys.path[0]

gc.disable()

from kernelbridge_kernel.lazy import defer_jupyter_client  # noqa: E402

defer_jupyter_client()

from kernelbridge_bash.app import BashApp  # noqa: E402

if __name__ == "__main__":
    app = BashApp.instance()
    app.initialize()
    gc.freeze()
    gc.enable()
    app.start()
