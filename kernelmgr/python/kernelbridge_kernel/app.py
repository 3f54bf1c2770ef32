"""The kernel's start: ipykernel's application without what a gateway's kernel does not need."""

import gc
import os
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import zmq
from ipykernel import ipkernel
from ipykernel.control import ControlThread
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel
from ipykernel.shellchannel import ShellChannelThread
from IPython.core.profiledir import ProfileDir
from tornado.ioloop import IOLoop
from traitlets import Any, Bool, DottedObjectName, Type, default, observe
from traitlets.config import Config
from zmq.eventloop.zmqstream import ZMQStream

from . import lastwords, options, prepared, wire
from .iopub import IOPub
from .kernel import IPythonKernel
from .parent import ParentWatch

SEND_MARK = 16  # iopub messages in the socket; one stream message is at most 64 KiB of text


@contextmanager
def _no_table_of_modules():
    """ipykernel makes a list of all modules' files, for the debugger. That takes a millisecond, and in
    a forked kernel memory: it writes to each module, and so to pages that were shared."""
    ipkernel.sys = SimpleNamespace(modules={})
    try:
        yield
    finally:
        ipkernel.sys = sys


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
        self.log.setLevel(self.log_level)  # else what nobody sees is made and then dropped
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
        if shell := getattr(self.kernel, "shell", None):  # kernels of other languages have none
            shell.exit_now = False
        Kernel.start(self.kernel)  # ipykernel's IPythonKernel would look for a debugger
        self.io_loop = IOLoop.current()
        while True:
            try:
                return self.io_loop.start()
            except (KeyboardInterrupt, SystemExit):
                pass

    def parse_command_line(self, argv=None):
        """As ipykernel does, which takes 6 ms; where there is the connection file only, at once."""
        if argv is None or len(argv) != 2 or argv[0] != "-f":
            return super().parse_command_line(argv)
        self.cli_config = Config({"IPKernelApp": {"connection_file": argv[1]}})
        self.config.merge(self.cli_config)  # in place: a prepared shell has it too
        self.connection_file = argv[1]

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
        if not hasattr(self.shell, "_sys_modules_keys"):
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

    def init_control(self, context):
        """The control channel, and none of the debugger's sockets."""
        self.control_socket = socket = context.socket(zmq.ROUTER)
        socket.linger = 1000
        socket.router_handover = 1
        self._apply_curve_server_options(socket)
        self.control_port = self._bind_socket(socket, self.control_port)
        self.control_thread = ControlThread(daemon=True)
        self.shell_channel_thread = ShellChannelThread(context, daemon=True)

    def init_kernel(self):
        """The kernel object, and in a forked kernel the shell that was there before (prepared.py)."""
        control, channel = self.control_thread, self.shell_channel_thread
        channel.shell_stream = ZMQStream(self.shell_socket, channel.io_loop)
        control_stream = ZMQStream(self.control_socket, control.io_loop)
        control.start()
        channel.start()
        with _no_table_of_modules():
            self.kernel = self.kernel_class.instance(
                parent=self,
                session=self.session,
                control_stream=control_stream,
                shell_stream=channel.shell_stream,
                control_thread=control,
                shell_channel_thread=channel,
                iopub_thread=self.iopub_thread,
                iopub_socket=self.iopub_socket,
                stdin_socket=self.stdin_socket,
                log=self.log,
                profile_dir=self.profile_dir,
                user_ns=self.user_ns,
            )
        shell = getattr(self.kernel, "shell", None)
        if shell is not None and shell.parent is not self.kernel:
            prepared.adopt(shell, self.kernel)
        self.kernel.record_ports({f"{name}_port": port for name, port in self._ports.items()})
        self.displayhook.get_execution_count = lambda: self.kernel.execution_count

    def init_iopub(self, context):
        """An iopub socket that makes the sender wait for a slow reader instead of dropping."""
        self.session.pack = wire.pack
        self.session.username = os.environ.get("USER", "username")
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
    """Run one kernel with these arguments, among them options (options.py). Garbage collection is off
    until it has started."""
    kind, argv = options.app_class(argv)
    app = kind.instance()
    app.initialize(argv)
    gc.freeze()
    gc.enable()
    app.start()
