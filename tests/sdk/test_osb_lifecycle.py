"""The lifecycle through OpenSandbox's SDKs: opensandbox.md section (a)."""

from __future__ import annotations

import asyncio
import platform
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness.gateway import Gateway, until
from opensandbox import (
    InMemoryAsyncPoolStateStore,
    InMemoryPoolStateStore,
    PoolCreationSpec,
    SandboxPoolAsync,
    SandboxPoolSync,
)
from opensandbox.exceptions import (
    InvalidArgumentException,
    SandboxApiException,
    SandboxRateLimitException,
    SandboxReadyTimeoutException,
)
from opensandbox.models.execd import RunCommandOpts
from opensandbox.models.sandboxes import (
    CredentialProxyConfig,
    Host,
    LifecycleHook,
    NetworkPolicy,
    NetworkRule,
    PlatformSpec,
    SandboxFilter,
    SandboxImageAuth,
    SandboxImageSpec,
    SandboxLifecycle,
    Volume,
)
from osb_adapter import IMAGE, Box, Client, Manager, start

pytest_plugins = ["osb_fixtures"]

Make = Callable[..., Awaitable[Box]]
NOT_ENFORCED = "kernelbridge.not-enforced"
NOT_INSTALLED = "kernelbridge.not-installed"
DEFAULT_LIMITS = {"resourceLimits.cpu", "resourceLimits.memory"}  # the SDK sends them where none are given
SLACK = timedelta(seconds=2)


def left(at: datetime) -> timedelta:
    return at - datetime.now(UTC)


def not_enforced(info: Any) -> set[str]:
    return set(info.metadata[NOT_ENFORCED].split(", "))


@asynccontextmanager
async def managing(client: Client, **config: Any) -> AsyncIterator[Manager]:
    manager = await client.manager(**config)
    yield manager
    await manager.method("close")


async def refused(call: Awaitable[Any], status: int, code: str) -> SandboxApiException:
    """The call fails with that status and code."""
    with pytest.raises(SandboxApiException) as caught:
        await call
    assert (caught.value.status_code, caught.value.error.code) == (status, code), caught.value
    return caught.value


async def gone(call: Awaitable[Any]) -> None:
    await refused(call, 404, "SANDBOX_NOT_FOUND")


async def eventually(what: str, probe: Callable[[], object]) -> None:
    await asyncio.to_thread(until, what, probe, 30)


# ------------------------------------------------------------------ life


async def test_create_run_kill(make_osb: Make) -> None:
    made = await make_osb()
    assert await made.out("print('hello')") == "hello\n"
    assert await made.method("is_healthy") is True
    await made.method("kill")
    assert await made.method("is_healthy") is False
    await gone(made.method("get_info"))
    await gone(made.method("kill"))


async def test_info(make_osb: Make) -> None:
    made = await make_osb(
        timeout=timedelta(seconds=200),
        metadata={"project": "x", "naïve": "ü & = 🦆"},
        entrypoint=["/opt/opensandbox/code-interpreter.sh"],
        extensions={"storage.id": "7"},
    )
    info = await made.method("get_info")
    assert info.id == made.id
    assert info.status.state == "Running"
    assert info.image.image == IMAGE
    assert info.entrypoint == ["/opt/opensandbox/code-interpreter.sh"]
    assert info.extensions == {"storage.id": "7"}
    assert {k: v for k, v in info.metadata.items() if not k.startswith("kernelbridge.")} == {
        "project": "x",
        "naïve": "ü & = 🦆",
    }
    assert -SLACK < left(info.created_at) < SLACK
    assert info.expires_at - info.created_at == timedelta(seconds=200)
    assert info.snapshot_id is None
    assert info.platform is None


async def test_the_sdk_s_default_timeout(make_osb: Make) -> None:
    info = await (await make_osb(interpret=False)).method("get_info")
    assert info.expires_at - info.created_at == timedelta(minutes=10)


async def test_manual_cleanup(make_osb: Make) -> None:
    info = await (await make_osb(interpret=False, timeout=None)).method("get_info")
    assert info.expires_at is None


async def test_home_is_told_and_is_where_code_runs(make_osb: Make) -> None:
    made = await make_osb()
    home = await made.home()
    assert Path(home).is_dir()
    assert await made.out("import os; print(os.getcwd())") == f"{home}\n"


