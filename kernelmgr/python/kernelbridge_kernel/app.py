"""The kernel's start: ipykernel's application without what a gateway's kernel does not need."""

import gc
import os
import sys

import zmq
from ipykernel.kernelapp import IPKernelApp
from IPython.core.profiledir import ProfileDir
from tornado.ioloop import IOLoop
from traitlets import Any, Bool, DottedObjectName, Type, default, observe

from . import lastwords, wire
from .iopub import IOPub
from .kernel import IPythonKernel
from .parent import ParentWatch

SEND_MARK = 16  # iopub messages in the socket; one stream message is at most 64 KiB of text


class NoProfile(ProfileDir):
    """A profile that is nowhere: reads and makes no files."""

    @observe("location")
    def _location_changed(self, change):
        pass


def use_own_tools():
    """In a virtual environment, let `pip` and `python` in child processes be this kernel's own."""
    if sys.prefix == sys.base_prefix:
        return
    os.environ["VIRTUAL_ENV"] = sys.prefix
    folder = os.path.join(sys.prefix, "bin")
    rest = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part != folder]
    os.environ["PATH"] = os.pathsep.join([folder, *rest])


class KernelApp(IPKernelApp):
    """One kernel process. Reads the connection file and nothing else of the user's."""

    name = "kernelbridge-kernel"
    kernel_class = Type(IPythonKernel, klass="ipykernel.kernelbase.Kernel").tag(config=True)
    outstream_class = DottedObjectName("kernelbridge_kernel.streams.Stream").tag(config=True)
    add_ipython_dir_to_sys_path = Bool(False)
    blocking_class = Any()  # for clients: its import is half of jupyter_client

    @default("parent_handle")
    def _default_parent_handle(self):
        return int(os.environ.get("JPY_PARENT_PID") or 0)

    @default("ipython_dir")
    def _default_ipython_dir(self):
        return os.path.join(os.path.dirname(self.abs_connection_file) or ".", "ipython")

    def initialize(self, argv=None):
        super().initialize(argv)
        self.iopub_thread.exempt |= {self.control_thread.ident, self.shell_channel_thread.ident}
        sys.argv = [""]
        use_own_tools()
        lastwords.install(self.iopub_thread)
        if "" not in sys.path:
            sys.path.insert(0, "")

    def start(self):
        """Serve until told to stop: an exit or interrupt in a callback of the code's is no end."""
        if self.poller is not None:
            self.poller.start()
        self.kernel.start()
        self.io_loop = IOLoop.current()
        while True:
            try:
                return self.io_loop.start()
            except (KeyboardInterrupt, SystemExit):
                pass

    def init_profile_dir(self):
        self.profile_dir = NoProfile(parent=self, location=os.path.join(self.ipython_dir, "profile"))

    def load_config_file(self, *args, **kwargs):
        """No configuration files."""

    def init_config_files(self):
        """No configuration files."""

    def init_path(self):
        """The working folder joins sys.path last, when everything of ours is imported."""

    def init_extensions(self):
        """No extensions."""

    def init_code(self):
        """No start-up code; the names that IPython made are hidden from %who as usual."""
        self.shell.user_ns_hidden.update(self.shell.user_ns)
        self.shell._sys_modules_keys = set(sys.modules)

    def log_connection_info(self):
        """Record the ports; print nothing."""
        names = ("shell", "iopub", "stdin", "hb", "control")
        self._ports = {name: getattr(self, f"{name}_port") for name in names}

    def init_poller(self):
        try:
            if self.parent_handle > 1:
                self.poller = ParentWatch(self.parent_handle)
        except (OSError, AttributeError):
            super().init_poller()

    def init_iopub(self, context):
        """An iopub socket that makes the sender wait for a slow reader instead of dropping."""
        self.session.pack = wire.pack
        socket = context.socket(zmq.XPUB)
        socket.linger = 1000
        socket.sndhwm = SEND_MARK
        socket.xpub_nodrop = 1
        self._apply_curve_server_options(socket)
        self.iopub_port = self._bind_socket(socket, self.iopub_port)
        self.configure_tornado_logger()
        self.iopub_thread = IOPub(socket, self.session)
        self.iopub_thread.start()
        self.iopub_socket = self.iopub_thread.background_socket


def run(argv: list[str]):
    """Run one kernel with these arguments. Garbage collection is off until it has started."""
    app = KernelApp.instance()
    app.initialize(argv)
    gc.freeze()
    gc.enable()
    app.start()
