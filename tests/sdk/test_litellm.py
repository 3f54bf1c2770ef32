"""LiteLLM's code interpreter, which talks to OpenSandbox and to E2B over plain HTTP without an SDK, unmodified.

It brings much of its own, so it is installed from PyPI into an environment of its own, by the first run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from e2b_tongues import TONGUES, Tongue
from harness.gateway import ROOT, Gateway
from tlsfront import TlsFront, certificate

HERE = Path(__file__).resolve().parent
PINS = HERE / "litellm-requirements.txt"
DOMAIN = "sandbox.test"


@pytest.fixture(scope="session")
def environment() -> Path:
    """A virtual environment with LiteLLM, made anew when the pins change."""
    folder = ROOT / "build" / "litellm-venv"
    done = folder / "complete"
    if not done.exists() or done.read_text() != PINS.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "-r", PINS]
        subprocess.run(pip, check=True)
        done.write_text(PINS.read_text())
    return folder


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsFront]:
    """A TLS proxy for the names below DOMAIN, as E2B's adapter insists on https."""
    with TlsFront(*certificate(tmp_path_factory.mktemp("tls"), DOMAIN)) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, front: TlsFront) -> Iterator[Gateway]:
    running = Gateway(
        tmp_path_factory.mktemp("litellm") / "state",
        "--keep_executions=0",
        f"--e2b_domain={DOMAIN}:{front.port}",
    ).wait_ready()
    front.target = int(running.url.rpartition(":")[2])
    yield running
    running.stop()


@dataclass
class Client:
    """A process that runs litellm_client.py."""

    process: subprocess.Popen[str]

    def all(self, *calls: tuple[str, dict[str, Any], str]) -> list[dict[str, Any]]:
        """Make these calls at once; what each answered."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(calls) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def call(self, name: str, keep: str = "", **kwargs: Any) -> Any:
        """What it returns; AssertionError with what it raised."""
        [answer] = self.all((name, kwargs, keep))
        assert "value" in answer, answer
        return answer["value"]

    def refused(self, name: str, **kwargs: Any) -> dict[str, Any]:
        """{"error", "status", "text"} of the exception that it raises."""
        [answer] = self.all((name, kwargs, ""))
        assert "error" in answer, answer
        return answer


@pytest.fixture(scope="module")
def client(environment: Path, gateway: Gateway, front: TlsFront) -> Iterator[Client]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPEN_SANDBOX", "E2B_", "LITELLM_"))}
    env |= {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # nothing is fetched
        "OPEN_SANDBOX_API_BASE": f"{gateway.url}/v1",
        "OPEN_SANDBOX_API_KEY": gateway.token,
        "SSL_CERT_FILE": str(front.certificate),
        "KB_DOMAIN": DOMAIN,
    }
    command = [environment / "bin" / "python", HERE / "litellm_client.py"]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Client(process)
        process.stdin.close()  # type: ignore[union-attr]
        assert process.wait(30) == 0


@pytest.fixture(autouse=True)
def at_rest(gateway: Gateway) -> Iterator[None]:
    """After each test there is nothing that was not there before."""
    sandboxes, contexts = gateway.gauge("sandboxes"), gateway.gauge("contexts")
    yield
    gateway.wait_at_rest(contexts)
    gateway.wait_gauge("sandboxes", sandboxes)


@dataclass
class Provider:
    """One of LiteLLM's adapters, told where this gateway is."""

    client: Client
    named: dict[str, str]

    def tool(self, code: str, **kwargs: Any) -> Any:
        return self.client.call("acode_interpreter_tool", code=code, **self.named, **kwargs)

    def create(self, keep: str, **kwargs: Any) -> Any:
        return self.client.call("acreate_sandbox", keep, **self.named, **kwargs)

    def run(self, container: str, code: str, **kwargs: Any) -> Any:
        return self.client.call("arun_code", container=container, code=code, **self.named, **kwargs)

    def delete(self, container: str) -> bool:
        return self.client.call("adelete_sandbox", container=container, **self.named)


@pytest.fixture(scope="module")
def opensandbox(client: Client, gateway: Gateway) -> Provider:
    return Provider(
        client, {"provider": "opensandbox", "api_base": f"{gateway.url}/v1", "api_key": gateway.token}
    )


