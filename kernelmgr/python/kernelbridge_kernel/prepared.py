"""An application and a shell made before a fork, so that each forked kernel need not make its own.

They hold no socket, thread, descriptor or lock. What they took from the process or from its environment
is taken again by adopt().
"""

import atexit
import sys

from jupyter_client.session import Session

from . import assign
from .compiler import Compiler
from .shell import ZMQInteractiveShell


def prepare(app, profile):
    """Make the shell that the kernel of `app`, which is not initialized, will have. `profile` is a
    ProfileDir, soon to be replaced."""
    _ = app.log
    app.config.IPKernelApp.connection_file = ""  # the shell looks whether there is a kernel's section
    app.init_pdb()
    Session(key=b"0").sign([b""])
    shell = ZMQInteractiveShell.instance(config=app.config, profile_dir=profile, compiler_class=Compiler)
    shell._sys_modules_keys = set(sys.modules)


def adopt(shell, kernel):
    """Make `shell`, prepared before the fork, what the shell of this kernel would be."""
    app = kernel.parent
    shell.parent = shell.kernel = kernel
    shell.profile_dir = app.profile_dir
    shell.init_environment()
    shell.init_virtualenv()
    shell.sys_excepthook = sys.excepthook
    sys.modules["__main__"] = shell._orig_sys_modules_main_mod
    shell.save_sys_module_state()
    shell.init_sys_modules()
    shell.history_manager.hist_file = shell.history_manager._get_hist_file_name()
    assign.remember(kernel)
    atexit.unregister(shell.atexit_operations)  # to be called before the application's own, as usual
    atexit.register(shell.atexit_operations)
