"""What a client may call a language, which kernelspec it then gets, and what it is told where there is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import atrest
import pytest
from clients import Native
from fakes import fake_binary
from harness.gateway import ROOT, Gateway, prefix, until
from specs import write_spec

TABLE: dict[str, Any] = json.loads((ROOT / "configs" / "languages.json").read_text())
CALLED = [
    (name, row["kernelspec"], called) for name, row in TABLE.items() for called in (name, *row["aliases"])
]
# Kernelspecs, their language, and the version that metadata.kernelbridge (or only the title) tells.
VERSIONS = {
    "java": ("java", "17.0.15"),
    "java21": ("java", "21.0.2"),
    "java25": ("java", "25.0.3"),
    "go": ("go", "1.24.1"),
    "go126": ("go", "1.26.0"),
    "javascript": ("javascript", "22.17.0"),
    "python39": ("python", "3.9.1"),
    "python312": ("python", "3.12.0"),
}


def write_fake(path: Path, name: str, language: str, version: str, *, told: bool = True) -> None:
    """A kernelspec that says of itself what FAKE_SPEC in its environment says."""
    ours: dict[str, Any] = {"complete": True} | ({"version": version} if told else {})
    write_spec(
        path,
        name,
        [str(fake_binary()), "-f", "{connection_file}"],
        language=language,
        display_name=f"{language} {version}",
        env={"FAKE_SPEC": name},
        metadata={"kernelbridge": ours},
    )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix that has only Python."""
    path = tmp_path_factory.mktemp("prefix")
    (path / "share/jupyter/kernels").mkdir(parents=True)
    (path / "venv").symlink_to(prefix() / "venv")
    (path / "share/jupyter/kernels/python3").symlink_to(prefix() / "share/jupyter/kernels/python3")
    return path


