"""Queues, parallel contexts, large code and large output: daytona.md sections 3 and 4."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from adapter import Box, Heard
from harness.gateway import Gateway


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# ------------------------------------------------------------------ queues


async def test_runs_of_one_context_are_fifo(gateway: Gateway, box: Box, ctx: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    heard = Heard()
    code = (
        f"import os, time\nlog = []\nprint('held')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    )
    first = asyncio.ensure_future(box.run(code, context=ctx, **heard.callbacks))
    await heard.wait_text("stdout", "held")
    queued = []
    for i in range(10):
        queued.append(asyncio.ensure_future(box.run(f"log.append({i})", context=ctx)))
        await asyncio.to_thread(gateway.wait_gauge, "executions_queued", i + 1)
    go.touch()
    await asyncio.gather(first, *queued)
    assert (await box.run("print(log)", context=ctx)).stdout == f"{list(range(10))}\n"


async def test_one_context_runs_one_at_a_time(box: Box, ctx: Any) -> None:
    """Twelve clients at once: no run ever sees another one inside."""
    code = "import time\nassert not globals().get('inside')\ninside = True\ntime.sleep(0.01)\ninside = False"
    results = await asyncio.gather(*(box.run(code, context=ctx) for _ in range(12)))
    assert [r.error for r in results] == [None] * 12


async def test_output_of_queued_runs_is_not_mixed(box: Box, ctx: Any) -> None:
    results = await asyncio.gather(
        *(box.run(f"for i in range(50): print({n}, i)", context=ctx) for n in range(8))
    )
    for n, result in enumerate(results):
        assert result.stdout == "".join(f"{n} {i}\n" for i in range(50))


async def test_two_contexts_run_in_parallel(box: Box, ctx: Any, tmp_path: Path) -> None:
    """Each waits for a file that only the other one makes."""
    other = await box.create_context()

    def code(mine: str, theirs: str) -> str:
        return (
            f"import os, time\nopen({str(tmp_path / mine)!r}, 'w').close()\n"
            f"while not os.path.exists({str(tmp_path / theirs)!r}): time.sleep(0.01)\nprint('met')"
        )

    results = await asyncio.gather(
        box.run(code("a", "b"), context=ctx), box.run(code("b", "a"), context=other)
    )
    assert [r.stdout for r in results] == ["met\n", "met\n"]
    await box.delete_context(other)


async def test_eight_runs_in_eight_contexts(box: Box, tmp_path: Path) -> None:
    """All eight are inside at once: each goes on when all eight files exist."""
    contexts = await asyncio.gather(*(box.create_context() for _ in range(8)))
    assert len({context.id for context in contexts}) == 8

    def code(n: int) -> str:
        return (
            f"import os, time\nopen({str(tmp_path)!r} + '/{n}', 'w').close()\n"
            f"while len(os.listdir({str(tmp_path)!r})) < 8: time.sleep(0.02)\nprint('all', {n})"
        )

    results = await asyncio.gather(*(box.run(code(n), context=c) for n, c in enumerate(contexts)))
    assert [r.stdout for r in results] == [f"all {n}\n" for n in range(8)]
    await asyncio.gather(*(box.delete_context(context) for context in contexts))


async def test_default_context_runs_beside_a_busy_one(box: Box, ctx: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    heard = Heard()
    code = f"import os, time\nprint('held')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    busy = asyncio.ensure_future(box.run(code, context=ctx, **heard.callbacks))
    await heard.wait_text("stdout", "held")
    assert (await box.run("print('beside')")).stdout == "beside\n"
    go.touch()
    await busy


async def test_contexts_are_listed_while_one_is_busy(box: Box, ctx: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    heard = Heard()
    code = f"import os, time\nprint('held')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    busy = asyncio.ensure_future(box.run(code, context=ctx, **heard.callbacks))
    await heard.wait_text("stdout", "held")
    listed = {context.id: context.active for context in await box.list_contexts()}
    assert listed[ctx.id] is True
    go.touch()
    await busy


async def test_more_runs_wait_than_the_queue_of_daytona_holds(box: Box, ctx: Any) -> None:
    """150 at once; Daytona's own queue is 128 deep and the next ones wait."""
    results = await asyncio.gather(*(box.run(f"print({i})", context=ctx) for i in range(150)))
    assert [r.stdout for r in results] == [f"{i}\n" for i in range(150)]


