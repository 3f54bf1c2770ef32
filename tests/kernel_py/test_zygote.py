"""A zygote and the kernels that it forks: what a program sees is what it sees in a spawned kernel."""

from __future__ import annotations

import ast
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from .conftest import SPEC, Kernel
from .test_plots import PLOT, pngs
from .zygote import ID, Zygote

Make = Callable[..., Kernel]


@pytest.fixture
def make(make_kernel: Make, zygote: Zygote) -> Make:
    """Factory of kernels that are forked."""
    return lambda **kwargs: make_kernel(**{"zygote": zygote, **kwargs})


@pytest.fixture
def pair(make: Make) -> tuple[Kernel, Kernel]:
    """A spawned kernel and a forked one, alike but for their folders."""
    return make(zygote=None), make()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Zygote]:
    """A zygote without further modules, for tests that treat it badly."""
    with (tmp_path / "stderr").open("wb") as stderr:
        one = Zygote(json.loads(SPEC.read_text()), stderr=stderr)
    yield one
    one.socket.close()
    one.process.wait(30)


def value(kernel: Kernel, code: str) -> Any:
    """Return the value of the code's last expression."""
    run = kernel.run(f"import ast\n{code}")
    assert run.reply["status"] == "ok", run.plain["traceback"]
    return ast.literal_eval(run.result)


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Return a line for each path of what differs between two values made of dicts."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [] if one == other else [f"{where}: {one!r} != {other!r}"]
    keys = sorted(one.keys() | other.keys(), key=str)
    return [line for key in keys for line in differences(one.get(key), other.get(key), f"{where}.{key}")]


# -- what a program sees ----------------------------------------------------------------------------

PROCESS = """
import gc, locale, os, resource, signal, sys, threading, warnings
def status(*names):
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return {name: lines[name].strip() for name in names}
def named(f):
    return getattr(f, "__qualname__", type(f).__name__)
def fds():
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.path.basename(os.readlink(f"/proc/self/fd/{fd}").split(":")[0])
        except FileNotFoundError:
            continue
        if target != "socket":  # of connections, which come and go
            found.setdefault(target, []).append(fd if int(fd) < 3 else "other")
    return {target: sorted(held) for target, held in found.items()}
{
    "argv": sys.argv,
    "path": sys.path,
    "flags": repr(sys.flags),
    "hooks": [named(f) for f in (sys.excepthook, sys.displayhook, sys.unraisablehook)],
    "prompts": [sys.ps1, sys.ps2],
    "options": [sys.warnoptions, sys._xoptions, sys.dont_write_bytecode, sys.getrecursionlimit()],
    "interval": sys.getswitchinterval(),
    "main": [__name__, sorted(vars(sys.modules["__main__"])), sys.modules["__main__"].__dict__ is globals()],
    "locale": [locale.getlocale(), locale.getpreferredencoding(), sys.getfilesystemencoding()],
    "environ": {k: v for k, v in os.environ.items() if k not in ("HOME", "JPY_PARENT_PID")},
    "own environ": dict(os.environ) == {os.fsdecode(k): os.fsdecode(v) for k, v in os.environb.items()},
    "limits": [resource.getrlimit(n) for n in range(16)],
    "priority": [os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), os.sched_getaffinity(0)],
    "handlers": {int(s): named(signal.getsignal(s)) for s in signal.valid_signals()},
    "signals": status("SigBlk", "SigIgn", "SigCgt", "Groups", "Uid", "NoNewPrivs", "CapEff", "Umask"),
    "threads": sorted(t.name for t in threading.enumerate()),
    "tasks": len(os.listdir("/proc/self/task")),
    "main thread": threading.main_thread().native_id == os.getpid(),
    "leader": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
    "fds": fds(),
    "stdin": [sys.stdin.isatty(), sys.stdin.encoding, os.readlink("/proc/self/fd/0")],
    "stdout": [sys.__stdout__.encoding, sys.__stdout__.errors, sys.__stdout__.line_buffering],
    "stderr": [sys.__stderr__.encoding, sys.__stderr__.errors, sys.__stderr__.line_buffering],
    "gc": [gc.isenabled(), gc.get_threshold()],
    "filters": [repr(f) for f in warnings.filters],
    "packages": {n: True for n, m in sys.modules.items() if "." not in n and hasattr(m, "__file__")},
    "cpus": os.cpu_count(),
    "trace": [sys.gettrace(), sys.getprofile(), threading.gettrace()],
    "tz": __import__("time").tzname,
}
"""


