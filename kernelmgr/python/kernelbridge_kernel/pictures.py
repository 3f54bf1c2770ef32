"""Pillow's pictures in rich runs: Image.save(path) and Image.show() display the picture.

Pillow is not imported for that: a finder waits on sys.meta_path until the user's code does it.
"""

import importlib.util
import sys
from collections.abc import Callable
from functools import wraps

from IPython.core.display_functions import display

_MODULE = "PIL.Image"


class Pictures:
    """`rich()` tells at each call whether it belongs to a rich run; in others Pillow is itself."""

    def __init__(self, rich: Callable[[], bool]):
        self._rich = rich

    def watch(self):
        """Change Pillow now, or as soon as it is imported. Called again, it costs next to nothing."""
        module = sys.modules.get(_MODULE)
        if module is not None:
            self.change(module)
        elif self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(self, name, path=None, target=None):
        """Be a finder, for one module."""
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self.change)
        return spec

    def imported(self, names):
        """Modules of these names have come into sys.modules without being looked for here."""
        if _MODULE in names:
            sys.meta_path.remove(self)
            self.change(sys.modules[_MODULE])

    def change(self, module):
        """Replace the two methods of Image."""
        image = getattr(module, "Image", None)
        if image is None or hasattr(image.save, "kernelbridge"):
            return
        save, show = image.save, image.show

        @wraps(save)
        def shown_save(self_, fp, *args, **kwargs):
            if isinstance(fp, str) and self._rich():
                display(self_)
            return save(self_, fp, *args, **kwargs)

        @wraps(show)
        def shown_show(self_, *args, **kwargs):
            if not self._rich():
                return show(self_, *args, **kwargs)
            from PIL import ImageShow  # whose other viewers open windows where the kernel runs

            ImageShow.IPythonViewer().show(self_)

        shown_save.kernelbridge = True
        image.save, image.show = shown_save, shown_show


class _Loader:
    """The module's own loader, and `after(module)`."""

    def __init__(self, loader, after):
        self._loader = loader
        self._after = after

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._after(module)