# ------------------------------------------------------------------ sizes


async def test_two_megabytes_of_code(box: Box) -> None:
    text = "".join(chr(97 + i % 26) for i in range(2_000_000))
    code = f"import hashlib\nbig = '''{text}'''\nprint(len(big), hashlib.sha256(big.encode()).hexdigest())"
    result = await box.run(code)
    assert result.error is None
    assert result.stdout == f"2000000 {sha(text)}\n"


async def test_code_of_many_lines(box: Box) -> None:
    code = "".join(f"v{i % 10} = {i}\n" for i in range(20_000)) + "print(v9)\n1/0"
    result = await box.run(code)
    assert result.stdout == "19999\n"
    assert result.error is not None
    assert "line 20002" in result.error.traceback


async def test_ten_megabytes_in_one_line(box: Box) -> None:
    result = await box.run("print('0123456789abcdef' * 640_000)")
    assert result.error is None
    assert len(result.stdout) == 10_240_001
    assert sha(result.stdout) == sha("0123456789abcdef" * 640_000 + "\n")


async def test_a_hundred_thousand_lines(box: Box) -> None:
    result = await box.run("for i in range(100_000): print(i)")
    assert result.error is None
    expected = "".join(f"{i}\n" for i in range(100_000))
    assert len(result.stdout) == len(expected)
    assert sha(result.stdout) == sha(expected)


async def test_much_output_of_wide_characters(box: Box) -> None:
    """Frames are cut on code point boundaries."""
    result = await box.run("print('🦆é日' * 400_000)")
    assert len(result.stdout) == 1_200_001
    assert sha(result.stdout) == sha("🦆é日" * 400_000 + "\n")


async def test_much_output_that_json_must_escape(box: Box) -> None:
    result = await box.run("print('\\x00\\x01\"\\\\\\n' * 200_000)")
    assert sha(result.stdout) == sha('\x00\x01"\\\n' * 200_000 + "\n")


async def test_both_streams_at_length(box: Box) -> None:
    result = await box.run(
        "import sys\nfor i in range(5_000):\n    print('o', i)\n    print('e', i, file=sys.stderr)"
    )
    assert result.stdout == "".join(f"o {i}\n" for i in range(5_000))
    assert result.stderr == "".join(f"e {i}\n" for i in range(5_000))


async def test_much_output_of_a_child(box: Box) -> None:
    result = await box.run("import subprocess\nsubprocess.run(['seq', '1', '100000'], check=True)\nNone")
    assert result.error is None
    assert sha(result.stdout) == sha("".join(f"{i}\n" for i in range(1, 100_001)))


async def test_flushed_prints_all_arrive(box: Box) -> None:
    result = await box.run("for i in range(3_000): print(i, flush=True)")
    assert result.stdout == "".join(f"{i}\n" for i in range(3_000))


@pytest.mark.parametrize("size", [300_000, 5_000_000])
async def test_long_error(box: Box, size: int) -> None:
    """An error object in every SDK, though the asynchronous one takes no message above 4 MiB: of a long value the start and
    the end are kept, in a frame of at most 1 MiB however its characters are escaped."""
    result = await box.run(f"raise ValueError('x' * {size})")
    assert result.error is not None
    assert result.error.name == "ValueError"
    assert result.error.value.startswith("x" * 30_000)
    assert len(result.error.value) < 70_000
    assert (await box.run("print('fine')")).stdout == "fine\n"


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 1_048_575, 1_048_576, 1_048_577])
async def test_sizes_at_the_edges_of_frames(box: Box, size: int) -> None:
    result = await box.run(f"import sys\nsys.stdout.write('a' * {size - 1} + 'z')\nNone")
    assert len(result.stdout) == size
    assert result.stdout.endswith("az")
    assert result.stdout.count("a") == size - 1