def test_the_same_process(pair: tuple[Kernel, Kernel]) -> None:
    spawned, forked = (value(kernel, PROCESS) for kernel in pair)
    assert "\n".join(differences(spawned, forked)) == ""


SHELL = """
import re
ip = get_ipython()
skip = {"parent", "config", "shell", "kernel", "flags", "session", "ident", "exec_result"}
own = ("_trait", "_cross", "_parent", "_orig_sys", "_sys", "_user", "ns_")  # its alone, or shown as another
def shown(v):
    return re.sub(r"0x[0-9a-f]+|[0-9]{6,}", "", repr(v))
def traits(o):
    return {n: shown(getattr(o, n)) for n in o.trait_names() if n not in skip}
{
    "shell": traits(ip),
    "vars": {n: shown(v) for n, v in vars(ip).items() if not n.startswith(own)},
    "parts": {type(c).__name__: traits(c) for c in ip.configurables if c is not ip},
    "config": sorted(ip.config),
    "magics": {k: sorted(v) for k, v in ip.magics_manager.magics.items()},
    "hooks": sorted(ip.hooks),
    "events": {k: [getattr(f, "__qualname__", str(f)) for f in v] for k, v in ip.events.callbacks.items()},
    "parents": [ip.parent is ip.kernel, ip.kernel.shell is ip, type(ip.kernel.parent).__name__],
    "hidden": sorted(ip.user_ns_hidden),
    "names": sorted(ip.user_ns),
    "app": traits(ip.kernel.parent),
    "kernel": traits(ip.kernel),
    "formatters": sorted(ip.display_formatter.formatters),
}
"""


def test_the_same_shell(pair: tuple[Kernel, Kernel]) -> None:
    def facts(kernel: Kernel) -> Any:
        text = kernel.run(SHELL).result
        folder = str(kernel.cwd.parent)
        return ast.literal_eval(text.replace(folder, "FOLDER"))

    spawned, forked = (facts(kernel) for kernel in pair)
    assert "\n".join(differences(spawned, forked)) == ""


SCIENCE = """
import matplotlib, numpy, pandas, os, sys, warnings
import matplotlib.pyplot as plt
{
    "backend": [matplotlib.get_backend(), matplotlib.rcParams["backend"], os.environ["MPLBACKEND"]],
    "folders": [matplotlib.get_configdir(), matplotlib.get_cachedir(), matplotlib.matplotlib_fname()],
    "interactive": matplotlib.is_interactive(),
    "rc": {k: repr(v) for k, v in matplotlib.rcParams.items()},
    "options": [numpy.get_printoptions(), pandas.get_option("display.max_rows")],
    "filters": sorted(repr(f) for f in warnings.filters),
    "threads": len(os.listdir("/proc/self/task")),
    "modules": sorted(m for m in ("numpy", "pandas", "matplotlib", "matplotlib.pyplot") if m in sys.modules),
    "file": [numpy.__file__, numpy.__spec__.origin, numpy.__loader__ is numpy.__spec__.loader],
    "environ": sorted(os.environ),
}
"""


def test_the_same_libraries(pair: tuple[Kernel, Kernel]) -> None:
    def facts(kernel: Kernel) -> Any:
        text = kernel.run(SCIENCE).result
        return ast.literal_eval(text.replace(str(kernel.cwd.parent), "FOLDER"))

    spawned, forked = (facts(kernel) for kernel in pair)
    assert "\n".join(differences(spawned, forked)) == ""


