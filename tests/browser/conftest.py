"""Fixtures of the browser tests: Debian's Chromium, and a page of the gateway in it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.gateway import DEADLINE_S, Gateway
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent))

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=DEADLINE_S * 1000)
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Factory of pages, each in a context of its own; what the console complains of is in `page.complaints`."""
    made = []

    def make(url: str, **context: object) -> Page:
        made.append(browser.new_context(viewport={"width": 1280, "height": 800}, **context))  # type: ignore[arg-type]
        page = made[-1].new_page()
        page.set_default_timeout(DEADLINE_S * 1000)
        page.complaints = []  # type: ignore[attr-defined]

        def on_console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                page.complaints.append(message.text)  # type: ignore[attr-defined]

        page.on("console", on_console)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))  # type: ignore[attr-defined]
        page.goto(url)
        return page

    yield make
    for context in made:
        context.close()


@pytest.fixture
def page(open_page: Callable[..., Page], gateway: Gateway) -> Iterator[Page]:
    """The gateway's page, opened by the link it prints, and connected; it must not complain."""
    shown = open_page(f"{gateway.url}/?token={gateway.token}")
    shown.wait_for_selector("#status[data-state=connected]")
    shown.wait_for_selector("#run:enabled")
    yield shown
    assert shown.complaints == []  # type: ignore[attr-defined]
