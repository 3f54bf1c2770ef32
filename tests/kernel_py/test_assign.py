"""A kernel started ahead that is given its directory and variables is as one started with them."""

import ast
import os

import pytest
from harness.gateway import until

from .conftest import DEADLINE_S, Kernel, is_idle

FACTS = """
import getpass, json, os, shutil, site, sys, sysconfig, tempfile, time, pathlib, subprocess
def facts():
    os.environ.pop('PYTEST_CURRENT_TEST', None)
    shell = get_ipython()
    simple = (str, int, float, bool, type(None))
    traits = {}
    for one in (shell, shell.kernel, *shell.configurables):
        for name in set(one.trait_names()) - {'kernel', 'ident', 'last_execution_succeeded'}:
            if isinstance(value := getattr(one, name, None), simple):
                traits[f'{type(one).__name__}.{name}'] = value
    found = {
        'environ': dict(os.environ), 'cwd': os.getcwd(), 'path': sys.path, 'argv': sys.argv,
        'dirs': [str(d) for d in _dh], 'start': [shell.starting_dir, shell.home_dir],
        'names': sorted(n for n in dir(__import__('__main__')) if n != 'facts'), 'traits': traits,
        'tmp': tempfile.gettempdir(), 'site': [site.USER_BASE, site.USER_SITE, site.ENABLE_USER_SITE],
        'config': sysconfig.get_config_var('userbase'),
        'home': [os.path.expanduser('~'), str(pathlib.Path.home())],
        'time': [time.tzname, time.timezone, time.daylight, time.localtime(0)[:]],
        'user': getpass.getuser(), 'tools': [shutil.which(n) for n in ('python', 'pip', 'own-tool')],
        'child': subprocess.check_output('pwd -P; env | sort; date -d @0', shell=True, text=True),
        'session': globals().get('__session__'), 'terminal': shell.Completer.dumb_terminal,
        'hidden': sorted(shell.user_ns_hidden),
    }
    if 'jedi' in sys.modules:
        import jedi.settings, parso.cache
        found['jedi'] = jedi.settings.cache_directory, str(parso.cache._default_cache_path)
    if 'matplotlib' in sys.modules:
        import matplotlib as mpl
        found['rc'] = {k: str(v) for k, v in mpl.rcParams.items()}
        found['original'] = {k: str(v) for k, v in mpl.rcParamsOrig.items()}
        found['folders'] = mpl.get_configdir(), mpl.get_cachedir(), 'of-mine' in mpl.style.available
        import matplotlib.texmanager
        found['tex'] = matplotlib.texmanager.TexManager._texcache
    return found
"""


def ask(kernel: Kernel, content) -> tuple[list, dict]:
    """Send an assign_request; return the types of what came on iopub for it, and the reply's content."""
    session = kernel.client.session
    msg = session.msg("kernelbridge_assign_request", content)
    kernel.client.shell_channel.send(msg)
    seen = []
    while not seen or not is_idle(seen[-1]):
        seen.append(kernel.event(msg["header"]["msg_id"]))
    reply: dict = {"parent_header": {}}
    while reply["parent_header"].get("msg_id") != msg["header"]["msg_id"]:
        reply = kernel.client.get_shell_msg(timeout=DEADLINE_S)
    assert reply["msg_type"] == "kernelbridge_assign_reply"
    return [(e["msg_type"], e["content"].get("execution_state")) for e in seen], reply["content"]


INVISIBLE = [("status", "busy"), ("status", "idle")]


def facts(kernel: Kernel) -> dict:
    """Return {where it was found: what the kernel's code sees there}."""
    run = kernel.run(FACTS + "print(repr(facts()))", silent=True)
    assert [e["metadata"]["kernelbridge"]["traceback"] for e in run.of("error")] == []
    text = (
        run.text().replace(str(kernel.home.parent), "<its folder>").replace(str(kernel.process.pid), "<pid>")
    )
    return dict(flat(ast.literal_eval(text)))


def flat(value, name=""):
    """Yield (name, leaf) of nested dicts and lines."""
    if isinstance(value, str) and "\n" in value:
        value = dict(line.partition("=")[::2] for line in value.splitlines())
    if isinstance(value, dict):
        for key, part in value.items():
            yield from flat(part, f"{name}.{key}")
    else:
        yield name, value


def changes(before: dict, after: dict) -> dict:
    return {k: (before.get(k), after.get(k)) for k in before | after if before.get(k) != after.get(k)}


@pytest.fixture
def place(tmp_path):
    """A home, a directory and the variables that a context could have."""
    for name in ("home/.config/matplotlib/stylelib", "cwd \u00e4 'x'", "tmp", "bin"):
        (tmp_path / "there" / name).mkdir(parents=True)
    there = tmp_path / "there"
    (there / "bin/own-tool").touch(0o755)
    (there / "home/.config/matplotlib/matplotlibrc").write_text("lines.linewidth: 7\nbackend: svg\n")
    (there / "home/.config/matplotlib/stylelib/of-mine.mplstyle").write_text("lines.linewidth: 3\n")
    env = {
        "HOME": str(there / "home"),
        "TMPDIR": str(there / "tmp"),
        "TZ": "Asia/Kathmandu",
        "PATH": f"{there}/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": "/elsewhere",
        "LOGNAME": "somebody",
        "TERM": "xterm" if os.environ.get("TERM") in ("dumb", "emacs") else "dumb",  # not as this one
        "PAGER": "more",
        "JPY_SESSION_NAME": "a name",
        "KB_ODD": 'it\'s "quoted" \U0001f600\n$HOME',
        "KB_EMPTY": "",
    }
    return there / "cwd \u00e4 'x'", env