async def test_variables(make_osb: Make) -> None:
    env = {"A": 'it\'s "x" $HOME \\n', "B": "two\nlines", "C": "🦆", "D": ""}
    made = await make_osb(env=env)
    code = "import os; print(repr({k: os.environ[k] for k in 'ABCD'}))"
    assert await made.out(code) == f"{env!r}\n"
    context = await made.create_context()
    assert await made.out(code, context=context) == f"{env!r}\n"


async def test_an_image_with_credentials(make_osb: Make) -> None:
    auth = SandboxImageAuth(username="someone", password="hush")
    made = await make_osb(SandboxImageSpec("private.example/i:1", auth=auth), interpret=False)
    info = await made.method("get_info")
    assert info.image.image == "private.example/i:1"
    assert not_enforced(info) == {"image.auth"} | DEFAULT_LIMITS
    assert "hush" not in repr(info)


async def test_connect_from_another_client(osb_client: Client, make_osb: Make) -> None:
    made = await make_osb()
    await made.run("shared = 41")
    other = await osb_client.connect(made.id)
    assert other.id == made.id
    assert (await other.run("shared + 1")).result[0].text == "42"
    await other.close()


async def test_unknown_sandbox(osb_client: Client) -> None:
    unknown = str(uuid.uuid4())
    await gone(osb_client.connect(unknown))
    await gone(osb_client.resume(unknown))
    async with managing(osb_client) as manager:
        for call in (
            manager.method("get_sandbox_info", unknown),
            manager.method("kill_sandbox", unknown),
            manager.method("pause_sandbox", unknown),
            manager.method("resume_sandbox", unknown),
            manager.method("renew_sandbox", unknown, timedelta(hours=1)),
            manager.method("patch_sandbox_metadata", unknown, {"a": "b"}),
        ):
            await gone(call)


async def test_with_blocks_close_and_destroy_kills(osb_client: Client, make_osb: Make) -> None:
    made = await make_osb(interpret=False)
    if osb_client.flavour == "sync":
        again = await asyncio.to_thread(
            osb_client.sdk.connect, made.id, connection_config=osb_client.config()
        )
        with again as entered:
            assert entered.get_info().id == made.id
    else:
        again = await osb_client.sdk.connect(made.id, connection_config=osb_client.config())
        async with again as entered:
            assert (await entered.get_info()).id == made.id
    assert await made.method("is_healthy") is True  # leaving the block does not end the sandbox
    await made.method("destroy")
    async with managing(osb_client) as manager:
        await gone(manager.method("get_sandbox_info", made.id))


async def processes(box: Box) -> list[int]:
    """A kernel, a child of it, and a command in the background with a child of its own."""
    told = await box.out("import subprocess, os\nprint(os.getpid(), subprocess.Popen(['sleep', '1000']).pid)")
    command = await box.commands(
        "run", "sleep 1000 & echo $$ $! > pids; wait", opts=RunCommandOpts(background=True)
    )
    assert command.error is None
    pids = Path(await box.home()) / "pids"
    await eventually("the command to run", lambda: pids.exists() and pids.read_text().endswith("\n"))
    return [int(pid) for pid in (told + pids.read_text()).split()]


async def all_end(pids: list[int]) -> None:
    await eventually("its processes to end", lambda: not any(psutil.pid_exists(pid) for pid in pids))


async def test_kill_takes_all_that_runs_there(make_osb: Make) -> None:
    made = await make_osb()
    home = Path(await made.home())
    pids = await processes(made)
    running, _ = await start(made, "print('held')\nwhile True: pass", context=await made.create_context())
    await made.method("kill")
    await asyncio.wait([running])  # with an error, as the suite of runs has it
    assert running.exception() or running.result().error
    await all_end(pids)
    await eventually("its home to go", lambda: not home.exists())


async def test_many_at_once(osb_client: Client) -> None:
    """50 creates at the same time: each sandbox is its own, and all are ended at the same time."""
    made = await asyncio.gather(
        *(osb_client.create(interpret=False, metadata={"n": str(n)}) for n in range(50))
    )
    assert len({box.id for box in made}) == 50
    infos = await asyncio.gather(*(box.method("get_info") for box in made))
    assert [info.metadata["n"] for info in infos] == [str(n) for n in range(50)]
    assert len({info.metadata["kernelbridge.home"] for info in infos}) == 50
    await asyncio.gather(*(box.kill() for box in made))
    homes = [Path(info.metadata["kernelbridge.home"]) for info in infos]
    await eventually("their homes to go", lambda: not any(home.exists() for home in homes))


