"""`python -m kernelbridge_kernel -f CONNECTION_FILE`: run one kernel until it is told to stop."""

import gc
import sys

# The folder that the kernel runs in belongs to the user: a random.py or zmq.py there must not be
# imported by the kernel itself. `-P` keeps it away already; without -P it is the first entry.
if not sys.flags.safe_path:
    del sys.path[0]

# Start-up makes many objects and no garbage: collecting costs a tenth of it and finds nothing.
gc.disable()

from kernelbridge_kernel.lazy import defer_jupyter_client  # noqa: E402

defer_jupyter_client()

from kernelbridge_kernel.app import run  # noqa: E402

if __name__ == "__main__":
    run(sys.argv[1:])
