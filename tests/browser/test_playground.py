"""The page at /, in Chromium: it streams, shows images and errors, asks, stops, comes back; others are kept out."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cutter import Relay
from harness.gateway import ROOT, Gateway
from playwright.sync_api import Locator, Page, expect

SHOTS = ROOT / "build" / "screenshots"
PLOT = """
import matplotlib.pyplot as plt
plt.figure(figsize=(7, 3.2))
plt.plot([0, 1, 2, 3, 4], [0, 1, 4, 9, 16], marker="o", label="squares")
plt.plot([0, 1, 2, 3, 4], [0, 1, 8, 27, 64], marker="s", label="cubes")
plt.legend()
plt.show()
"""


def run(page: Page, code: str) -> Locator:
    """Put code into the editor, run it, and return what shows the run."""
    before = page.locator(".run").count()
    page.fill("#code", code)
    page.press("#code", "Control+Enter")
    shown = page.locator(".run").nth(before)
    shown.wait_for()
    return shown


def ended(shown: Locator, how: str = "ok") -> Locator:
    expect(shown).to_have_attribute("data-state", "done")
    expect(shown).to_have_attribute("data-how", how)
    return shown


def hold(go: Path) -> str:
    """Code that waits until the file `go` exists."""
    return f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"


def test_token_leaves_the_address_and_stays_in_the_tab(page: Page, gateway: Gateway) -> None:
    assert page.url == f"{gateway.url}/"
    page.reload()
    page.wait_for_selector("#status[data-state=connected]")
    assert "python" in [option.get_attribute("value") for option in page.locator("#language option").all()]


def test_output_appears_while_the_code_runs(page: Page, tmp_path: Path) -> None:
    go = tmp_path / "go"
    shown = run(page, f"print('first', flush=True)\n{hold(go)}print('second')")
    expect(shown.locator(".stdout")).to_have_text("first\n")
    expect(shown).to_have_attribute("data-state", "running")
    go.touch()
    expect(shown.locator(".stdout")).to_have_text("first\nsecond\n")
    ended(shown)


def test_all_kinds_of_output_and_a_screenshot(page: Page) -> None:
    ended(run(page, "print('Hello from a real Jupyter kernel')\nsum(range(10))"))
    mixed = ended(run(page, "import sys\nprint('to stdout')\nprint('to stderr', file=sys.stderr)"))
    expect(mixed.locator(".stdout")).to_have_text("to stdout\n")
    expect(mixed.locator(".stderr")).to_have_text("to stderr\n")
    raised = ended(run(page, "def half(n):\n    return n / 0\n\nhalf(3)"), "error")
    expect(raised.locator(".error p")).to_have_text("ZeroDivisionError division by zero")
    expect(raised.locator(".error pre")).to_contain_text("return n / 0")
    assert "\x1b" not in raised.inner_text()
    plot = ended(run(page, PLOT))
    image = plot.locator("img")
    expect(image).to_have_attribute("src", re.compile("^data:image/png;base64,"))
    page.wait_for_function("image => image.complete && image.naturalWidth > 300", arg=image.element_handle())
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "playground.png")


def test_html_is_shown_apart_from_the_page(page: Page) -> None:
    html = "<b id=x>bold</b><script>parent.document.title = 'owned'; document.body.append('ran')</script>"
    shown = ended(run(page, f"from IPython.display import HTML\nHTML({html!r})"))
    inside = shown.frame_locator("iframe").locator("body")
    expect(inside.locator("#x")).to_have_text("bold")
    assert shown.locator("#x").count() == 0
    assert page.title() == "kernelbridge"
    page.complaints.clear()  # type: ignore[attr-defined]  # the frame's script was told no


def test_text_that_looks_like_html_stays_text(page: Page) -> None:
    shown = ended(run(page, "print('<img src=x onerror=alert(1)>')\n'<b>r</b>'"))
    expect(shown.locator(".stdout")).to_have_text("<img src=x onerror=alert(1)>\n")
    assert shown.locator("img, b").count() == 0


def test_svg_is_an_image(page: Page) -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20"/></svg>'
    shown = ended(run(page, f"from IPython.display import SVG\nSVG({svg!r})"))
    expect(shown.locator("img")).to_have_attribute("src", re.compile("^data:image/svg"))
    expect(shown.locator("img")).to_have_js_property("naturalWidth", 40)


def test_terminal_text(page: Page) -> None:
    shown = ended(run(page, r"print('\x1b[31mred\x1b[0m plain\n10%\r20%\r100%')"))
    expect(shown.locator(".stdout")).to_have_text("red plain\n100%\n")
    expect(shown.locator(".stdout span")).to_have_text("red")


def test_input_is_asked_and_answered(page: Page) -> None:
    shown = run(page, "name = input('Who? ')\nprint('Hi', name)")
    field = shown.locator(".input input")
    expect(field).to_be_focused()
    field.fill("Ada")
    field.press("Enter")
    ended(shown)
    expect(shown.locator(".stdout")).to_have_text("Hi Ada\n")
    expect(shown.locator(".input")).to_have_text("Who? Ada")


def test_clear_and_update(page: Page, tmp_path: Path) -> None:
    go = tmp_path / "go"
    shown = run(
        page,
        "from IPython.display import clear_output, display\nprint('old')\nclear_output(wait=True)\n"
        f"print('new')\nh = display('one', display_id=True)\n{hold(go)}h.update('two')",
    )
    expect(shown.locator(".body")).to_have_text("new\n'one'")
    go.touch()
    ended(shown)
    expect(shown.locator(".body")).to_have_text("new\n'two'")


def test_stop_ends_a_loop_and_keeps_the_state(page: Page) -> None:
    ended(run(page, "kept = 42"))
    shown = run(page, "print('looping', flush=True)\nwhile True: pass")
    expect(shown.locator(".stdout")).to_have_text("looping\n")
    page.click("#stop")
    ended(shown, "interrupted")
    expect(shown.locator(".error")).to_contain_text("KeyboardInterrupt")
    expect(ended(run(page, "kept")).locator(".result")).to_have_text("42")
    expect(page.locator("#stop")).to_be_disabled()


def test_stop_twice_ends_what_ignores_the_first(page: Page) -> None:
    code = "while True:\n    try:\n        print('.', end='', flush=True)\n        while True: pass\n    except KeyboardInterrupt: pass"
    shown = run(page, code)
    expect(shown.locator(".stdout")).to_have_text(".")
    page.click("#stop")
    expect(shown.locator(".stdout")).to_have_text("..")
    page.click("#stop")
    ended(shown, "interrupted")
    ended(run(page, "1"))


def test_restart_forgets(page: Page) -> None:
    ended(run(page, "gone = 1"))
    page.click("#restart")
    expect(page.locator("#restart")).to_be_enabled()
    expect(ended(run(page, "gone"), "error").locator(".error")).to_contain_text("NameError")


def test_a_lost_connection_is_taken_up_again(
    open_page: Callable[..., Page], gateway: Gateway, tmp_path: Path
) -> None:
    """The socket is cut while the code runs, which then ends unseen; every line is there once afterwards."""
    go = tmp_path / "go"
    with Relay(gateway.url) as relay:
        page = open_page(f"{relay.url}/?token={gateway.token}")
        page.wait_for_selector("#run:enabled")
        shown = run(page, f"print('before', flush=True)\n{hold(go)}for i in range(500): print(i)")
        expect(shown.locator(".stdout")).to_have_text("before\n")
        relay.cut()
        expect(page.locator("#status")).to_have_attribute("data-state", "offline")
        expect(page.locator("#run")).to_be_disabled()
        go.touch()
        gateway.wait_gauge("executions_running", 0)
        relay.mend()
        ended(shown)
        expect(shown.locator(".stdout")).to_have_text("before\n" + "".join(f"{i}\n" for i in range(500)))
        page.close()


def test_a_reload_finds_what_runs(page: Page, tmp_path: Path) -> None:
    go = tmp_path / "go"
    shown = run(page, f"print('before', flush=True)\n{hold(go)}print('after')")
    expect(shown.locator(".stdout")).to_have_text("before\n")
    page.reload()
    expect(page.locator(".run .stdout")).to_have_text("before\n")
    go.touch()
    ended(page.locator(".run"))
    expect(page.locator(".run .stdout")).to_have_text("before\nafter\n")


def test_editor_tab_indents_and_escape_lets_it_go(page: Page) -> None:
    page.fill("#code", "a\nb")
    page.press("#code", "Control+a")
    page.press("#code", "Tab")
    assert page.input_value("#code") == "    a\n    b"
    page.press("#code", "Shift+Tab")
    assert page.input_value("#code") == "a\nb"
    page.press("#code", "Escape")
    page.press("#code", "Tab")
    expect(page.locator("#code")).not_to_be_focused()


def test_without_a_token_the_page_asks(open_page: Callable[..., Page], gateway: Gateway) -> None:
    page = open_page(gateway.url)
    page.wait_for_selector("#ask-token[open]")
    expect(page.locator("#status")).to_have_attribute("data-state", "refused")
    page.fill("#token", gateway.token)
    page.press("#token", "Enter")
    page.wait_for_selector("#status[data-state=connected]")


def test_dark_and_narrow(open_page: Callable[..., Page], gateway: Gateway) -> None:
    page = open_page(f"{gateway.url}/?token={gateway.token}", color_scheme="dark")
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_selector("#run:enabled")
    ended(run(page, "print('narrow')\n1/0"), "error")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 420
    page.screenshot(path=SHOTS / "playground-dark-narrow.png")


def test_headers(gateway: Gateway) -> None:
    status, headers, body = gateway.http("GET", "/", auth=False)
    assert status == 200 and b"kernelbridge" in body and gateway.token.encode() not in body
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert gateway.http("GET", "/playground/nothing", auth=False)[0] == 404
    assert gateway.http("POST", "/", b"", auth=False)[0] == 405


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[str]:
    """A web page elsewhere: another origin on this machine."""
    (tmp_path / "index.html").write_text("<!doctype html><title>elsewhere</title>")
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


CONNECT = """([url, protocols]) => new Promise((resolve) => {
    const socket = new WebSocket(url, protocols);
    socket.onopen = () => resolve("open");
    socket.onclose = () => resolve("refused");
})"""


def test_a_foreign_page_is_refused_even_with_the_token(
    open_page: Callable[..., Page], gateway: Gateway, foreign: str
) -> None:
    before = gateway.gauge("refused_origin_total")
    page = open_page(foreign)
    url = f"{gateway.url.replace('http', 'ws')}/v1/ws"
    protocols = ["kernelbridge.v1", f"kernelbridge.token.{gateway.token}"]
    assert page.evaluate(CONNECT, [url, protocols]) == "refused"
    assert gateway.gauge("refused_origin_total") == before + 1
    fetched = page.evaluate(
        "([url, token]) => fetch(url, {headers: {Authorization: `Bearer ${token}`}}).then(() => 'open', () => 'refused')",
        [f"{gateway.url}/v1/contexts", gateway.token],
    )
    assert fetched == "refused"


def test_the_same_call_from_the_gateways_own_page_is_let_in(page: Page, gateway: Gateway) -> None:
    """So that the refusal above is one of the origin, not of the call."""
    url = f"{gateway.url.replace('http', 'ws')}/v1/ws"
    protocols = ["kernelbridge.v1", f"kernelbridge.token.{gateway.token}"]
    assert page.evaluate(CONNECT, [url, protocols]) == "open"