# ------------------------------------------------------------------ expiry


async def test_expiry_frees_everything(osb_client: Client, make_osb: Make) -> None:
    """Nothing but the end of its time ends this sandbox: kernels, what they started, the home."""
    made = await make_osb()
    home = Path(await made.home())
    pids = await processes(made)
    await made.method("renew", timedelta(seconds=1))
    await all_end(pids)
    await eventually("its folder to go", lambda: not home.parent.exists())
    await gone(made.method("get_info"))
    await gone(osb_client.connect(made.id))


async def test_renew_lengthens(make_osb: Make) -> None:
    """A sandbox that was to end after it is gone; this one is not."""
    made, other = [await make_osb(interpret=False) for _ in range(2)]
    home = Path(await other.home())
    await made.method("renew", timedelta(seconds=5))
    renewed = await made.method("renew", timedelta(hours=1))
    await other.method("renew", timedelta(seconds=5))
    assert timedelta(hours=1) - SLACK < left(renewed.expires_at) < timedelta(hours=1) + SLACK
    await eventually("the other's home to go", lambda: not home.exists())
    info = await made.method("get_info")
    assert info.expires_at == renewed.expires_at


async def test_renew_shortens(make_osb: Make) -> None:
    made = await make_osb(timeout=timedelta(hours=1), interpret=False)
    home = Path(await made.home())
    await made.method("renew", timedelta(seconds=1))
    await eventually("its home to go", lambda: not home.exists())
    await gone(made.method("get_info"))


async def test_renew_gives_an_end_to_one_that_had_none(make_osb: Make) -> None:
    made = await make_osb(timeout=None, interpret=False)
    await made.method("renew", timedelta(hours=1))
    assert left((await made.method("get_info")).expires_at) < timedelta(hours=1) + SLACK


async def test_renew_to_the_past_or_too_far(make_osb: Make) -> None:
    made = await make_osb(interpret=False)
    before = (await made.method("get_info")).expires_at
    await refused(made.method("renew", timedelta(seconds=-5)), 400, "INVALID_EXPIRATION")
    await refused(made.method("renew", timedelta(days=365 * 200)), 400, "INVALID_EXPIRATION")
    assert (await made.method("get_info")).expires_at == before


# ------------------------------------------------------------------ pause


async def test_pause_and_resume(osb_client: Client, make_osb: Make) -> None:
    made = await make_osb(timeout=timedelta(hours=1))
    await made.run("kept = 41")
    await made.method("pause")
    info = await made.method("get_info")
    assert (info.status.state, info.status.reason) == ("Paused", "PAUSED")
    assert info.expires_at is None
    assert await made.method("is_healthy") is False
    with pytest.raises(SandboxApiException) as caught:
        await made.run("1")
    assert caught.value.status_code == 409
    await refused(made.method("pause"), 409, "SANDBOX_PAUSED")
    await refused(made.method("renew", timedelta(hours=2)), 409, "SANDBOX_PAUSED")
    error = await refused(
        osb_client.connect(made.id), 409, "UNEXPECTED_RESPONSE"
    )  # a status unknown to it here
    assert "SANDBOX_PAUSED" in str(error)
    again = await osb_client.resume(made.id)
    info = await again.method("get_info")
    assert info.status.state == "Running"
    assert timedelta(minutes=58) < left(info.expires_at) < timedelta(hours=1)
    assert (await again.run("kept + 1")).result[0].text == "42"
    await refused(osb_client.resume(made.id), 409, "SANDBOX_NOT_PAUSED")
    await again.close()


