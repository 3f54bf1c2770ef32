"""A kernel with ipykernel's debugger, for clients that send debug_request: option --debugger."""

import asyncio
import importlib.util
import sys
from contextlib import nullcontext

from ipykernel.compiler import XCachingCompiler
from ipykernel.ipkernel import IPythonKernel as StockKernel
from ipykernel.kernelapp import IPKernelApp
from traitlets import Type

from .app import KernelApp
from .compiler import Compiler
from .kernel import IPythonKernel


class _Compiler(Compiler):
    """The debugger's clients compute the file name of a cell themselves: it must be ipykernel's."""

    get_code_name = XCachingCompiler.get_code_name


class DebuggedKernel(IPythonKernel):
    compiler_class = Type(_Compiler)
    debugger_class = Type("ipykernel.debugger.Debugger")
    hidden_debugger = nullcontext
    poll_stopped_queue = StockKernel.poll_stopped_queue


class DebuggedApp(KernelApp):
    kernel_class = Type(DebuggedKernel, klass="ipykernel.kernelbase.Kernel").tag(config=True)
    init_control = IPKernelApp.init_control  # with the debugger's sockets
    init_kernel = IPKernelApp.init_kernel

    def initialize(self, argv=None):
        if importlib.util.find_spec("debugpy") is None:
            raise SystemExit(
                "kernelbridge: the option --debugger needs debugpy, which is not installed; install it with\n"
                f"kernelbridge: {sys.executable} -m pip install debugpy"
            )
        sys.modules.pop("ipykernel.debugger", None)  # it may have been imported without debugpy
        super().initialize(argv)

    def start(self):
        kernel = self.kernel
        kernel.debugpy_stream.on_recv(kernel.dispatch_debugpy, copy=False)
        loop = self.control_thread.io_loop.asyncio_loop
        asyncio.run_coroutine_threadsafe(kernel.poll_stopped_queue(), loop)
        super().start()