@pytest.fixture
def started(make_kernel, tmp_path, place) -> Kernel:
    """A kernel started there with them."""
    (tmp_path / "k0").mkdir()
    (tmp_path / "k0/cwd").symlink_to(place[0])
    return make_kernel(env=place[1])


@pytest.mark.parametrize("imports", ["pass", "import jedi, matplotlib.pyplot, matplotlib.texmanager"])
def test_as_if_it_had_been_started_so(make_kernel, kernel, place, started, imports):
    cwd, env = place
    one, other = started, make_kernel()
    other.run(imports + "\nimport tempfile, site, sysconfig; tempfile.gettempdir()", silent=True)
    sysconfig = "sysconfig.get_config_vars()"
    other.run(f"{sysconfig}; del tempfile, site, sysconfig", silent=True)
    assert ask(other, {"cwd": str(cwd), "env": env}) == (INVISIBLE, {"status": "ok"})
    one.run(imports, silent=True)
    expected = facts(one)
    assert changes(expected, facts(other)) == {}
    elsewhere = facts(kernel)
    for name in (
        "cwd",
        "dirs",
        "start",
        "tmp",
        "site",
        "home",
        "time",
        "user",
        "tools",
        "session",
        "terminal",
    ):
        assert elsewhere[f".{name}"] != expected[f".{name}"], name


def test_first_execution_is_the_first(make_kernel, place):
    kernel = make_kernel()
    ask(kernel, {"cwd": str(place[0]), "env": place[1]})
    run = kernel.run("len(In), Out, _dh[0].name")
    assert run.events[1]["content"]["execution_count"] == 1
    assert run.result == f"(2, {{}}, {place[0].name!r})"
    assert kernel.stderr() == ""


def test_what_ipython_says_of_the_directory(make_kernel, place):
    kernel = make_kernel()
    (place[0] / "only_there.py").write_text("value = 11")
    ask(kernel, {"cwd": str(place[0])})
    assert kernel.run("import only_there; only_there.value").result == "11"
    assert kernel.run("%pwd").result == repr(str(place[0]))
    assert kernel.run("!pwd").text().split("\r\n")[0] == str(place[0])
    assert kernel.run("%cd -q /\n%cd -q -\n%pwd").result == repr(str(place[0]))


def test_caches_are_those_of_the_new_home(make_kernel, place):
    kernel = make_kernel()
    ask(kernel, {"env": place[1]})
    home = kernel.home
    before = sorted(home.rglob("*"))
    kernel.run("import json; json.lo")
    kernel.client.complete("json.lo")
    assert "loads" in kernel.client.get_shell_msg(timeout=DEADLINE_S)["content"]["matches"]
    kernel.run("import tempfile; name = tempfile.mkdtemp()")
    assert kernel.run("name").result.startswith("'" + place[1]["TMPDIR"])
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize("content", [{}, {"cwd": None, "env": None}, {"env": {}}])
def test_nothing_given(make_kernel, content):
    kernel = make_kernel()
    before = facts(kernel)
    assert ask(kernel, content) == (INVISIBLE, {"status": "ok"})
    assert changes(before, facts(kernel)) == {}


BAD = [
    ({"cwd": "relative"}, "ValueError", "content.cwd must be an absolute path"),
    ({"cwd": ""}, "ValueError", "content.cwd must be an absolute path"),
    ({"cwd": "/a\0b"}, "ValueError", "content.cwd must be an absolute path"),
    ({"cwd": 7}, "ValueError", "content.cwd must be an absolute path"),
    ({"cwd": "/no/such"}, "FileNotFoundError", "[Errno 2] No such file or directory: '/no/such'"),
    ({"cwd": "/etc/passwd"}, "NotADirectoryError", "[Errno 20] Not a directory: '/etc/passwd'"),
    ({"cwd": "/" + "x" * 5000}, "OSError", "[Errno 36] File name too long"),
    ({"env": ["A"]}, "ValueError", "content.env must be an object"),
    ({"env": "A=1"}, "ValueError", "content.env must be an object"),
    ({"env": {"": "x"}}, "ValueError", "environment variable '': not a valid name or value"),
    ({"env": {"A=B": "x"}}, "ValueError", "environment variable 'A=B': not a valid name or value"),
    ({"env": {"A": "a\0"}}, "ValueError", "environment variable 'A': not a valid name or value"),
    ({"env": {"A": 1}}, "ValueError", "environment variable 'A': name and value must be strings"),
    ({"env": {"A": None}}, "ValueError", "environment variable 'A': name and value must be strings"),
]


@pytest.mark.parametrize(("content", "ename", "evalue"), BAD)
def test_an_error_changes_nothing(kernel, tmp_path, content, ename, evalue):
    before = facts(kernel)
    good = {"cwd": str(tmp_path), "env": {"KB_GOOD": "there", "TZ": "Asia/Kathmandu", "HOME": "/elsewhere"}}
    env = {**good["env"], **content["env"]} if isinstance(content.get("env"), dict) else content.get("env")
    seen, reply = ask(kernel, {**good, **content, "env": env or good["env"]})
    assert seen == INVISIBLE
    assert reply["status"] == "error" and reply["ename"] == ename and evalue in reply["evalue"]
    assert changes(before, facts(kernel)) == {}


def test_descriptors_and_threads_stay(kernel, tmp_path):
    def count():
        return kernel.process.num_fds(), kernel.process.num_threads()

    before, where = count(), kernel.cwd
    for path in (tmp_path, "/no/such", where):
        ask(kernel, {"cwd": str(path), "env": {}})
    until("as many as before", lambda: count() == before)
    assert os.readlink(f"/proc/{kernel.process.pid}/cwd") == str(where)