@pytest.fixture(scope="module")
def chosen(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a fake kernel for each language but Python, and some of several versions."""
    path = tmp_path_factory.mktemp("jupyter")
    for name, row in TABLE.items():
        if name != "python":
            write_fake(path, row["kernelspec"], name, "1.0")
    for spec, (language, version) in VERSIONS.items():
        write_fake(path, spec, language, version, told=spec != "python39")
    running = Gateway(
        tmp_path_factory.mktemp("chosen") / "state",
        f"--prefix={bare}",
        atrest.QUIET,
        env={"JUPYTER_PATH": str(path)},
    ).wait_ready()
    yield running
    running.stop()


@pytest.fixture
def gateway(chosen: Gateway) -> Iterator[Gateway]:
    before = atrest.baseline(chosen)
    yield chosen
    atrest.check(chosen, before)


@pytest.fixture
def ws(gateway: Gateway) -> Iterator[Native]:
    with Native(gateway) as connection:
        yield connection


def refused(ws: Native, op: str = "create_context", **keys: Any) -> str:
    answer = ws.ask(op, **keys)
    assert not answer["ok"] and answer["error"]["code"] == "not_found", answer
    return str(answer["error"]["message"])


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "spec", "called"), CALLED, ids=[called for *_, called in CALLED])
def test_each_name_of_a_language(ws: Native, name: str, spec: str, called: str) -> None:
    """In any case of letters; all of them are one default context."""
    made = ws.ask("create_context", language=called.title())
    assert made["ok"] and made["language"] == name, made
    if name != "python":
        assert ws.run("env FAKE_SPEC", context=made["context"]).text() == spec + "\n"
        ws.run("touch /dev/null", language=name)
        contexts = {
            ws.ask("execute", language=word, code="")["context"] for word in (called, called.upper(), name)
        }
        assert len(contexts) == 1


def test_a_kernelspec_by_its_own_name(ws: Native) -> None:
    made = ws.ask("create_context", language="Java25")
    assert made["ok"] and made["language"].lower() == "java25"
    assert ws.run("env FAKE_SPEC", context=made["context"]).text() == "java25\n"


def test_no_such_language(ws: Native) -> None:
    message = refused(ws, language="cobol")
    assert "'cobol'" in message and "java25" in message  # what there is


# -- what is not installed -------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in TABLE if name not in ("python", "r")])
def test_not_installed(start_gateway: Callable[..., Gateway], bare: Path, name: str, tmp_path: Path) -> None:
    """The command that installs it is in the answer. (R's package of Debian brings a kernelspec of its own.)"""
    env = {"JUPYTER_PATH": "", "HOME": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path)}
    gateway = start_gateway(f"--prefix={bare}", env=env).wait_listening()
    command = f"scripts/install-kernels {TABLE[name]['install']}"
    with Native(gateway) as ws:
        for called in (name, TABLE[name]["aliases"][0]):
            assert command in refused(ws, language=called)
            assert command in refused(ws, "execute", language=called, code="")
    gateway.stop()


# -- versions --------------------------------------------------------------------------------

CHOICES = [
    ("java", {}, "java"),
    ("java", {"JAVA_VERSION": ""}, "java"),
    ("java", {"JAVA_VERSION": "17"}, "java"),
    ("java", {"JAVA_VERSION": "21"}, "java21"),
    ("java", {"JAVA_VERSION": "21.0.2"}, "java21"),
    ("jshell", {"JAVA_VERSION": "25"}, "java25"),
    ("java", {"GO_VERSION": "1.26"}, "java"),
    ("go", {"GO_VERSION": "go1.24"}, "go"),
    ("golang", {"GO_VERSION": "1.26"}, "go126"),
    ("node", {"NODE_VERSION": "v22"}, "javascript"),
    ("python", {"PYTHON_VERSION": "3.9"}, "python39"),
    ("py", {"PYTHON_VERSION": "3.12.0"}, "python312"),
    ("java25", {"JAVA_VERSION": "17"}, "java25"),  # a kernelspec's own name is no choice
]


@pytest.mark.parametrize(("language", "envs", "spec"), CHOICES)
def test_a_sandbox_chooses_a_version(ws: Native, language: str, envs: dict[str, str], spec: str) -> None:
    assert ws.ask("create_sandbox", name="box", envs=envs)["ok"]
    context = ws.context(language=language, sandbox="box")
    assert ws.run("env FAKE_SPEC", context=context).text() == spec + "\n"


@pytest.mark.parametrize(
    ("language", "variable", "value", "there"),
    [
        ("java", "JAVA_VERSION", "8", ["java (17.0.15)", "java21 (21.0.2)", "java25 (25.0.3)"]),
        ("java", "JAVA_VERSION", "2", ["java21 (21.0.2)"]),  # 2 is not 21
        ("go", "GO_VERSION", "1.2", ["go (1.24.1)", "go126 (1.26.0)"]),
        ("python", "PYTHON_VERSION", "3.1", ["python312 (3.12.0)", "python39 (3.9.1)", "python3 ("]),
        ("js", "NODE_VERSION", "latest", ["javascript (22.17.0)"]),
    ],
)
def test_a_version_that_is_not_there(
    ws: Native, language: str, variable: str, value: str, there: list[str]
) -> None:
    assert ws.ask("create_sandbox", name="box", envs={variable: value})["ok"]
    for op, keys in (("create_context", {}), ("execute", {"code": ""})):
        message = refused(ws, op, language=language, sandbox="box", **keys)
        assert f"{variable} = {value}" in message
        for spec in there:
            assert spec in message


# -- a table of one's own --------------------------------------------------------------------

BROKEN = {
    "no JSON": ('{"python": ', ["languages.json:1:"]),
    "no object": ("[]", ["is not an object"]),
    "an unknown key": ('{"python": {"alias": []}}', ["python.alias", "is no key"]),
    "a wrong type": ('{"python": {"aliases": "py"}}', ["python.aliases", "is not an array of strings"]),
    "a wrong word": ('{"python": {"interrupt": "sigint"}}', ["python.interrupt", "neither"]),
    "an alias twice": ('{"a": {"aliases": ["x"]}, "b": {"aliases": ["X"]}}', ["alias", "twice"]),
    "a key twice": ('{"python": {}, "python": {}}', ["python"]),
    "no file": (None, ["languages.json", "No such file"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_table_is_one_line(start_gateway: Callable[..., Gateway], name: str, tmp_path: Path) -> None:
    text, words = BROKEN[name]
    file = tmp_path / "languages.json"
    if text is not None:
        file.write_text(text)
    gateway = start_gateway(f"--languages_file={file}")
    assert gateway.process.wait(30) == 1
    lines = [line for line in gateway.stderr.splitlines() if "languages" in line]
    assert len(lines) == 1 and all(word in lines[0] for word in words), gateway.stderr


def test_a_table_that_names_things_otherwise(start_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """It replaces the built-in one: Python is called snake, and `py` means another kernel."""
    jupyter, file = tmp_path / "jupyter", tmp_path / "languages.json"
    write_fake(jupyter, "other", "other", "2.0")
    write_fake(jupyter, "other3", "other", "3.1")
    table = {
        "snake": {"aliases": ["python"], "kernelspec": "python3"},
        "other": {"aliases": ["py"], "version_env": "OTHER", "install": "the other one"},
        "gone": {"kernelspec": "no-such", "install": "gone-for-good"},
    }
    file.write_text(json.dumps(table))
    gateway = start_gateway(f"--languages_file={file}", env={"JUPYTER_PATH": str(jupyter)}).wait_ready()
    with Native(gateway) as ws:
        made = ws.ask("create_context", language="Snake")
        assert made["language"] == "snake"
        assert ws.run("print(6 * 7)", context=made["context"]).text() == "42\n"
        assert ws.run("env FAKE_SPEC", language="py").text() == "other\n"
        assert ws.ask("create_sandbox", name="box", envs={"OTHER": "3"})["ok"]
        assert ws.run("env FAKE_SPEC", language="py", sandbox="box").text() == "other3\n"
        assert "scripts/install-kernels gone-for-good" in refused(ws, language="gone")
        assert "'js'" in refused(ws, language="js")  # only the built-in table knew it
        said = ws.run("print never", language="py", envs={"A": "1"})
        assert said.how == "error" and "cannot be set for one run" in said.one("error")["value"]
    until("no client", lambda: gateway.gauge("websockets") == 0)
    gateway.stop()