@pytest.fixture(scope="module")
def e2b(client: Client, gateway: Gateway) -> Provider:
    return Provider(client, {"provider": "e2b", "api_base": gateway.url, "api_key": gateway.token})


@pytest.fixture(params=["opensandbox", "e2b"])
def provider(request: pytest.FixtureRequest) -> Provider:
    return request.getfixturevalue(request.param)


# ------------------------------------------------------------------ both


def test_the_tool(provider: Provider) -> None:
    done = provider.tool("print('hello')")
    assert (done["stdout"], done["stderr"], done["results"], done["error"]) == ("hello\n", "", [], None)


def test_both_streams_and_a_value(provider: Provider) -> None:
    done = provider.tool("import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7")
    assert (done["stdout"], done["stderr"], done["error"]) == ("out\n", "err\n", None)
    assert [result["text"] for result in done["results"]] == ["42"]
    assert done["execution_count"] == 1


def test_an_error(provider: Provider) -> None:
    done = provider.tool("print('before')\n1/0")
    assert done["stdout"] == "before\n"
    assert (done["error"]["name"], done["error"]["value"]) == ("ZeroDivisionError", "division by zero")
    assert "line 2" in "\n".join(done["error"]["traceback"]) or "line 2" in done["error"]["traceback"]


def test_state_until_it_is_deleted(provider: Provider) -> None:
    made = provider.create("kept", timeout=600, metadata={"by": "litellm"})
    assert made["provider"] == provider.named["provider"]
    provider.run("kept", "x = 41")
    assert provider.run("kept", "x + 1")["results"][0]["text"] == "42"
    assert provider.delete("kept") is True
    assert provider.delete("kept") is False
    refused = provider.client.refused("arun_code", container="kept", code="1", **provider.named)
    assert refused["status"] in (404, 502)


def test_two_at_once_are_apart(provider: Provider) -> None:
    for name in ("a", "b"):
        provider.create(name)
        provider.run(name, f"mine = {name!r}")
    assert [provider.run(name, "print(mine)")["stdout"] for name in ("a", "b")] == ["a\n", "b\n"]
    assert provider.delete("a")
    assert provider.delete("b")


def test_twelve_tools_at_once(provider: Provider) -> None:
    calls = [
        ("acode_interpreter_tool", provider.named | {"code": f"print({i} * {i})"}, "") for i in range(12)
    ]
    answers = provider.client.all(*calls)
    assert [answer.get("value", answer).get("stdout") for answer in answers] == [
        f"{i * i}\n" for i in range(12)
    ]


@pytest.mark.parametrize(
    "text",
    ["äöü 日本 🦆", "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg", '\\n"{"type":"error"}', "\x00\x01\x1b[31m"],
    ids=["scripts", "line ends", "like JSON", "controls"],
)
def test_text_is_whole(provider: Provider, text: str) -> None:
    assert provider.tool(f"print({text!a})")["stdout"] == text + "\n"


def test_five_megabytes(provider: Provider) -> None:
    done = provider.tool("for i in range(500_000): print(f'{i:09d}')")
    assert done["error"] is None
    assert done["stdout"] == "".join(f"{i:09d}\n" for i in range(500_000))


def test_more_than_it_reads(provider: Provider) -> None:
    """It gives up after 10 MiB; the sandbox goes, and the gateway is at rest."""
    refused = provider.client.refused(
        "acode_interpreter_tool", code="while True: print('x' * 1000)", **provider.named
    )
    assert refused["error"] == "ValueError"
    assert "exceeded" in refused["text"]


def test_wrong_key(provider: Provider) -> None:
    wrong = provider.named | {"api_key": "wrong"}
    refused = provider.client.refused("acode_interpreter_tool", code="1", **wrong)
    assert refused["status"] == 401, refused


# ------------------------------------------------------------------ OpenSandbox


def test_address_and_key_from_the_environment(client: Client) -> None:
    done = client.call("acode_interpreter_tool", provider="opensandbox", code="print('found')")
    assert done["stdout"] == "found\n"


