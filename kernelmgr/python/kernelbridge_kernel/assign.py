"""A kernel that was started ahead gets its working directory and variables:

    kernelbridge_assign_request  {"cwd": "/absolute", "env": {"NAME": "value"}}    (shell channel)
    kernelbridge_assign_reply    {"status": "ok"} or {"status": "error", "ename": ..., "evalue": ...}

`cwd` or `env` may be missing or null. From then on it is as if the process had been started there with
these variables added, but for those that are read only at the start (see docs/python-kernel.md). An
error changes nothing. Meant for a kernel that has run no code.
"""

import os
import site
import sys
import sysconfig
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from . import environ, request
from .history import ipython_folder

REQUEST, REPLY = "kernelbridge_assign_request", "kernelbridge_assign_reply"


def answer(kernel, stream, ident, parent):
    """Handle one request, as ipykernel's dispatch calls it but for `kernel`."""
    try:
        env, cwd = request.place(parent["content"], "content")
        take(env, cwd)
        remember(kernel)
        content = {"status": "ok"}
    except (OSError, ValueError) as error:
        content = {"status": "error", "ename": type(error).__name__, "evalue": str(error)}
    kernel.session.send(stream, REPLY, content, parent, ident)


def take(env: dict[str, str], cwd: str | None):
    """Work in `cwd` with `env` added, for good. Raises OSError where `cwd` cannot be entered, ValueError
    for a variable that no environment can hold; nothing is changed then."""
    from .app import use_own_tools  # which imports the kernel, and that this

    environ.check(env)
    if cwd is not None:
        os.chdir(cwd)
    os.environ.update(env)
    use_own_tools()
    catch_up()


def catch_up():
    """Forget or make anew what Python and the imported packages once took from the directory and the
    variables: to be called after they have changed, before any code of the user's runs."""
    time.tzset()
    if tempfile.tempdir != tempfile._candidate_tempdir_list()[0]:
        tempfile.tempdir = None
    _user_site()
    for module, change in _PACKAGES.items():
        if module in sys.modules:
            with suppress(Exception):  # another version of it, or a file that it cannot read
                change(sys.modules[module])


def remember(kernel):
    """The same for what ipykernel and IPython's shell took from them."""
    shell = kernel.shell
    with suppress(OSError):  # a working directory that was removed
        shell.starting_dir = os.getcwd()
        shell.history_manager.dir_hist[:] = [Path.cwd()]
    shell.ipython_dir = ipython_folder()
    kernel.parent._trait_values.pop("connection_dir", None)  # computed when it is asked for
    shell.home_dir = os.path.realpath(os.path.expanduser("~"))
    shell.Completer.dumb_terminal = os.environ.get("TERM", "xterm") in ("dumb", "emacs")
    if name := os.environ.get("JPY_SESSION_NAME"):
        shell.user_ns["__session__"] = name
        shell.user_ns_hidden["__session__"] = name


def _user_site():
    before = site.USER_SITE
    site.USER_BASE = site.USER_SITE = None
    after = site.getusersitepackages()
    if site.ENABLE_USER_SITE and before in sys.path and before != after:
        sys.path[sys.path.index(before)] = after
    if sysconfig._CONFIG_VARS:
        sysconfig._CONFIG_VARS["userbase"] = site.USER_BASE


def _cache_home() -> str:
    return os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")


def _jedi(settings):
    settings.cache_directory = os.path.join(_cache_home(), "jedi")


def _parso(cache):
    cache._default_cache_path = Path(_cache_home(), "parso")


def _matplotlib(mpl):
    """Its folder, and the settings in a matplotlibrc there or in the working directory. The folder itself
    is made when it is first used."""
    for name in ("get_configdir", "get_cachedir"):
        setattr(mpl, name, mpl._logged_cached(f"{name}: %s", getattr(mpl, name).__wrapped__))
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    folder = os.environ.get("MPLCONFIGDIR") or f"{config}/matplotlib"
    given = os.environ.get("MATPLOTLIBRC")
    files = ["matplotlibrc", *([given, f"{given}/matplotlibrc"] if given else []), f"{folder}/matplotlibrc"]
    found = next((file for file in files if os.path.isfile(file)), None)
    if found:
        settings = dict(mpl._rc_params_in_file(found))
        mpl.rcParamsOrig.update(settings)
        settings.pop("backend", None)  # MPLBACKEND, which a kernel always has, counts more
        mpl.rcParams.update(settings)
    if style := sys.modules.get("matplotlib.style.core"):
        style.USER_LIBRARY_PATHS[:] = [f"{folder}/stylelib"]
        if os.path.isdir(style.USER_LIBRARY_PATHS[0]):
            style.reload_library()
    if tex := sys.modules.get("matplotlib.texmanager"):
        folder = os.environ.get("MPLCONFIGDIR") or f"{_cache_home()}/matplotlib"
        tex.TexManager._texcache = f"{folder}/tex.cache"


_PACKAGES = {"jedi.settings": _jedi, "parso.cache": _parso, "matplotlib": _matplotlib}