async def test_a_paused_sandbox_does_not_expire(osb_client: Client, make_osb: Make) -> None:
    """One that was to end after it is gone; this one ends when it runs again."""
    made, other = [await make_osb(interpret=False) for _ in range(2)]
    homes = [Path(await box.home()) for box in (made, other)]
    await made.method("renew", timedelta(seconds=5))
    await made.method("pause")
    await other.method("renew", timedelta(seconds=5))
    await eventually("the other's home to go", lambda: not homes[1].exists())
    assert (await made.method("get_info")).status.state == "Paused"
    again = await osb_client.resume(made.id, interpret=False)
    assert left((await again.method("get_info")).expires_at) < timedelta(seconds=5)
    await eventually("its home to go", lambda: not homes[0].exists())
    await again.close()


async def test_kill_while_paused(make_osb: Make) -> None:
    made = await make_osb()
    await made.run("pass")
    await made.method("pause")
    await made.method("kill")
    await gone(made.method("get_info"))


# ------------------------------------------------------------------ what is not enforced, not installed


async def test_limits_are_named(make_osb: Make) -> None:
    info = await (await make_osb(interpret=False)).method("get_info")
    assert info.metadata[NOT_ENFORCED] == "resourceLimits.cpu, resourceLimits.memory"


async def test_policies_are_named(osb_gateway: Gateway, make_osb: Make) -> None:
    made = await make_osb(
        interpret=False,
        network_policy=NetworkPolicy(
            defaultAction="deny", egress=[NetworkRule(action="allow", target="example.com")]
        ),
        volumes=[Volume(name="v", host=Host(path="/tmp"), mount_path="/data")],
        credential_proxy=CredentialProxyConfig(enabled=True),
        secure_access=True,
        platform=PlatformSpec(os="windows", arch="amd64"),
        resource={"gpu": "1"},
        resource_requests={"cpu": "1"},
        lifecycle=SandboxLifecycle(preStart=LifecycleHook(command=["true"])),
        extensions={"access.renew.extend.seconds": "300"},
        entrypoint=["python", "main.py"],
    )
    info = await made.method("get_info")
    assert not_enforced(info) == {
        "credentialProxy",
        "entrypoint",
        "extensions.access.renew.extend.seconds",
        "lifecycle",
        "networkPolicy",
        "platform",
        "resourceLimits.gpu",
        "resourceRequests.cpu",
        "secureAccess",
        "volumes",
    }
    [line] = [line for line in osb_gateway.stderr.splitlines() if made.id in line and "not enforced" in line]
    assert " warn " in line
    assert line.endswith(info.metadata[NOT_ENFORCED])


async def test_a_platform_that_this_machine_is(make_osb: Make) -> None:
    arch = "arm64" if platform.machine() == "aarch64" else "amd64"
    made = await make_osb(interpret=False, platform=PlatformSpec(os="linux", arch=arch))
    info = await made.method("get_info")
    assert (info.platform.os, info.platform.arch) == ("linux", arch)
    assert not_enforced(info) == DEFAULT_LIMITS


async def test_a_version_that_is_not_installed(make_osb: Make) -> None:
    """The sandbox is made and says so; its code runs in the version that there is."""
    made = await make_osb(env={"PYTHON_VERSION": "2.7", "NODE_VERSION": "1"})
    info = await made.method("get_info")
    assert re.fullmatch(
        r"PYTHON_VERSION=2\.7 \(installed: .*3\..*\), NODE_VERSION=1 \(installed: .+\)", info.metadata[NOT_INSTALLED]
    )
    assert await made.out("import os; print(os.environ['PYTHON_VERSION'], 1 / 2)") == "2.7 0.5\n"


async def test_a_version_that_is_installed(make_osb: Make) -> None:
    made = await make_osb(env={"PYTHON_VERSION": "3.11"})
    assert NOT_INSTALLED not in (await made.method("get_info")).metadata
    assert await made.out("import sys; print(sys.version_info[:2])") == "(3, 11)\n"


async def test_snapshots_and_templates_are_refused(osb_client: Client, osb: Box) -> None:
    await refused(osb_client.create(None, snapshot_id="snap_1"), 400, "NOT_SUPPORTED")
    call = osb_client.call(
        osb_client.sdk.create_from_template,
        "template-1",
        timeout=timedelta(minutes=5),
        connection_config=osb_client.config(),
    )
    await refused(call, 400, "NOT_SUPPORTED")
    await refused(osb.method("create_snapshot"), 404, "NOT_FOUND")
    with pytest.raises(SandboxApiException):
        await osb.method("get_egress_policy")


# ------------------------------------------------------------------ metadata


