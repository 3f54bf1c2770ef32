"""The native WebSocket: every op, with real kernels; each message is checked against the schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checked import Checked, Rest, is_request
from clients import Said, hold
from harness.gateway import Gateway, until
from rawsock import BINARY, frame

LOOP = "print('looping', flush=True)\nwhile True: pass"


@pytest.fixture
def ws(gw: Gateway) -> Any:
    with Checked(gw) as connection:
        yield connection


@pytest.fixture
def ctx(ws: Checked) -> str:
    """A context of the test's own; the fixture of the gateway deletes it."""
    return ws.context()


# -- execute and its events ------------------------------------------------------------------


def test_events_of_a_run(ws: Checked, ctx: str) -> None:
    said = ws.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7", context=ctx)
    assert said.how == "ok"
    assert said.one("accepted")["position"] == 0
    assert said.one("started")["count"] == 1
    assert said.text("stdout") == "out\n" and said.text("stderr") == "err\n"
    assert said.one("result")["bundle"]["text/plain"] == "42"
    assert said.one("result")["count"] == said.one("done")["count"] == 1


def test_displays_updates_and_clears(ws: Checked, ctx: str) -> None:
    said = ws.run(
        "from IPython.display import clear_output, display\n"
        "h = display({'text/plain': 'a', 'image/png': 'QUJD'}, raw=True, display_id='d1',"
        " metadata={'image/png': {'width': 3}})\n"
        "h.update({'text/plain': 'b'}, raw=True)\nclear_output(wait=True)\nclear_output()",
        context=ctx,
    )
    shown, updated = said.one("display"), said.one("update")
    assert shown["bundle"] == {"text/plain": "a", "image/png": "QUJD"}
    assert shown["metadata"] == {"image/png": {"width": 3}}
    assert shown["display_id"] == updated["display_id"] == "d1"
    assert updated["bundle"] == {"text/plain": "b"}
    assert [e["wait"] for e in said.events if e["event"] == "clear"] == [True, False]


