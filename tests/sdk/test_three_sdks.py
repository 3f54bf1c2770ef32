"""The SDKs of Daytona, E2B and OpenSandbox against one gateway: at once under load, and in each other's sandboxes.

The load lasts $KERNELBRIDGE_SOAK_S seconds (10); tests/soak runs it for two minutes on the release build.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import adapter
import daytona
import e2b
import e2b_adapter
import osb_adapter
import psutil
import pytest
from harness.gateway import Gateway
from opensandbox.models.sandboxes import SandboxFilter

sys.path.append(str(Path(__file__).resolve().parents[1] / "it"))
import atrest  # noqa: E402

CROWD = Path(__file__).with_name("crowd.py")
CLIENTS = 20  # of each SDK
SOAK_S = float(os.environ.get("KERNELBRIDGE_SOAK_S", "10"))
WARM_S = min(SOAK_S, max(20.0, SOAK_S / 2))
ROUNDS = 5
GROWTH_MAX = 4 << 20  # bytes in one round: a leak grows in every one, what fragments now and then
SMALL_QUARANTINE = "detect_leaks=1:exitcode=99:quarantine_size_mb=1:thread_local_quarantine_size_kb=64"


# ------------------------------------------------------------------ at once


def resident(gateway: Gateway) -> int:
    """Bytes of the gateway process that are in memory."""
    return psutil.Process(gateway.process.pid).memory_info().rss


def run_crowd(gateway: Gateway, seconds: float) -> dict[str, int]:
    """Let all clients in, run them that long, see that all leave; the number of runs of each SDK.

    They are another process, whose connections end with it.
    """
    command = [sys.executable, CROWD, gateway.url, gateway.token, str(CLIENTS), str(seconds)]
    with subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            entered = process.stdout.readline()
            held = gateway.gauge("sandboxes"), gateway.gauge("contexts")
            out, err = process.communicate("\n", timeout=seconds + 240)
        finally:
            process.kill()
    assert process.returncode == 0, err[-8000:]
    assert entered == "in\n"
    assert held == (3 * CLIENTS + 1, 3 * CLIENTS + 1)
    return json.loads(out)["runs"]


@pytest.mark.timeout((ROUNDS + 2) * SOAK_S + 600)
def test_sixty_clients_at_once(make_gateway: Callable[..., Gateway], capsys: pytest.CaptureFixture) -> None:
    """No answer is another's, nothing fails, nothing stays, nothing grows: what is resident after the load is compared
    with what was after the one before, of as many clients, both with the gateway at rest again.
    """
    gateway = make_gateway(atrest.QUIET, env={"ASAN_OPTIONS": SMALL_QUARANTINE})
    before = atrest.baseline(gateway)
    run_crowd(gateway, WARM_S)
    atrest.check(gateway, before)
    grown = [resident(gateway)]
    while len(grown) == 1 or (grown[-1] > GROWTH_MAX and len(grown) <= ROUNDS):
        runs = run_crowd(gateway, SOAK_S)
        atrest.check(gateway, before)
        assert min(runs.values()) >= CLIENTS
        grown.append(resident(gateway) - sum(grown))
    with capsys.disabled():
        print(f"\n{SOAK_S:.0f} s: runs {runs}; resident, then growth, in KiB: {[size >> 10 for size in grown]}")
    assert grown[-1] <= GROWTH_MAX


# ------------------------------------------------------------------ in each other's sandboxes

SDKS = ("daytona", "e2b", "opensandbox")


class Doors:
    """The three SDKs of one flavour, on one gateway; each is given no more than a sandbox's id."""

    def __init__(self, gateway: Gateway, client: adapter.Client) -> None:
        self.daytona = client
        self.e2b = e2b_adapter.Client(client.flavour, **e2b_adapter.options(gateway))
        self.osb = osb_adapter.Client(client.flavour, gateway)

    async def create(self, by: str, mark: str) -> str:
        """A sandbox with `mark` in its metadata and environment; its id."""
        metadata, env = {"mark": mark}, {"MARK": mark}
        if by == "daytona":
            params = daytona.CreateSandboxFromSnapshotParams(labels=metadata, env_vars=env)
            return (await self.daytona.create(params)).sandbox.id
        if by == "e2b":
            return (await self.e2b.create(metadata=metadata, envs=env, timeout=3600)).id
        box = await self.osb.create(interpret=False, metadata=metadata, env=env)
        await box.close()
        return box.id

    async def end(self, by: str, sandbox: str) -> None:
        if by == "daytona":
            box = await self.daytona.get(sandbox)
            await self.daytona.call(self.daytona.sdk.delete, box.sandbox)
        elif by == "e2b":
            assert await self.e2b.kill(sandbox)
        else:
            manager = await self.osb.manager()
            await manager.method("kill_sandbox", sandbox)
            await manager.method("close")

    async def run(self, by: str, sandbox: str, code: str) -> str:
        """What the code prints in the default context."""
        if by == "daytona":
            done = await (await self.daytona.get(sandbox)).run(code)
            assert done.error is None, done.error
            return done.stdout
        if by == "e2b":
            return await (await self.e2b.connect(sandbox)).out(code)
        box = await self.osb.connect(sandbox)
        try:
            return await box.out(code)
        finally:
            await box.close()

    async def marked(self, by: str, mark: str) -> list[str]:
        """The ids of the sandboxes with that mark."""
        metadata = {"mark": mark}
        if by == "daytona":
            return [box.id for box in await self.daytona.list(daytona.ListSandboxesQuery(labels=metadata))]
        if by == "e2b":
            return await self.e2b.ids(query=e2b.SandboxQuery(metadata=metadata))
        manager = await self.osb.manager()
        found = await manager.method("list_sandbox_infos", SandboxFilter(metadata=metadata))
        await manager.method("close")
        return [info.id for info in found.sandbox_infos]


