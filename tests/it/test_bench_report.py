"""The page that tests/bench/report makes of its numbers: from a small report that is stored, and from parts of it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]
STORED = TESTS / "data/bench/report.json"
sys.path.append(str(TESTS / "bench"))

import document  # noqa: E402
import targets  # noqa: E402


@pytest.fixture
def report() -> dict[str, Any]:
    return json.loads(STORED.read_text())


def page(report: dict[str, Any], profile: str = "", drawn: tuple[str, ...] = ()) -> str:
    return document.document(report, profile, "benchmarks/report.json", set(drawn))


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, its head among them."""
    section = text.split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]
    found: list[list[str]] = []
    for line in section.splitlines():
        if line.startswith("|"):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
        elif found:
            break
    return found


def test_every_subject_has_its_section(report: dict[str, Any]) -> None:
    text = page(report)
    assert set(report["subjects"]) == set(document.SECTIONS)
    for title, _ in document.SECTIONS.values():
        assert f"\n## {title}\n" in text


def test_tables_have_as_many_cells_as_their_heads(report: dict[str, Any]) -> None:
    for block in re.findall(r"(?:^\|.*\n)+", page(report), re.MULTILINE):
        lines = block.splitlines()
        assert {line.count("|") for line in lines} == {lines[0].count("|")}, block
        assert len(lines) > 2, block


def test_each_target_is_told_with_what_was_measured(report: dict[str, Any]) -> None:
    table = rows(page(report), "## Targets")[2:]
    assert [row[0] for row in table] == [target.what for target in targets.TARGETS]
    assert not any("not measured" in row[2] for row in table)
    assert all(row[3].startswith(("met", "**not met**")) for row in table)


def test_a_target_is_met_or_not_and_by_how_much(report: dict[str, Any]) -> None:
    target = targets.Target("x", 10, "ms", lambda s: s["x"])
    assert [targets.Outcome(target, value).verdict() for value in (5.0, 10.0, 15.0, None)] == [
        "met, 50 % below", "met", "**not met**, 50 % above", "-"]  # fmt: skip
    target = targets.Target("x", 50, "", lambda s: s["x"], at_least=True)
    assert [targets.Outcome(target, value).verdict() for value in (55.0, 40.0)] == [
        "met, 10 % above", "**not met**, 20 % below"]  # fmt: skip
    target = targets.Target("x", 0, "", lambda s: s["x"])
    assert [targets.Outcome(target, value).verdict() for value in (0.0, 2.0)] == [
        "met", "**not met**, 2 above"]  # fmt: skip
    report["subjects"]["latency"]["warm"]["p50_ms"] = report["subjects"]["latency"]["floor"]["p50_ms"] + 1.15
    assert rows(page(report), "## Targets")[2][1:] == ["≤ 0.15 ms", "1.15 ms", "**not met**, 667 % above"]


@pytest.mark.parametrize("subject", document.SECTIONS)
def test_what_was_not_measured_is_left_out_and_said(report: dict[str, Any], subject: str) -> None:
    title = document.SECTIONS[subject][0]
    whole = {row[0]: row[2] for row in rows(page(report), "## Targets")}
    del report["subjects"][subject]
    text = page(report)
    assert f"\n## {title}\n" not in text
    for what, measured in ((row[0], row[2]) for row in rows(text, "## Targets")):
        assert measured in (whole[what], "not measured")


def test_loss_shows(report: dict[str, Any]) -> None:
    assert "**no**" not in page(report)
    report["subjects"]["flood"]["cases"]["lines"]["native"]["complete"] = False
    text = page(report)
    assert "**no**" in text
    lost = next(row for row in rows(text, "## Targets") if row[0] == "1e6 lines: ways that lost output")
    assert lost[1:] == ["≤ 0", "1", "**not met**, 1 above"]


def test_plots_that_are_there_are_shown(report: dict[str, Any]) -> None:
    assert "![" not in page(report)
    shown = re.findall(r"\]\((\S+\.svg)\)", page(report, drawn=tuple(document.PLOTS)))
    assert sorted(shown) == sorted(f"benchmarks/{name}.svg" for name in document.PLOTS)


def test_profile_notes_and_what_came_later_are_in_it(report: dict[str, Any]) -> None:
    report["notes"] = ["soak: left out"]
    report["measured"]["cost"] |= {"commit": "0123456789ab"}
    text = page(report, profile="## Where the time goes\n\nBy hand.\n")
    assert text.index("## Targets") < text.index("By hand.") < text.index("## One run")
    assert "- soak: left out\n" in text
    assert "measured separately: cost" in text
    assert "(0123456789ab)" in text