def test_an_error_comes_in_both_forms(ws: Checked, ctx: str) -> None:
    said = ws.run("def f():\n    return 1 / 0\nf()", context=ctx)
    assert said.how == "error"
    error = said.one("error")
    assert (error["name"], error["value"]) == ("ZeroDivisionError", "division by zero")
    assert error["traceback"]
    lines = error["plain"]["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_envs_hold_for_one_run(ws: Checked, ctx: str) -> None:
    code = "import os; print(os.environ.get('NATIVE_A'))"
    value = "it's \"quoted\"\n☃"
    assert ws.run(code, context=ctx, envs={"NATIVE_A": value}).text() == value + "\n"
    assert ws.run(code, context=ctx).text() == "None\n"


def test_a_silent_run_leaves_no_trace(ws: Checked, ctx: str) -> None:
    said = ws.run("quiet = 5\nprint('heard')\nquiet", context=ctx, silent=True)
    assert said.how == "ok" and said.text() == "heard\n"
    assert not [e for e in said.events if e["event"] == "result"]
    assert ws.run("quiet", context=ctx).one("result")["count"] == 1


def test_text_that_needs_care(ws: Checked, ctx: str) -> None:
    code = "print('a\\0b\\x1b[0m \"\\\\ é€😀 \\u2028')"
    assert ws.run(code, context=ctx).text() == 'a\0b\x1b[0m "\\ é€😀 \u2028\n'


def test_code_may_hold_anything_that_json_holds(ws: Checked, ctx: str) -> None:
    assert ws.run("print(len('é€😀'))", context=ctx).text() == "3\n"
    said = ws.run("x = '\0'", context=ctx)
    assert said.how == "error" and said.one("error")["name"] in ("SyntaxError", "ValueError")


def test_the_default_context_of_a_language_is_shared(ws: Checked, gw: Gateway) -> None:
    ws.run("shared = 'yes'")
    with Checked(gw) as other:
        assert other.run("print(shared)", language="python").text() == "yes\n"
        assert other.run("print(shared)", context="default").text() == "yes\n"
    ws.run("del shared")


def test_runs_of_one_context_wait_for_each_other(ws: Checked, ctx: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first = ws.start(hold(go) + "order = [1]", context=ctx)
    rest = [ws.start(f"order.append({n}); print(order)", context=ctx) for n in (2, 3)]
    assert [ws.event(e)["position"] for e in rest] == [1, 2]
    go.touch()
    assert ws.rest_of(first).how == "ok"
    third = ws.rest_of(rest[1])
    assert third.text() == "[1, 2, 3]\n"
    assert ws.rest_of(rest[0]).text() == "[1, 2]\n"


def test_contexts_and_connections_are_independent(ws: Checked, gw: Gateway, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Checked(gw) as other:
        mine, theirs = ws.context(), other.context()
        held = ws.start("name = 'mine'\n" + hold(go), context=mine)
        ws.wait_text(held, "held")
        assert other.run("'name' in globals()", context=theirs).one("result")["bundle"]["text/plain"] == "False"
        other.post("ping")
        assert other.message()["ok"]
        go.touch()
        assert ws.rest_of(held, Said()).events[-1]["how"] == "ok"


# -- stopping --------------------------------------------------------------------------------


def test_interrupt_by_execution_and_by_context(ws: Checked, ctx: str) -> None:
    for keys in ("execution", "context"):
        execution = ws.start(LOOP, context=ctx)
        said = ws.wait_text(execution, "looping\n")
        answer = ws.ask("interrupt", **{keys: execution if keys == "execution" else ctx})
        assert answer["execution"] == execution
        assert ws.rest_of(execution, said).how == "interrupted"
        assert said.one("error")["name"] == "KeyboardInterrupt"
    assert ws.ask("interrupt", context=ctx)["execution"] is None
    assert ws.run("1", context=ctx).how == "ok"


def test_an_interrupt_can_kill_in_the_end(ws: Checked, ctx: str) -> None:
    execution = ws.start(
        "while True:\n    try:\n        print('on', flush=True)\n        while True: pass\n"
        "    except KeyboardInterrupt: pass",
        context=ctx,
    )
    said = ws.wait_text(execution, "on\n")
    assert ws.ask("interrupt", execution=execution)["ok"]
    ws.wait_text(execution, "on\non\n", said)
    assert ws.ask("interrupt", execution=execution, kill_after_ms=1)["ok"]
    assert ws.rest_of(execution, said).how == "interrupted"
    assert "killed" in said.one("done")["why"]
    assert ws.run("1", context=ctx).how == "ok"


def test_a_queued_run_can_be_cancelled(ws: Checked, ctx: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first = ws.start(hold(go), context=ctx)
    second = ws.start("print('never')", context=ctx)
    assert ws.ask("interrupt", execution=second)["ok"]
    said = ws.rest_of(second)
    assert said.how == "aborted" and "count" not in said.one("done") and not said.text()
    go.touch()
    assert ws.rest_of(first).how == "ok"


def test_timeout(ws: Checked, ctx: str) -> None:
    said = ws.run("while True: pass", context=ctx, timeout_ms=200)
    assert said.how == "timeout" and said.one("done")["elapsed_ms"] >= 200
    assert ws.run("1", context=ctx, timeout_ms=0).how == "ok"


def test_a_kernel_that_dies_is_replaced(ws: Checked, ctx: str) -> None:
    dying = ws.start("import os\nos._exit(3)", context=ctx)
    waiting = ws.start("print('fresh')", context=ctx)
    said = ws.rest_of(dying)
    assert said.how == "kernel_died"
    assert said.one("error")["name"] == "KernelDied" and "exit code 3" in said.one("error")["value"]
    assert ws.rest_of(waiting).text() == "fresh\n"


@pytest.mark.parametrize("op", ["delete_context", "restart_context"])
def test_deletion_and_restart_end_what_runs_and_what_waits(ws: Checked, ctx: str, op: str) -> None:
    running = ws.start(LOOP, context=ctx)
    said = ws.wait_text(running, "looping\n")
    waiting = ws.start("print('never')", context=ctx)
    assert ws.ask(op, context=ctx)["context"] == ctx
    for execution, so_far in ((running, said), (waiting, None)):
        end = ws.rest_of(execution, so_far)
        assert end.how == "aborted"
        assert end.one("done")["why"] == f"context {op.split('_')[0]}{'d' if op[0] == 'd' else 'ed'}"
    if op == "restart_context":
        assert ws.run("1", context=ctx).one("started")["count"] == 1
    else:
        assert ws.refused("execute", context=ctx, code="1") == ("not_found", f"no context '{ctx}'")


# -- input -----------------------------------------------------------------------------------


def test_input_value_password_and_end_of_file(ws: Checked, ctx: str) -> None:
    code = (
        "from getpass import getpass\nprint(repr(input('name? ')), repr(getpass('secret? ')))\n"
        "try: input()\nexcept EOFError: print('the end')"
    )
    execution = ws.start(code, context=ctx, stdin=True)
    said = Said()
    answers: list[dict[str, Any]] = [{"value": "Zoë ☃"}, {"value": ""}, {"eof": True}]
    for answer in answers:
        said.events.append(ws.event(execution))
        ws.wait_event(execution, "input", said)
        assert ws.ask("input", execution=execution, **answer)["ok"]
    assert ws.rest_of(execution, said).text() == "'Zoë ☃' ''\nthe end\n"
    asked = [(e["prompt"], e["password"]) for e in said.events if e["event"] == "input"]
    assert asked == [("name? ", False), ("secret? ", True), ("", False)]


def test_a_prompt_comes_after_what_was_printed_before_it(ws: Checked, ctx: str) -> None:
    """Output and prompts travel on different sockets of the kernel."""
    for i in range(30):
        execution = ws.start(f"print('x' * {i * 20_000})\ninput('? ')", context=ctx, stdin=True)
        said = ws.wait_event(execution, "input")
        assert [e["event"] for e in said.events[:3]] == ["accepted", "started", "stdout"], said.events
        assert said.text() == "x" * (i * 20_000) + "\n"
        assert ws.ask("input", execution=execution, value="")["ok"]
        assert ws.rest_of(execution, said).how == "ok"


def test_input_without_stdin_raises_at_once(ws: Checked, ctx: str) -> None:
    said = ws.run("input('? ')", context=ctx)
    assert said.how == "error" and said.one("error")["name"] == "StdinNotImplementedError" and said.text() == ""


def test_input_that_nobody_waits_for(ws: Checked, ctx: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    execution = ws.start(hold(go), context=ctx, stdin=True)
    ws.wait_text(execution, "held")
    assert ws.refused("input", execution=execution, value="x")[0] == "not_found"
    go.touch()
    ws.rest_of(execution)
    assert ws.refused("input", execution=execution, value="x")[0] == "not_found"


def test_only_the_owner_answers_and_after_it_the_next(ws: Checked, gw: Gateway, ctx: str) -> None:
    with Checked(gw) as watcher, Checked(gw) as stranger:
        execution = ws.start("print(input())", context=ctx, stdin=True, on_disconnect="finish")
        ws.wait_event(execution, "input")
        assert watcher.ask("attach", execution=execution)["state"] == "running"
        assert watcher.refused("input", execution=execution, value="no")[0] == "forbidden"
        assert stranger.refused("input", execution=execution, value="no")[0] == "not_found"
        status, message = Rest(gw).refused("POST", f"/v1/executions/{execution}/input", {"value": "no"})
        assert status == 403, message
        ws.reset()
        until("the owner is gone", lambda: gw.gauge("websockets") == 2)
        assert watcher.ask("input", execution=execution, value="mine now")["ok"]
        said = watcher.rest_of(execution)
        assert said.how == "ok" and said.text() == "mine now\n"


def test_interrupt_while_it_waits_for_input(ws: Checked, ctx: str) -> None:
    execution = ws.start("input('? ')", context=ctx, stdin=True)
    said = ws.wait_event(execution, "input")
    assert ws.ask("interrupt", execution=execution)["ok"]
    assert ws.rest_of(execution, said).how == "interrupted"
    assert ws.run("1", context=ctx).how == "ok"


# -- attach and detach -----------------------------------------------------------------------


def test_a_run_outlives_connections_that_break(gateway: Gateway) -> None:
    """Cut off again and again while it prints; put together, every event came exactly once."""
    code = "import time\nfor i in range(600):\n    print(i, flush=True)\n    time.sleep(0.002)"
    events: list[dict[str, Any]] = []
    connection = Checked(gateway)
    execution = connection.start(code, on_disconnect="finish")
    breaks = 0
    while not events or events[-1]["event"] != "done":
        for _ in range(7):
            events.append(connection.event(execution))
            if events[-1]["event"] == "done":
                break
        else:
            connection.reset()
            breaks += 1
            connection = Checked(gateway)
            assert connection.ask("attach", execution=execution, after=events[-1]["seq"])["ok"]
    connection.reset()
    said = Said(events)
    assert said.how == "ok" and breaks > 5
    assert said.text() == "".join(f"{i}\n" for i in range(600))


def test_attach_to_what_is_over(gateway: Gateway) -> None:
    with Checked(gateway) as first:
        execution = first.start("print('once')\n5")
        said = first.rest_of(execution)
    with Checked(gateway) as later:
        info = later.ask("attach", execution=execution, after=0)
        assert (info["state"], info["how"], info["first_seq"]) == ("done", "ok", 1)
        assert info["last_seq"] == len(said.events)
        assert later.rest_of(execution).events == said.events
        assert later.ask("attach", execution=execution, after=info["last_seq"])["ok"]
        assert later.ask("attach", execution=execution, after=info["last_seq"] - 1)["ok"]
        assert later.rest_of(execution).events == said.events[-1:]
        code, message = later.refused("attach", execution=execution, after=99)
        assert code == "invalid" and "99" in message


def test_two_connections_follow_one_run(ws: Checked, gw: Gateway, ctx: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    execution = ws.start(hold(go) + "print('both')", context=ctx)
    ws.wait_text(execution, "held")
    with Checked(gw) as other:
        assert other.ask("attach", execution=execution)["ok"]
        assert other.refused("attach", execution=execution)[0] == "exists"
        go.touch()
        assert other.rest_of(execution).text() == "held\nboth\n"
    assert ws.rest_of(execution).events[-1]["how"] == "ok"


def test_detach_lets_it_go_on(gateway: Gateway, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Checked(gateway) as one:
        execution = one.start(hold(go) + "print('alone')", on_disconnect="interrupt")
        said = one.wait_text(execution, "held")
        after = one.ask("detach", execution=execution)["after"]
        assert after == said.events[-1]["seq"]
        assert one.refused("detach", execution=execution)[0] == "not_found"
    with Checked(gateway) as two:
        info = two.ask("attach", execution=execution, after=after)
        assert info["state"] == "running"
        go.touch()
        assert two.rest_of(execution, said).how == "ok"
        assert said.text() == "held\nalone\n"


@pytest.mark.parametrize("leave", ["reset", "close"])
def test_a_client_that_goes_interrupts_its_runs(gateway: Gateway, leave: str) -> None:
    rest = Rest(gateway)
    connection = Checked(gateway)
    context = connection.context()
    running = connection.start(LOOP, context=context)
    connection.wait_text(running, "looping\n")
    queued = connection.start("print('never')", context=context)
    connection.reset() if leave == "reset" else connection.socket.close()
    gateway.wait_gauge("executions_running", 0)
    assert rest.call("GET", f"/v1/executions/{running}", "execution")["how"] == "interrupted"
    assert rest.call("GET", f"/v1/executions/{queued}", "execution")["how"] == "aborted"
    rest.call("DELETE", f"/v1/contexts/{context}", "deleted_context")


# -- contexts, sandboxes, questions to kernels -------------------------------------------------


def test_life_of_a_context(ws: Checked, tmp_path: Path) -> None:
    made = ws.ask("create_context", language="python", cwd=str(tmp_path))
    context = made["context"]
    assert made | {"state": "ready", "cwd": str(tmp_path), "default": False, "sandbox": "default"} == made
    assert ws.run("import os; print(os.getcwd())", context=context).text() == f"{tmp_path}\n"
    assert context in [c["context"] for c in ws.ask("list_contexts")["contexts"]]
    assert context in [c["context"] for c in ws.ask("list_contexts", sandbox="default")["contexts"]]
    ws.run("kept = 1", context=context)
    assert ws.ask("restart_context", context=context)["state"] == "ready"
    assert ws.run("kept", context=context).how == "error"
    assert ws.ask("delete_context", context=context)["context"] == context
    assert context not in [c["context"] for c in ws.ask("list_contexts")["contexts"]]


def test_contexts_that_cannot_be(ws: Checked, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for keys, code, words in (
        ({"language": "klingon"}, "not_found", "klingon"),
        ({"cwd": str(tmp_path / "none")}, "invalid", "does not exist"),
        ({"cwd": str(file)}, "invalid", "not a directory"),
        ({"cwd": "relative"}, "invalid", "absolute"),
        ({"sandbox": "nobody"}, "not_found", "nobody"),
    ):
        got, message = ws.refused("create_context", **keys)
        assert got == code and words in message, (keys, got, message)


def test_life_of_a_sandbox(ws: Checked) -> None:
    made = ws.ask("create_sandbox", name="native-box", envs={"BOX": "b"}, labels={"team": "x"})
    box = made["sandbox"]
    assert made | {"name": "native-box", "labels": {"team": "x"}, "stopped": False} == made
    assert ws.refused("create_sandbox", name="native-box")[0] == "exists"
    said = ws.run("import os; print(os.environ['BOX'], os.getcwd())", sandbox="native-box")
    assert said.text() == f"b {made['home']}\n"
    (context,) = ws.ask("list_contexts", sandbox=box)["contexts"]
    assert context["default"] and context["sandbox"] == box
    assert box in [s["sandbox"] for s in ws.ask("list_sandboxes")["sandboxes"]]
    assert ws.ask("delete_sandbox", sandbox="native-box")["sandbox"] == box
    assert ws.refused("delete_sandbox", sandbox=box)[0] == "not_found"
    assert ws.refused("delete_sandbox", sandbox="default")[0] == "invalid"
    assert not Path(made["home"]).exists() or until("the home is gone", lambda: not Path(made["home"]).exists())


def test_kernelspecs(ws: Checked) -> None:
    specs = ws.ask("list_kernelspecs")["kernelspecs"]
    assert {"name": "python3", "display_name": "Python 3", "language": "python"} in specs


def test_complete_and_inspect(ws: Checked, ctx: str) -> None:
    ws.run("some_variable = 1\ndef documented():\n    'What it says.'", context=ctx)
    reply = ws.ask("complete", context=ctx, code="x = some_va", cursor_pos=11)["reply"]
    assert "some_variable" in reply["matches"] and reply["cursor_end"] == 11
    reply = ws.ask("inspect", context=ctx, code="documented", cursor_pos=10)["reply"]
    assert reply["found"] and "What it says." in reply["data"]["text/plain"]
    reply = ws.ask("inspect", context=ctx, code="no_such_name", cursor_pos=3, detail_level=1)["reply"]
    assert reply["found"] is False


def test_a_question_waits_behind_running_code(ws: Checked, ctx: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    execution = ws.start("late_name = 1\n" + hold(go), context=ctx)
    ws.wait_text(execution, "held")
    number = ws.post("complete", context=ctx, code="late_na", cursor_pos=7)
    assert ws.ask("ping")["ok"]
    go.touch()
    answers = []
    while not answers or ws._events.get(execution, [{}])[-1].get("event") != "done":
        message = ws.message()
        if "event" in message:
            ws._events.setdefault(execution, []).append(message)
        else:
            answers.append(message)
    assert answers[0]["id"] == number and "late_name" in answers[0]["reply"]["matches"]


def test_a_question_to_a_context_whose_kernel_died(ws: Checked, ctx: str) -> None:
    assert ws.run("import os; os._exit(0)", context=ctx).how == "kernel_died"
    assert "import" in ws.ask("complete", context=ctx, code="impor", cursor_pos=5)["reply"]["matches"]


def test_a_question_ends_with_its_context(ws: Checked, ctx: str) -> None:
    execution = ws.start(LOOP, context=ctx)
    ws.wait_text(execution, "looping\n")
    number = ws.post("complete", context=ctx, code="impor", cursor_pos=5)
    assert ws.ask("delete_context", context=ctx)["ok"]
    while (message := ws.message()).get("id") != number:
        pass
    assert message["error"]["code"] == "failed"


# -- what is refused, and the connection that stays --------------------------------------------

BAD: list[tuple[str, Any, str, str]] = [
    # what is sent, id of the refusal, its code, words of its message
    ("", None, "invalid", "not JSON"),
    ("{", None, "invalid", "not JSON"),
    ("nonsense", None, "invalid", "not JSON"),
    ('{"id": 1, "op": "ping"} x', None, "invalid", "not JSON"),
    ("[" * 50_000, None, "invalid", "depth"),
    ('{"id":7,"op":"ping","a":' + "[" * 3000 + "]" * 3000 + "}", None, "invalid", "depth"),
    ("[]", None, "invalid", "must be a JSON object, not an array"),
    ("3", None, "invalid", "must be a JSON object, not an integer"),
    ('{"op": "ping"}', None, "invalid", "'id' is missing"),
    ('{"id": [1], "op": "ping"}', None, "invalid", "'id' must be a string or an integer, not an array"),
    ('{"id": 1}', 1, "invalid", "'op' is missing"),
    ('{"id": "a", "op": 3}', "a", "invalid", "'op' must be a string, not an integer"),
    ('{"id": 1, "op": "explode"}', 1, "invalid", "unknown op 'explode'"),
    ('{"id": 1, "op": "ping", "extra": 1}', 1, "invalid", "unknown key 'extra'"),
    ('{"id": 1, "op": "execute"}', 1, "invalid", "'code' is missing"),
    ('{"id": 1, "op": "execute", "code": 5}', 1, "invalid", "'code' must be a string, not an integer"),
    ('{"id": 1, "op": "execute", "code": null}', 1, "invalid", "'code' must be a string, not null"),
    ('{"id": 1, "op": "execute", "code": "", "envs": {"A": 1}}', 1, "invalid", "envs.A"),
    ('{"id": 1, "op": "execute", "code": "", "timeout_ms": "5"}', 1, "invalid", "'timeout_ms' must be an integer"),
    ('{"id": 1, "op": "execute", "code": "", "timeout_ms": -5}', 1, "invalid", "from 0 to"),
    ('{"id": 1, "op": "execute", "code": "", "stdin": "yes"}', 1, "invalid", "'stdin' must be true or false"),
    ('{"id": 1, "op": "execute", "code": "", "on_disconnect": "x"}', 1, "invalid", "finish"),
    ('{"id": 1, "op": "execute", "code": "", "context": "nope"}', 1, "not_found", "no context 'nope'"),
    ('{"id": 1, "op": "execute", "code": "", "sandbox": "nope"}', 1, "not_found", "no sandbox 'nope'"),
    ('{"id": 1, "op": "execute", "code": "", "language": "nope"}', 1, "not_found", "nope"),
    ('{"id": 1, "op": "execute", "code": "", "context": "../../etc"}', 1, "not_found", "no context"),
    ('{"id": 1, "op": "attach", "execution": "nope"}', 1, "not_found", "no execution 'nope'"),
    ('{"id": 1, "op": "detach", "execution": "nope"}', 1, "not_found", "no execution 'nope'"),
    ('{"id": 1, "op": "input", "execution": "nope", "value": ""}', 1, "not_found", "no execution 'nope'"),
    ('{"id": 1, "op": "interrupt", "execution": "nope"}', 1, "not_found", "no execution 'nope'"),
    ('{"id": 1, "op": "interrupt"}', 1, "invalid", "either 'execution' or 'context'"),
    ('{"id": 1, "op": "delete_context", "context": "nope"}', 1, "not_found", "no context 'nope'"),
    ('{"id": 1, "op": "restart_context", "context": "\\u0001\\u20ac"}', 1, "not_found", "no context"),
    ('{"id": 1, "op": "complete", "context": "nope", "code": "", "cursor_pos": 0}', 1, "not_found", "no context"),
    ('{"id": 1, "op": "inspect", "context": "x", "code": "", "cursor_pos": 0, "detail_level": 7}', 1, "invalid", "0 to 1"),
]


@pytest.mark.parametrize(("sent", "number", "code", "words"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_messages(ws: Checked, sent: str, number: Any, code: str, words: str) -> None:
    ws.raw(sent)
    answer = ws.message()
    assert answer["id"] == number and answer["error"]["code"] == code, answer
    assert words in answer["error"]["message"]
    assert ws.ask("ping")["ok"]


def test_the_schema_knows_the_same_bad_messages() -> None:
    """What the table calls invalid JSON or keys, the schema refuses too; what is merely unknown, it allows."""
    for sent, _, code, words in BAD:
        if "not JSON" not in words and "depth" not in words:
            assert is_request(json.loads(sent)) == (code == "not_found"), sent


def test_binary_messages(ws: Checked) -> None:
    ws.send(frame(BINARY, b'{"id": 1, "op": "ping"}'))
    answer = ws.message()
    assert answer["id"] is None and "binary" in answer["error"]["message"]
    assert ws.ask("ping")["ok"]


def test_as_many_runs_as_a_connection_may_follow(ws: Checked, ctx: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    runs = [ws.start(hold(go), context=ctx)]
    runs += [ws.start("pass", context=ctx) for _ in range(255)]
    code, message = ws.refused("execute", code="pass", context=ctx)
    assert code == "busy" and "256" in message
    assert ws.ask("detach", execution=runs.pop())["ok"]
    runs.append(ws.start("pass", context=ctx))
    go.touch()
    assert [ws.rest_of(run).how for run in runs] == ["ok"] * 256


def test_answers_that_nobody_reads_end_the_connection(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("--idle_timeout_ms=1000")
    with Checked(gateway, receive_buffer=4096) as deaf:
        request = json.dumps({"id": "x" * 4000, "op": "ping"})
        for _ in range(8000):
            deaf.raw(request)
        gateway.wait_gauge("websockets", 0)
    assert "code=1008" in gateway.stderr
    with Checked(gateway) as other:
        assert other.ask("ping")["ok"]