def test_results_of_many_forms(opensandbox: Provider) -> None:
    code = (
        "from IPython.display import display\n"
        "display({'text/plain': 'p', 'text/html': '<b>h</b>', 'image/png': 'iVBORw0KGgo='}, raw=True)\n'last'"
    )
    first, last = opensandbox.tool(code)["results"]
    assert first == {"text": "p", "text/html": "<b>h</b>", "image/png": "iVBORw0KGgo="}
    assert last["text"] == "'last'"


def test_by_id_alone(opensandbox: Provider) -> None:
    made = opensandbox.create("", env_vars={"KBT": "of the sandbox"})
    done = opensandbox.run(made["id"], "import os; print(os.environ['KBT'])")
    assert done["stdout"] == "of the sandbox\n"
    assert opensandbox.delete(made["id"]) is True


@pytest.mark.parametrize("tongue", TONGUES.values(), ids=lambda tongue: tongue.name)
def test_languages(opensandbox: Provider, tongue: Tongue) -> None:
    done = opensandbox.tool(tongue.printing("ready"), language=tongue.name)
    assert done["error"] is None, done
    assert done["stdout"].strip() == "ready"


def test_an_unknown_language(opensandbox: Provider) -> None:
    refused = opensandbox.client.refused(
        "acode_interpreter_tool", code="DISPLAY 'x'", language="cobol", **opensandbox.named
    )
    assert refused["status"] == 500, refused


@pytest.mark.parametrize("option", ["use_server_proxy", "secure_access", "allow_internet_access"])
def test_options(opensandbox: Provider, option: str) -> None:
    assert opensandbox.tool("print(1)", **{option: True})["stdout"] == "1\n"


def test_what_is_not_enforced_is_named(opensandbox: Provider, gateway: Gateway) -> None:
    """It asks for a sandbox without network unless it is told otherwise."""
    named = {}
    for allowed in (False, True):
        made = opensandbox.create("one", allow_internet_access=allowed)
        headers = {"OPEN-SANDBOX-API-KEY": gateway.token}
        status, info = gateway.json("GET", f"/v1/sandboxes/{made['id']}", headers=headers, auth=False)
        assert status == 200, info
        named[allowed] = info["metadata"]["kernelbridge.not-enforced"].split(",")  # type: ignore[index]
        opensandbox.delete("one")
    assert "networkPolicy" in named[False]
    assert "networkPolicy" not in named[True]


def test_strict_policies(opensandbox: Provider, make_gateway: Callable[..., Gateway]) -> None:
    strict = make_gateway("--strict_policies=true")
    there = opensandbox.named | {"api_base": f"{strict.url}/v1", "api_key": strict.token}
    refused = opensandbox.client.refused("acode_interpreter_tool", code="1", **there)
    assert refused["status"] == 400, refused
    strict.wait_gauge("sandboxes", 1)  # the default one


# ------------------------------------------------------------------ E2B


def test_e2b_variables_of_a_run(e2b: Provider) -> None:
    done = e2b.tool("import os; print(os.environ['KBT'])", env_vars={"KBT": "of the run"})
    assert done["stdout"] == "of the run\n"


def test_e2b_results(e2b: Provider) -> None:
    code = (
        "from IPython.display import display\ndisplay({'text/plain': 'p', 'text/html': '<b>h</b>'}, raw=True)"
    )
    [result] = e2b.tool(code)["results"]
    assert (result["text"], result["html"]) == ("p", "<b>h</b>")


def test_e2b_domain_is_told(e2b: Provider, front: TlsFront) -> None:
    made = e2b.create("told")
    assert made["domain"] == f"{DOMAIN}:{front.port}"
    front.hosts.clear()
    e2b.run("told", "1")
    assert front.hosts == {f"49999-{made['id']}.{DOMAIN}:{front.port}"}
    assert e2b.delete("told")


def test_e2b_other_names_are_refused(gateway: Gateway) -> None:
    """A page that makes a name of its own resolve to loopback gets nothing."""
    for host in (f"49999-x.{DOMAIN}.evil.test", "evil.test", DOMAIN):
        assert gateway.http("GET", "/health", headers={"Host": host})[0] == 403, host
    assert gateway.http("GET", "/health", headers={"Host": f"49999-x.{DOMAIN}"})[0] != 403
