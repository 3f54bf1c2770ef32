"""Control plane through the SDKs: daytona.md sections 1.1 to 1.6."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

import daytona
import pytest
from adapter import Box, Client
from daytona import CreateSandboxFromImageParams, CreateSandboxFromSnapshotParams, ListSandboxesQuery
from harness.gateway import Gateway

MakeBox = Callable[..., Awaitable[Box]]


async def test_create_answers_a_started_sandbox(box: Box) -> None:
    assert box.sandbox.id
    assert box.sandbox.state == "started"
    assert (await box.run("print('up')")).stdout == "up\n"


async def test_get_by_id(client: Client, box: Box) -> None:
    again = await client.get(box.sandbox.id)
    assert again.sandbox.id == box.sandbox.id
    assert again.sandbox.state == "started"


async def test_get_shares_the_default_context(client: Client, box: Box) -> None:
    await box.run("from_first_client = 41")
    again = await client.get(box.sandbox.id)
    assert (await again.run("print(from_first_client + 1)")).stdout == "42\n"


async def test_default_sandbox_exists(client: Client) -> None:
    default = await client.get("default")
    assert default.sandbox.id == "default"
    assert (await default.run("print(6 * 7)")).stdout == "42\n"


async def test_create_echoes_name_labels_and_env(client: Client, make_box: MakeBox) -> None:
    name = f"named-{uuid.uuid4().hex[:8]}"
    made = await make_box(
        CreateSandboxFromSnapshotParams(
            name=name, labels={"team": "λ", "tier": "1"}, env_vars={"GREETING": 'hé "quoted"'}
        )
    )
    assert made.sandbox.name == name
    assert made.sandbox.labels == {"team": "λ", "tier": "1", "code-toolbox-language": "python"}
    assert made.sandbox.env == {"GREETING": 'hé "quoted"'}
    by_name = await client.get(name)
    assert by_name.sandbox.id == made.sandbox.id
    assert by_name.sandbox.labels == made.sandbox.labels


async def test_sandbox_env_reaches_the_code(make_box: MakeBox) -> None:
    made = await make_box(CreateSandboxFromSnapshotParams(env_vars={"GREETING": 'hé "quoted"'}))
    result = await made.run("import os; print(os.environ['GREETING'])")
    assert (result.stdout, result.error) == ('hé "quoted"\n', None)


async def test_create_ignores_what_it_does_not_know(make_box: MakeBox) -> None:
    made = await make_box(
        CreateSandboxFromImageParams(
            image="debian:12",
            language="typescript",
            auto_stop_interval=7,
            ttl_minutes=99,
            public=True,
            network_block_all=True,
            resources=daytona.Resources(cpu=2, memory=4, disk=8),
        )
    )
    assert made.sandbox.state == "started"
    assert made.sandbox.labels["code-toolbox-language"] == "typescript"


async def test_list_holds_what_was_created(client: Client, box: Box) -> None:
    ids = [sandbox.id for sandbox in await client.list()]
    assert box.sandbox.id in ids
    assert len(ids) == len(set(ids))


async def test_list_by_labels(client: Client, make_box: MakeBox) -> None:
    mark = uuid.uuid4().hex
    made = await make_box(CreateSandboxFromSnapshotParams(labels={"mark": mark, "kind": "a"}))
    await make_box(CreateSandboxFromSnapshotParams(labels={"kind": "a"}))
    found = await client.list(ListSandboxesQuery(labels={"mark": mark, "kind": "a"}))
    assert [sandbox.id for sandbox in found] == [made.sandbox.id]
    assert await client.list(ListSandboxesQuery(labels={"mark": mark, "kind": "b"})) == []


async def test_list_by_name(client: Client, make_box: MakeBox) -> None:
    name = f"byname-{uuid.uuid4().hex[:8]}"
    made = await make_box(CreateSandboxFromSnapshotParams(name=name))
    found = await client.list(ListSandboxesQuery(name=name))
    assert [sandbox.id for sandbox in found] == [made.sandbox.id]


async def test_list_page_by_page(client: Client, make_box: MakeBox) -> None:
    mark = uuid.uuid4().hex
    made = {
        (await make_box(CreateSandboxFromSnapshotParams(labels={"mark": mark}))).sandbox.id for _ in range(3)
    }
    found = [s.id for s in await client.list(ListSandboxesQuery(labels={"mark": mark}, limit=1))]
    assert len(found) == 3
    assert set(found) == made


async def test_refresh_data(box: Box) -> None:
    await box.method("refresh_data")
    assert box.sandbox.state == "started"


async def test_stop_and_start(make_box: MakeBox) -> None:
    made = await make_box()
    await made.method("stop")
    assert made.sandbox.state == "stopped"
    await made.method("refresh_data")
    assert made.sandbox.state == "stopped"
    await made.method("start")
    assert made.sandbox.state == "started"
    assert (await made.run("print('again')")).stdout == "again\n"


async def test_delete(client: Client, make_box: MakeBox) -> None:
    made = await make_box()
    await made.run("x = 1")
    await client.call(client.sdk.delete, made.sandbox)
    with pytest.raises(daytona.DaytonaNotFoundError):
        await client.get(made.sandbox.id)
    with pytest.raises(daytona.DaytonaNotFoundError):
        await made.list_contexts()


async def test_delete_and_wait(client: Client, make_box: MakeBox) -> None:
    made = await make_box()
    await made.method("delete", wait=True)
    assert made.sandbox.state == "destroyed"
    assert made.sandbox.id not in [sandbox.id for sandbox in await client.list()]


async def test_unknown_sandbox_is_not_found(client: Client) -> None:
    with pytest.raises(daytona.DaytonaNotFoundError) as caught:
        await client.get("no-such-sandbox")
    assert str(caught.value).startswith("Failed to get sandbox: ")
    assert "no-such-sandbox" in str(caught.value)
    assert caught.value.status_code == 404


async def test_wrong_key_is_refused(client: Client, gateway: Gateway) -> None:
    stranger = Client(client.flavour, api_key="not-the-key", api_url=gateway.api_url, target="local")
    try:
        with pytest.raises(daytona.DaytonaAuthenticationError) as caught:
            await stranger.get("default")
        assert caught.value.status_code == 401
        with pytest.raises(daytona.DaytonaAuthenticationError):
            await stranger.create()
        with pytest.raises(daytona.DaytonaAuthenticationError):
            await stranger.list()
    finally:
        await stranger.close()


async def test_wrong_key_is_refused_on_the_toolbox(client: Client, gateway: Gateway, box: Box) -> None:
    """A sandbox object whose calls carry another key: REST answers 401, the upgrade is rejected with 401."""
    stranger = Client(client.flavour, api_key=gateway.token, api_url=gateway.api_url, target="local")
    try:
        theirs = await stranger.get(box.sandbox.id)
        for api in (stranger.sdk._api_client, stranger.sdk._toolbox_api_client):
            api.default_headers["Authorization"] = "Bearer not-the-key"
        theirs = Box(stranger, theirs.sandbox)
        theirs.interpreter._api_client.api_client.default_headers["Authorization"] = "Bearer not-the-key"
        with pytest.raises(daytona.DaytonaAuthenticationError):
            await theirs.create_context()
        with pytest.raises(daytona.DaytonaError, match="401"):
            await theirs.run("print(1)")
    finally:
        await stranger.close()


async def test_jwt_and_organization_id(client: Client, gateway: Gateway) -> None:
    other = Client(
        client.flavour,
        jwt_token=gateway.token,
        organization_id="org",
        api_url=gateway.api_url,
        target="local",
    )
    try:
        default = await other.get("default")
        assert (await default.run("print('jwt')")).stdout == "jwt\n"
    finally:
        await other.close()


async def test_configured_by_environment(
    client: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAYTONA_API_KEY", gateway.token)
    monkeypatch.setenv("DAYTONA_API_URL", gateway.api_url)
    other = Client(client.flavour)
    try:
        assert (await (await other.get("default")).run("print('env')")).stdout == "env\n"
    finally:
        await other.close()


async def test_toolbox_url_follows_the_host_of_the_request(client: Client, gateway: Gateway) -> None:
    api_url = gateway.api_url.replace("127.0.0.1", "localhost")
    other = Client(client.flavour, api_key=gateway.token, api_url=api_url, target="local")
    try:
        default = await other.get("default")
        assert default.sandbox.toolbox_proxy_url.startswith("http://localhost:")
        assert (await default.run("print('host')")).stdout == "host\n"
    finally:
        await other.close()


async def test_preview_link(box: Box) -> None:
    link = await box.method("get_preview_link", 2280)
    assert link.url.startswith("http://")
    assert link.token


async def test_two_sandboxes_are_isolated(make_box: MakeBox) -> None:
    one, two = await make_box(), await make_box()
    await one.run("secret = 1")
    result = await two.run("print('secret' in globals())")
    assert result.stdout == "False\n"
    home_one = (await one.run("import os; print(os.getcwd())")).stdout
    home_two = (await two.run("import os; print(os.getcwd())")).stdout
    assert home_one != home_two


async def test_contexts_belong_to_their_sandbox(make_box: MakeBox) -> None:
    one, two = await make_box(), await make_box()
    theirs = await one.create_context()
    assert await two.list_contexts() == []
    with pytest.raises(daytona.DaytonaConnectionError, match="context not found"):
        await two.run("print(1)", context=theirs)
    with pytest.raises(daytona.DaytonaNotFoundError):
        await two.delete_context(theirs)
