"""The kernel's start: the Python kernel's, with bash in the place of IPython's shell."""

from kernelbridge_kernel.app import KernelApp
from traitlets import Type

from .kernel import BashKernel
from .pictures import Pictures


class BashApp(KernelApp):
    """One kernel process and one bash."""

    name = "kernelbridge-bash"
    kernel_class = Type(BashKernel, klass="ipykernel.kernelbase.Kernel").tag(config=True)

    def initialize(self, argv=None):
        super().initialize(argv)
        self.kernel.begin()
        pub = self.iopub_thread
        pub.captures = [
            (Pictures(capture, self.kernel.show) if stream.name == "stderr" else capture, stream)
            for capture, stream in pub.captures
        ]

    def init_signal(self):
        """The kernel sets its own handler: a signal that is ignored here would be ignored in bash."""