async def test_patch_metadata(make_osb: Make) -> None:
    made = await make_osb(interpret=False, metadata={"a": "1", "b": "2"})
    info = await made.method("patch_metadata", {"a": None, "b": "3", "c": "4", "no-such": None})
    assert {k: v for k, v in info.metadata.items() if len(k) == 1} == {"b": "3", "c": "4"}
    assert info == await made.method("get_info")
    assert (await made.method("patch_metadata", {})).metadata == info.metadata


async def test_reserved_metadata(osb_client: Client, make_osb: Make) -> None:
    made = await make_osb(interpret=False)
    before = await made.method("get_info")
    for key in ("kernelbridge.home", "kernelbridge.anything", "opensandbox.io/id"):
        await refused(osb_client.create(metadata={key: "x"}), 400, "INVALID_REQUEST_BODY")
        await refused(made.method("patch_metadata", {key: "x"}), 400, "INVALID_REQUEST_BODY")
        await refused(made.method("patch_metadata", {key: None}), 400, "INVALID_REQUEST_BODY")
    assert await made.method("get_info") == before


# ------------------------------------------------------------------ manager


async def test_list_by_metadata(osb_client: Client, make_osb: Make) -> None:
    mark = uuid.uuid4().hex
    odd = "a b&c=d/ü%41+"
    mine = await make_osb(interpret=False, metadata={"mark": mark, "n": "1", "t": odd})
    await make_osb(interpret=False, metadata={"mark": mark, "n": "2"})
    async with managing(osb_client) as manager:

        async def found(**metadata: str) -> list[str]:
            paged = await manager.method("list_sandbox_infos", SandboxFilter(metadata=metadata))
            return [info.id for info in paged.sandbox_infos]

        assert len(await found(mark=mark)) == 2
        assert await found(mark=mark, n="1") == [mine.id]
        assert await found(mark=mark, t=odd) == [mine.id]
        assert await found(mark=mark, n="3") == []
        assert await found(mark=mark, **{"kernelbridge.home": await mine.home()}) == [mine.id]


async def test_list_by_page(osb_client: Client, make_osb: Make) -> None:
    mark = uuid.uuid4().hex
    made = [(await make_osb(interpret=False, metadata={"mark": mark})).id for _ in range(5)]
    seen: list[str] = []
    async with managing(osb_client) as manager:
        for page in (1, 2, 3, 4):
            paged = await manager.method(
                "list_sandbox_infos", SandboxFilter(metadata={"mark": mark}, page=page, page_size=2)
            )
            assert paged.pagination.page == page
            assert paged.pagination.page_size == 2
            assert paged.pagination.total_items == 5
            assert paged.pagination.total_pages == 3
            assert paged.pagination.has_next_page is (page < 3)
            seen += [info.id for info in paged.sandbox_infos]
    assert seen == made[::-1]  # newest first, each once


async def test_list_by_state(osb_client: Client, make_osb: Make) -> None:
    mark = uuid.uuid4().hex
    running, paused = [await make_osb(interpret=False, metadata={"mark": mark}) for _ in range(2)]
    await paused.method("pause")
    async with managing(osb_client) as manager:

        async def found(*states: str) -> set[str]:
            paged = await manager.method(
                "list_sandbox_infos", SandboxFilter(metadata={"mark": mark}, states=list(states))
            )
            return {info.id for info in paged.sandbox_infos}

        assert await found("Running") == {running.id}
        assert await found("Paused") == {paused.id}
        assert await found("Running", "Paused") == {running.id, paused.id}
        assert await found("Failed", "Terminated") == set()
        assert await found() == {running.id, paused.id}


async def test_list_shows_what_info_shows(osb_client: Client, make_osb: Make) -> None:
    mark = uuid.uuid4().hex
    made = await make_osb(interpret=False, metadata={"mark": mark})
    async with managing(osb_client) as manager:
        paged = await manager.method("list_sandbox_infos", SandboxFilter(metadata={"mark": mark}))
        assert paged.sandbox_infos == [await manager.method("get_sandbox_info", made.id)]