@pytest.fixture
def doors(gateway: Gateway, client: adapter.Client) -> Iterator[Doors]:
    sandboxes = gateway.gauge("sandboxes")
    yield Doors(gateway, client)
    gateway.wait_gauge("sandboxes", sandboxes)


@pytest.mark.parametrize("maker", SDKS)
async def test_a_sandbox_is_everyones(doors: Doors, maker: str) -> None:
    """Seen by all, with its metadata, its variables, and one default interpreter in one folder."""
    mark = uuid.uuid4().hex
    made = await doors.create(maker, mark)
    try:
        for sdk in SDKS:
            assert await doors.marked(sdk, mark) == [made], sdk
            assert await doors.marked(sdk, "other") == [], sdk
        await doors.run(maker, made, "users = []\nopen('note', 'w').close()")
        for sdk in SDKS:
            code = (
                f"import os\nusers.append({sdk!r})\nprint(os.environ['MARK'], users, os.path.exists('note'))"
            )
            users = list(SDKS[: SDKS.index(sdk) + 1])
            assert await doors.run(sdk, made, code) == f"{mark} {users} True\n"
    finally:
        await doors.end(maker, made)


@pytest.mark.parametrize("ender", SDKS)
@pytest.mark.parametrize("maker", SDKS)
async def test_a_sandbox_is_anyones_to_end(doors: Doors, maker: str, ender: str) -> None:
    mark = uuid.uuid4().hex
    made = await doors.create(maker, mark)
    await doors.end(ender, made)
    for sdk in SDKS:
        assert await doors.marked(sdk, mark) == [], sdk


async def test_a_pause_is_seen_by_all(doors: Doors) -> None:
    mark = uuid.uuid4().hex
    made = await doors.create("opensandbox", mark)
    try:
        box = await doors.osb.connect(made, interpret=False)
        await box.method("pause")
        assert str((await doors.e2b.get_info(made)).state) == "paused"
        await doors.e2b.connect(made)  # wakes it
        assert (await box.method("get_info")).status.state == "Running"
        assert await doors.run("daytona", made, "print('awake')") == "awake\n"
        await box.close()
    finally:
        await doors.end("opensandbox", made)


async def test_an_expiry_is_everyones(doors: Doors) -> None:
    made = await doors.create("e2b", uuid.uuid4().hex)
    try:
        box = await doors.osb.connect(made, interpret=False)
        renewed = await box.method("renew", timedelta(hours=5))
        assert abs((await doors.e2b.get_info(made)).end_at - renewed.expires_at) < timedelta(seconds=1)
        await box.close()
    finally:
        await doors.end("e2b", made)
