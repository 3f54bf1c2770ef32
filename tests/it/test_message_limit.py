"""max_kernel_message_bytes: a kernel that sends more in one message is killed, and its run says why."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from checked import Checked
from harness.gateway import Gateway

LIMIT = 2 << 20

# Each sends a message of 3 MiB: on iopub; behind a small one, and while the code goes on; on shell.
TOO_LONG = {
    "display": "from IPython.display import display\ndisplay({'text/plain': 'x' * (3 << 20)}, raw=True)",
    "behind": "import time\nfrom IPython.display import display\ndisplay({'text/plain': 'a'}, raw=True)\n"
    "display({'text/plain': 'x' * (3 << 20)}, raw=True)\ntime.sleep(3600)",
    "reply": "get_ipython().payload_manager.write_payload({'source': 'page', 'data': 'x' * (3 << 20)})",
}


@pytest.fixture
def ws(make_gateway: Callable[..., Gateway]) -> Checked:
    with Checked(make_gateway(f"--max_kernel_message_bytes={LIMIT}")) as connection:
        yield connection


@pytest.mark.parametrize("how", TOO_LONG)
def test_a_message_too_long_ends_the_run(ws: Checked, how: str) -> None:
    context = ws.context()
    said = ws.run(TOO_LONG[how], context=context)
    assert said.how == "kernel_died"
    assert f"max_kernel_message_bytes ({LIMIT})" in said.one("error")["value"]
    assert ws.run("print('again')", context=context).text() == "again\n"


def test_others_pass(ws: Checked) -> None:
    said = ws.run("from IPython.display import display\ndisplay({'text/plain': 'x' * 200000}, raw=True)")
    assert said.how == "ok"
    assert said.one("display")["bundle"]["text/plain"] == "x" * 200000
