"""Much of everything, complete and in order: large results, many displays, many lines, many runs."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

import pytest
from e2b_adapter import Box, Told, stderr, stdout

pytest_plugins = ["e2b_fixtures"]


async def test_a_hundred_thousand_lines(sbx: Box) -> None:
    execution = await sbx.run("for i in range(100_000): print(i)")
    assert execution.error is None
    assert stdout(execution) == "".join(f"{i}\n" for i in range(100_000))


async def test_both_streams_at_once(sbx: Box) -> None:
    execution = await sbx.run("import sys\nfor i in range(3_000): print(i); print(-i, file=sys.stderr)")
    assert stdout(execution) == "".join(f"{i}\n" for i in range(3_000))
    assert stderr(execution) == "".join(f"{-i}\n" for i in range(3_000))


async def test_a_result_of_twenty_megabytes(sbx: Box) -> None:
    execution = await sbx.run("''.join(f'{i:08d}' for i in range(2_500_000))")
    assert execution.error is None
    assert len(execution.text or "") == 20_000_000
    assert execution.text == "".join(f"{i:08d}" for i in range(2_500_000))


async def test_an_image_of_twenty_megabytes(sbx: Box) -> None:
    code = (
        "import random\nfrom IPython.display import display\nrandom.seed(7)\ndata = random.randbytes(15_000_000)\n"
        "import base64, hashlib\ndisplay({'image/png': base64.b64encode(data).decode()}, raw=True)\n"
        "print(hashlib.sha256(data).hexdigest())\ndel data"
    )
    execution = await sbx.run(code)
    assert execution.error is None
    [result] = execution.results
    assert (
        hashlib.sha256(base64.b64decode(result.png, validate=True)).hexdigest() == stdout(execution).strip()
    )


async def test_wide_characters_in_a_large_result(sbx: Box) -> None:
    """Every character takes an escape; none is lost where the network cuts."""
    execution = await sbx.run("'a🦆é日' * 300_000")
    assert execution.text == "a🦆é日" * 300_000


async def test_eight_thousand_displays(sbx: Box) -> None:
    told = Told()
    execution = await sbx.run(
        "from IPython.display import display\nfor i in range(8000): display(i)", **told.callbacks
    )
    assert execution.error is None
    assert [result.text for result in execution.results] == [str(i) for i in range(8000)]
    assert [value for kind, value in told.events if kind == "result"] == execution.results


async def test_displays_and_output_in_order(sbx: Box) -> None:
    told = Told()
    await sbx.run(
        "from IPython.display import display\nfor i in range(500): print(i); display(i)", **told.callbacks
    )
    assert [value.strip() if kind == "stdout" else value.text for kind, value in told.merged()] == [
        str(i) for i in range(500) for _ in range(2)
    ]


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 262_144, 1_048_576])
async def test_one_line_of_any_size(sbx: Box, size: int) -> None:
    out = await sbx.out(
        f"import sys; sys.stdout.write('0123456789abcdef' * {size // 16} + 'x' * {size % 16})"
    )
    assert out == "0123456789abcdef" * (size // 16) + "x" * (size % 16)


async def test_two_hundred_runs(sbx: Box, fresh: Any) -> None:
    for i in range(0, 200, 20):
        executions = await asyncio.gather(*(sbx.run(f"{i + n}", context=fresh) for n in range(20)))
        assert [execution.text for execution in executions] == [str(i + n) for n in range(20)]


async def test_much_in_several_contexts_at_once(sbx: Box) -> None:
    made = await asyncio.gather(*(sbx.create_context() for _ in range(3)))
    outs = await asyncio.gather(
        *(sbx.out(f"for i in range(30_000): print({n}, i)", context=c) for n, c in enumerate(made))
    )
    for n, out in enumerate(outs):
        assert out == "".join(f"{n} {i}\n" for i in range(30_000))
    await asyncio.gather(*(sbx.remove(context) for context in made))


async def test_large_error(sbx: Box) -> None:
    execution = await sbx.run("raise ValueError('v' * 1_000_000)")
    assert execution.error is not None
    assert len(execution.error.value) >= 100_000
    assert set(execution.error.value[:100_000]) == {"v"}


async def test_wide_table(sbx: Box) -> None:
    execution = await sbx.run("import pandas as pd\npd.DataFrame({f'c{i}': range(2000) for i in range(50)})")
    assert execution.error is None
    assert execution.results[0].data["c49"] == list(range(2000))