async def test_the_default_sandbox_is_listed_and_stays(osb_client: Client) -> None:
    async with managing(osb_client) as manager:
        paged = await manager.method("list_sandbox_infos", SandboxFilter(page_size=200))
        assert paged.sandbox_infos[-1].id == "default"
        for call in (
            manager.method("kill_sandbox", "default"),
            manager.method("pause_sandbox", "default"),
            manager.method("renew_sandbox", "default", timedelta(hours=1)),
        ):
            await refused(call, 409, "DEFAULT_SANDBOX")
    connected = await osb_client.connect("default")
    assert await connected.out("print('here')") == "here\n"
    await connected.close()


async def test_manager_controls_any_sandbox(osb_client: Client, make_osb: Make) -> None:
    made = await make_osb(interpret=False, timeout=timedelta(minutes=5))
    async with managing(osb_client) as manager:
        renewed = await manager.method("renew_sandbox", made.id, timedelta(hours=3))
        assert left(renewed.expires_at) > timedelta(hours=2)
        await manager.method("pause_sandbox", made.id)
        assert (await manager.method("get_sandbox_info", made.id)).status.state == "Paused"
        await manager.method("resume_sandbox", made.id)
        assert (await manager.method("get_sandbox_info", made.id)).status.state == "Running"
        patched = await manager.method("patch_sandbox_metadata", made.id, {"by": "manager"})
        assert patched.metadata["by"] == "manager"
        await manager.method("kill_sandbox", made.id)
        await gone(manager.method("get_sandbox_info", made.id))


# ------------------------------------------------------------------ endpoints


async def test_endpoints(osb_gateway: Gateway, osb: Box) -> None:
    host = osb_gateway.url.removeprefix("http://")
    execd = await osb.method("get_endpoint", 44772)
    assert execd.endpoint == f"{host}/sandboxes/{osb.id}/proxy/44772"
    assert list(execd.headers) == ["X-EXECD-ACCESS-TOKEN"]
    assert execd.origin is None
    other = await osb.method("get_endpoint", 8080)
    assert other.endpoint == f"{host.partition(':')[0]}:8080"
    await refused(osb.method("get_endpoint", 65536), 400, "INVALID_PORT")
    await refused(osb.method("get_endpoint", 0), 400, "INVALID_PORT")
    await refused(osb.method("get_signed_endpoint", 8080, 2_000_000_000), 400, "NOT_SUPPORTED")


async def test_through_the_server_s_proxy(osb_client: Client, make_osb: Make) -> None:
    made = await make_osb(config=osb_client.config(use_server_proxy=True))
    assert await made.out("print('proxied')") == "proxied\n"


async def test_the_name_that_the_client_used(
    osb_client: Client, osb_gateway: Gateway, make_osb: Make
) -> None:
    """Who came by another name of this machine is sent on by that name."""
    port = osb_gateway.url.rpartition(":")[2]
    made = await make_osb(config=osb_client.config(domain=f"http://localhost:{port}", protocol="http"))
    endpoint = await made.method("get_endpoint", 44772)
    assert endpoint.endpoint.startswith(f"localhost:{port}/")
    assert await made.out("print('named')") == "named\n"


# ------------------------------------------------------------------ errors


async def test_wrong_key(osb_client: Client, osb_gateway: Gateway, osb: Box) -> None:
    stranger = Client(osb_client.flavour, osb_gateway, api_key="wrong")
    for call in (stranger.create(), stranger.connect(osb.id), stranger.resume(osb.id)):
        await refused(call, 401, "INVALID_API_KEY")
    async with managing(stranger) as manager:
        await refused(manager.method("kill_sandbox", osb.id), 401, "INVALID_API_KEY")
        await refused(manager.method("list_sandbox_infos", SandboxFilter()), 401, "INVALID_API_KEY")
    assert await osb.method("is_healthy") is True


async def test_request_id(osb_client: Client) -> None:
    """What the client called its request comes back in the exception."""
    mark = f"req-{uuid.uuid4().hex}"
    async with managing(osb_client, headers={"X-Request-ID": mark}) as manager:
        error = await refused(manager.method("get_sandbox_info", "no-such"), 404, "SANDBOX_NOT_FOUND")
        assert error.request_id == mark
        error = await refused(
            manager.method("patch_sandbox_metadata", "default", {"kernelbridge.x": "1"}),
            400,
            "INVALID_REQUEST_BODY",
        )
        assert error.request_id == mark