def test_preloaded_modules_are_out_of_sight_until_imported(make: Make) -> None:
    kernel = make()
    seen = "[m for m in sys.modules if m.split('.')[0] in ('numpy', 'pandas', 'matplotlib', 'dateutil')]"
    before = set(value(kernel, f"import sys, importlib.util\n{seen}"))
    assert not before & {"numpy", "pandas", "matplotlib"}
    assert kernel.run("importlib.util.find_spec('pandas').origin").result.endswith("pandas/__init__.py'")
    assert set(value(kernel, seen)) == before
    after = set(value(kernel, f"import pandas\n{seen}"))
    assert after > before | {"numpy", "pandas", "pandas.core.frame"} and "matplotlib" not in after
    assert kernel.run("pandas.DataFrame({'a': [1, 2]}).sum()['a'] + 0").result == "np.int64(3)"


@pytest.mark.parametrize("name", ["pandas", "fractions", "pexpect", "matplotlib"])
def test_a_file_of_the_users_comes_first(make: Make, name: str) -> None:
    kernel = make()
    (kernel.cwd / f"{name}.py").write_text("value = 'mine'")
    assert kernel.run(f"import {name}; {name}.value").result == "'mine'"
    assert kernel.run("1/0").plain["name"] == "ZeroDivisionError"
    kernel.run("!true")
    assert kernel.run("import numpy; int(numpy.arange(3).sum())").result == "3"


def test_a_package_installed_anew_is_loaded_anew(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "base.py").write_text("value = 'old'")
    (folder / "user.py").write_text("import base\nvalue = base.value")
    with (tmp_path / "stderr").open("wb") as stderr:
        zygote = Zygote(
            json.loads(SPEC.read_text()), "user", "json", stderr=stderr, env={"PYTHONPATH": str(folder)}
        )
    kernels = []
    for new in (None, "new value"):
        home = tmp_path / f"k{new}"
        home.mkdir()
        kernels.append(Kernel(home, zygote=zygote))
        if new:
            (folder / "base.py").write_text(f"value = {new!r}")
        code = "import user; user.value"
        assert kernels[-1].run(f"{code}").result == repr(new or "old")
    for kernel in kernels:
        kernel.close()
    zygote.close()


# -- what must not be shared ------------------------------------------------------------------------

RANDOM = """
import asyncio, multiprocessing, random, secrets, tempfile, uuid
import numpy as np
[
    random.random(), random.getrandbits(64), random.Random().random(), np.random.rand(),
    np.random.randint(1 << 62), np.random.default_rng().random(), np.random.RandomState().rand(),
    np.random.get_state()[1][:3].tolist(), np.random.mtrand._rand.random(), secrets.token_hex(8),
    str(uuid.uuid4()), str(uuid.uuid1()), tempfile.mktemp(),
    bytes(multiprocessing.current_process().authkey), get_ipython().kernel.session.session,
    get_ipython().kernel.ident, get_ipython().kernel.session.pid,
]
"""


def test_each_kernel_has_its_own_randomness(make: Make) -> None:
    one, other = (ast.literal_eval(make().run(RANDOM).result.replace("np.", "")) for _ in range(2))
    assert [first for first, second in zip(one, other, strict=True) if first == second] == []


def test_generators_of_preloaded_modules_are_seeded_anew(tmp_path: Path) -> None:
    (tmp_path / "holder.py").write_text("""
import multiprocessing, random
import numpy
own, theirs, old = random.Random(), numpy.random.default_rng(), numpy.random.RandomState()
""")
    with (tmp_path / "stderr").open("wb") as stderr:
        env = {"PYTHONPATH": str(tmp_path)}
        zygote = Zygote(json.loads(SPEC.read_text()), "holder", stderr=stderr, env=env)
    said = []
    for name in "ab":
        (tmp_path / name).mkdir()
        kernel = Kernel(tmp_path / name, zygote=zygote)
        code = "[own.random(), float(theirs.random()), float(old.rand()), bytes(key)]"
        key = "key = holder.multiprocessing.current_process().authkey"
        said.append(value(kernel, f"import holder\nfrom holder import *\n{key}\n{code}"))
        kernel.close()
    zygote.close()
    assert [first for first, second in zip(*said, strict=True) if first == second] == []


def test_randomness_can_be_repeated(pair: tuple[Kernel, Kernel]) -> None:
    code = """
import random, numpy as np
random.seed(7); np.random.seed(7)
[random.random(), float(np.random.rand()), float(np.random.default_rng(7).random())]
"""
    spawned, forked = (value(kernel, code) for kernel in pair)
    assert spawned == forked


# -- what programs do -------------------------------------------------------------------------------

WORK = {
    "pool": """
import multiprocessing as mp
for method in ("fork", "spawn", "forkserver"):
    with mp.get_context(method).Pool(2) as pool:
        print(method, pool.map(abs, [-1, -2]))
""",
    "executors": """
import concurrent.futures as cf
for kind in (cf.ThreadPoolExecutor, cf.ProcessPoolExecutor):
    with kind(2) as pool:
        print(list(pool.map(abs, [-3, 4])))
""",
    "shared": """
import multiprocessing as mp, multiprocessing.shared_memory as sm
value, queue = mp.Value("i", 1), mp.Queue()
def child():
    value.value += 1
    queue.put(value.value)
p = mp.Process(target=child); p.start(); print(queue.get()); p.join(); print(p.exitcode, value.value)
block = sm.SharedMemory(create=True, size=8); print(block.size > 0); block.close(); block.unlink()
""",
    "fork": """
import os, sys
pid = os.fork()
if pid == 0:
    print("child", flush=True)
    os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""",
    "children": """
import subprocess, sys
print(subprocess.run([sys.executable, "-c", "import sys; print(sys.stdin.read())"], input="x", text=True,
                     capture_output=True).stdout)
!echo from the shell; readlink /proc/self/fd/0
""",
    "threads": """
import threading
said = []
def other():
    said.append(threading.get_native_id() != threading.main_thread().native_id)
t = threading.Thread(target=other)
t.start(); t.join(5); print(said, threading.active_count() > 1)
""",
    "asyncio": """
import asyncio
async def later(x):
    await asyncio.sleep(0)
    return x
print(await asyncio.gather(later(1), later(2)))
process = await asyncio.create_subprocess_exec("echo", "sub", stdout=-1)
print((await process.communicate())[0])
""",
    "alarm": """
import signal, time
def on(*_): raise TimeoutError("rang")
signal.signal(signal.SIGALRM, on); signal.setitimer(signal.ITIMER_REAL, 0.01)
try:
    time.sleep(10)
except TimeoutError as e:
    print(e)
""",
    "logging": """
import logging, warnings
logging.warning("one"); warnings.warn("two"); logging.getLogger("x").error("three")
""",
    "blas": """
import numpy as np
a = np.random.rand(300, 300)
print(bool(np.allclose(a @ np.linalg.inv(a), np.eye(300), atol=1e-6)))
import pandas as pd
print(pd.DataFrame({"a": [1, 2, 3]}).describe().shape)
""",
    "pickle": """
import pickle, fractions, numpy as np, pandas as pd
things = [fractions.Fraction(1, 3), np.float64(2), pd.Timestamp("2026-01-01")]
print(pickle.loads(pickle.dumps(things)))
""",
    "modules": """
import importlib, sys
import numpy, decimal
print(importlib.reload(decimal) is decimal, importlib.import_module("numpy.linalg") is numpy.linalg)
import matplotlib; matplotlib.use("agg")
import matplotlib.pyplot as plt
print(plt.get_backend(), 'matplotlib.pyplot' in sys.modules)
""",
}


@pytest.mark.parametrize("name", WORK)
def test_programs_do_the_same(pair: tuple[Kernel, Kernel], name: str) -> None:
    def facts(kernel: Kernel) -> Any:
        run = kernel.run(WORK[name])
        return run.text(), run.text("stderr").count("\n"), run.reply["status"]

    spawned, forked = (facts(kernel) for kernel in pair)
    assert spawned[2] == "ok" and spawned == forked