async def test_the_sdk_s_own_checks(osb_client: Client) -> None:
    with pytest.raises(InvalidArgumentException):
        await osb_client.connect("")
    with pytest.raises(Exception, match="[Ii]mage|startup source"):
        await osb_client.create("")


async def test_bad_timeouts(osb_client: Client) -> None:
    for timeout in (timedelta(0), timedelta(milliseconds=500), timedelta(days=365 * 200)):
        await refused(osb_client.create(timeout=timeout), 400, "INVALID_REQUEST_BODY")
    with pytest.raises(Exception, match="timeout"):
        await osb_client.create(timeout=timedelta(seconds=-1))


async def test_a_health_check_of_one_s_own(osb_client: Client, osb_gateway: Gateway) -> None:
    """One that never passes: the SDK ends the sandbox that it made."""
    seen: list[str] = []

    def check(sandbox: Any) -> bool:
        seen.append(sandbox.id)
        return False

    async def async_check(sandbox: Any) -> bool:
        return check(sandbox)

    with pytest.raises(SandboxReadyTimeoutException):
        await osb_client.create(
            ready_timeout=timedelta(seconds=1),
            health_check=check if osb_client.flavour == "sync" else async_check,
        )
    async with managing(osb_client) as manager:
        await gone(manager.method("get_sandbox_info", seen[0]))


# ------------------------------------------------------------------ a gateway with limits


def serving_with(folder: Path, *settings: str) -> Iterator[Gateway]:
    running = Gateway(folder / "state", *settings)
    running.wait_ready()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def strict_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    yield from serving_with(tmp_path_factory.mktemp("strict"), "--strict_policies=true")


@pytest.fixture(scope="module")
def small_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    yield from serving_with(tmp_path_factory.mktemp("small"), "--max_sandboxes=1")


async def test_strict_policies(strict_gateway: Gateway, osb_client: Client) -> None:
    """All that cannot be enforced is named, and the setting that refuses it; no sandbox is made."""
    client = Client(osb_client.flavour, strict_gateway)
    policy = NetworkPolicy(defaultAction="deny")
    error = await refused(client.create(network_policy=policy), 400, "POLICY_NOT_ENFORCED")
    for word in ("networkPolicy", "resourceLimits.cpu", "resourceLimits.memory", "strict_policies"):
        assert word in str(error)
    assert strict_gateway.gauge("sandboxes") == 1


async def test_too_many_sandboxes(small_gateway: Gateway, osb_client: Client) -> None:
    client = Client(osb_client.flavour, small_gateway)  # its default sandbox is the one that may be
    with pytest.raises(SandboxRateLimitException, match="max_sandboxes") as caught:
        await client.create()
    assert caught.value.error.code == "TOO_MANY_SANDBOXES"


# ------------------------------------------------------------------ pools


async def test_pool(osb_client: Client, osb_gateway: Gateway) -> None:
    """The SDK's client-side pool: warm sandboxes, one acquired, all given back."""
    before = osb_gateway.gauge("sandboxes")
    sync = osb_client.flavour == "sync"
    made: Any = SandboxPoolSync if sync else SandboxPoolAsync
    pool = made(
        pool_name="p",
        max_idle=2,
        state_store=InMemoryPoolStateStore() if sync else InMemoryAsyncPoolStateStore(),
        connection_config=osb_client.config(),
        creation_spec=PoolCreationSpec(image=IMAGE, metadata={"pool": "p"}),
    )
    call = osb_client.call
    await call(pool.start)
    try:
        await eventually("two idle sandboxes", lambda: osb_gateway.gauge("sandboxes") >= before + 2)
        sandbox = await call(pool.acquire, sandbox_timeout=timedelta(minutes=5))
        box = Box(osb_client, sandbox, await call(osb_client.interpreter.create, sandbox))
        assert await box.out("print('pooled')") == "pooled\n"
        assert left((await box.method("get_info")).expires_at) < timedelta(minutes=5)
        await box.kill()
    finally:
        await call(pool.shutdown)
        await call(pool.release_all_idle)
    async with managing(osb_client) as manager:
        paged = await manager.method("list_sandbox_infos", SandboxFilter(metadata={"pool": "p"}))
        for info in paged.sandbox_infos:
            await manager.method("kill_sandbox", info.id)