@pytest.mark.parametrize("first", ["import matplotlib.pyplot as plt", "from matplotlib import pyplot as plt"])
def test_figures_are_shown(make: Make, first: str) -> None:
    kernel = make()
    (png,) = pngs(kernel.run(f"{first}\nplt.plot([1, 3, 2]);"))
    assert png.startswith(b"\x89PNG")
    assert len(pngs(kernel.run(PLOT + "\nplt.show()"))) == 1
    assert pngs(kernel.run("1")) == []


def test_figures_alike(pair: tuple[Kernel, Kernel]) -> None:
    spawned, forked = (pngs(kernel.run(PLOT)) for kernel in pair)
    assert len(spawned) == 1 and spawned == forked


def test_exit_handlers_run_at_the_end(make: Make) -> None:
    kernel = make()
    mark = kernel.cwd / "mark"
    kernel.run(f"import atexit, numpy, pandas\natexit.register(open({str(mark)!r}, 'w').close)")
    kernel.client.shutdown()
    assert kernel.manager.wait() == 0
    assert mark.exists() and kernel.stderr() == ""


def test_the_first_cells_load_nothing_more(make: Make) -> None:
    """What a spawned kernel imports in its first cells, a forked one has in memory."""
    kernel = make()
    watch = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
"""
    kernel.run(watch)
    kernel.run("1/0")
    kernel.run("from IPython.display import HTML, display; display(HTML('x')); {'a': [1]}")
    kernel.run("import numpy, pandas, matplotlib.pyplot")
    kernel.client.complete("import o")
    kernel.client.get_shell_msg(timeout=60)
    found = value(kernel, "[str(f) for f in opened if str(f).endswith(('.pyc', '.so'))]")
    assert found == []


# -- the protocol -----------------------------------------------------------------------------------


def env_of(pid: int) -> dict[str, str]:
    """Return what /proc shows as the environment of a process."""
    return dict(item.split("=", 1) for item in Path(f"/proc/{pid}/environ").read_text().split("\0") if item)


def test_a_zygote_has_one_thread_and_few_descriptors(zygote: Zygote, make: Make) -> None:
    make()
    assert os.listdir(f"/proc/{zygote.pid}/task") == [str(zygote.pid)]
    assert sorted(os.listdir(f"/proc/{zygote.pid}/fd")) == ["0", "1", "2", "3"]
    assert env_of(zygote.pid)[ID] == "zygote00"


def test_what_a_kernel_is_when_it_is_told(zygote: Zygote, make: Make) -> None:
    kernel = make()
    pid = kernel.process.pid
    assert os.getpgid(pid) == os.getsid(pid) == pid and kernel.process.ppid() == os.getpid()
    assert env_of(pid) == env_of(zygote.pid) | {ID: env_of(pid)[ID]}
    assert env_of(pid)[ID].startswith("k0") and len(env_of(pid)[ID]) == 8
    theirs = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert os.readlink(f"/proc/{zygote.pid}/fd/3") not in theirs


def test_the_environment_is_the_requests_alone(zygote: Zygote, make: Make) -> None:
    kernel = make(env={"TZ": "Asia/Kathmandu", "NAME": "a=b\nä", "EMPTY": ""})
    code = "[os.environ['NAME'], os.environ['EMPTY'], time.strftime('%z', time.localtime(0))]"
    assert value(kernel, f"import os, time\n{code}") == ["a=b\nä", "", "+0530"]
    ours = [ID, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
    assert value(kernel, f"[n for n in os.environ if n in {ours}]") == []
    assert kernel.run("!echo $TZ").text().strip() == "Asia/Kathmandu"


def test_a_kernel_outlives_its_zygote(own: Zygote, tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, zygote=own)
    os.kill(own.pid, signal.SIGKILL)
    own.process.wait(30)
    assert kernel.run("1 + 1").result == "2"
    kernel.send("import os; os._exit(7)")
    assert os.waitstatus_to_exitcode(kernel.manager.wait()) == 7
    kernel.close()


def test_a_zygote_ends_with_its_socket(own: Zygote) -> None:
    own.socket.close()
    assert own.process.wait(30) == 0


BAD = {
    "no cwd": {"cwd": "/no/such/folder"},
    "a file as cwd": {"cwd": "/etc/passwd"},
    "cwd of another type": {"cwd": 1},
    "a longer id": {"kernel_id": "kernel0001"},
    "an empty id": {"kernel_id": ""},
    "env of another type": {"env": ["A"]},
    "a name with =": {"env": {"A=B": "c"}},
    "an empty name": {"env": {"": "c"}},
    "a value with NUL": {"env": {"A": "b\0c"}},
    "a value that is no string": {"env": {"A": 1}},
    "a value that is no text": {"env": {"A": "\ud800"}},
    "no descriptor": {"fds": []},
    "two descriptors": {"fds": [0, 1]},
}


@pytest.mark.parametrize("why", BAD)
def test_a_bad_request_is_answered(zygote: Zygote, why: str) -> None:
    answer = zygote.ask(**BAD[why])
    assert answer.keys() == {"error"} and answer["error"]
    assert zygote.ask(fds=[], cwd=1).keys() == {"error"}  # so it has done with the first
    assert zygote.process.poll() is None and psutil.Process(zygote.pid).children() == []
    assert sorted(os.listdir(f"/proc/{zygote.pid}/fd")) == ["0", "1", "2", "3"]


MALFORMED = [b'{"n": 5000}', b'{"n": 5000, "env"', b'{"env": {}, "n":5000}', b'{"n": 5000, "x": "\xff"}']


@pytest.mark.parametrize("packet", MALFORMED)
def test_a_malformed_request_is_answered_by_its_number(zygote: Zygote, packet: bytes) -> None:
    zygote.send(packet, [])
    answer = zygote.read()
    assert answer["n"] == 5000 and answer["error"]


def test_a_request_without_a_number_is_a_line_on_stderr(own: Zygote, tmp_path: Path) -> None:
    own.send(b"[]", [])
    assert "error" in own.ask(cwd="/no/such/folder")
    assert (tmp_path / "stderr").read_text().count("\n") == 1


def test_a_kernel_that_hangs_at_its_start_is_the_only_one(zygote: Zygote, tmp_path: Path) -> None:
    """Its time zone is a file that nobody writes to."""
    os.mkfifo(tmp_path / "zone")
    for variables in ({"TZ": f":{tmp_path}/zone"}, {}):
        pid = zygote.ask(env=variables)["pid"]
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_modules_that_cannot_be_loaded_are_lines_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit(3)")
    with (tmp_path / "stderr").open("wb") as stderr:
        env = {"PYTHONPATH": str(tmp_path)}
        zygote = Zygote(json.loads(SPEC.read_text()), "nowhere", "broken", "json", stderr=stderr, env=env)
    zygote.close()
    lines = (tmp_path / "stderr").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["nowhere", "broken"]


def test_many_requests_at_once(zygote: Zygote, tmp_path: Path) -> None:
    with open(os.devnull, "wb") as null:
        request = {"connection_file": "/none", "kernel_id": "kernel01", "cwd": "/no/such/folder", "env": {}}
        for n in range(6000, 6020):
            zygote.send(json.dumps({"n": n, **request}).encode(), [null.fileno()])
    assert [zygote.read()["n"] for _ in range(20)] == list(range(6000, 6020))
    kernels = []
    for n in range(5):
        folder = tmp_path / str(n)
        folder.mkdir()
        kernels.append(Kernel(folder, zygote=zygote))
    assert [k.run(f"{n} + 1").result for n, k in enumerate(kernels)] == ["1", "2", "3", "4", "5"]
    for kernel in kernels:
        kernel.close()


def test_memory_is_shared(zygote: Zygote, make: Make) -> None:
    """Of what a zygote holds a kernel has less than half for itself."""
    kernel = make()
    kernel.run("1")
    assert kernel.process.memory_full_info().uss < psutil.Process(zygote.pid).memory_info().rss / 2
