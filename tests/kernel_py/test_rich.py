"""What values are shown as, in rich runs and in others; needs install-kernels --with-science."""

import json

import pytest

RICH = {"kernelbridge": {"rich": True}}


def data(run):
    (event,) = run.of("execute_result")
    return event["content"]["data"]


def rich(kernel, code):
    return data(kernel.run(code, meta=RICH))


FRAME = """
import pandas as pd, numpy as np, datetime, decimal
pd.DataFrame({
    "n": [1.0, np.nan, np.inf],
    "i": [1, 2, 2**62],
    "s": ["a", None, "\u20ac\U0001f600"],
    "t": [pd.Timestamp("2024-01-02 03:04:05"), pd.NaT, pd.Timestamp("2024-01-02", tz="UTC").tz_localize(None)],
    "b": [True, False, True],
    "o": [np.int64(3), [1, np.nan], {"k": np.float32(0.5), "big": 2**70}],
    "x": [decimal.Decimal("1.5"), pd.NA, datetime.date(2024, 1, 2)],
    7: pd.Categorical(["u", "v", "u"]),
    ("p", 1): pd.to_timedelta([1, 2, 3], unit="D"),
})
"""


def test_data_of_a_frame(kernel):
    shown = rich(kernel, FRAME)
    assert shown["e2b/data"] == {
        "n": [1.0, None, None],
        "i": [1, 2, 2**62],
        "s": ["a", None, "\u20ac\U0001f600"],
        "t": ["2024-01-02T03:04:05", None, "2024-01-02T00:00:00"],
        "b": [True, False, True],
        "o": [3, [1, None], {"k": 0.5, "big": str(2**70)}],
        "x": ["1.5", None, "2024-01-02"],
        "7": ["u", "v", "u"],
        "('p', 1)": ["1 days 00:00:00", "2 days 00:00:00", "3 days 00:00:00"],
    }
    assert "text/html" in shown and "text/plain" in shown


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("pd.DataFrame()", {}),
        ("pd.DataFrame({'a': []})", {"a": []}),
        ("pd.DataFrame([[1, 2]], columns=['a', 'a'])", {"a": [2]}),
        ("type('Mine', (pd.DataFrame,), {})({'a': [1]})", {"a": [1]}),
        ("pd.DataFrame({'a': [1, 2, 2]}).value_counts().to_frame()", {"count": [2, 1]}),
        ("pd.DataFrame({'a': pd.array([1, None], dtype='Int64')})", {"a": [1, None]}),
        ("pd.DataFrame({'a': ['\\ud800']}, dtype=object)", {"a": ["\ufffd"]}),
    ],
)
def test_data_of_odd_frames(kernel, frame, expected):
    run = kernel.run(f"import pandas as pd\n{frame}", meta=RICH)
    assert data(run)["e2b/data"] == expected
    assert run.text("stderr") == ""


JSON = {
    "[]": [],
    "[2**64 - 1, -2**63]": [2**64 - 1, -(2**63)],
    "{}": {},
    "[1, 2.5, 'x', None, True]": [1, 2.5, "x", None, True],
    "[float('nan'), float('inf'), {'a': -float('inf')}]": [None, None, {"a": None}],
    "{1: 'a', None: 'b', True: 'c', 2.5: 'd'}": {"1": "c", "null": "b", "2.5": "d"},
    "__import__('collections').OrderedDict(a=1)": {"a": 1},
    "__import__('collections').Counter('aab')": {"a": 2, "b": 1},
    "type('L', (list,), {})([1])": [1],
    "[(1, 2), '\\ud800']": [[1, 2], "\ufffd"],
    "import numpy as np\n[np.int64(1), np.float32(0.5), np.nan, np.arange(4).reshape(2, 2), np.True_]": [
        1, 0.5, None, [[0, 1], [2, 3]], True,
    ],
    "import numpy as np\n{np.int64(1): np.datetime64('2024-01-02')}": {"1": "2024-01-02"},
    "import datetime as d\n{d.date(2024, 1, 2): [d.datetime(2024, 1, 2, 3), d.time(4)]}": {
        "2024-01-02": ["2024-01-02T03:00:00", "04:00:00"]
    },
    "import enum, uuid\n[enum.Enum('E', 'a').a, uuid.UUID(int=0)]": [
        1, "00000000-0000-0000-0000-000000000000",
    ],
    "import collections\n[collections.namedtuple('P', 'x y')(1, 2)]": [[1, 2]],
    "import dataclasses\n[dataclasses.make_dataclass('D', ['x'])(5)]": [{"x": 5}],
}  # fmt: skip


@pytest.mark.parametrize("code", JSON)
def test_json_of_lists_and_dicts(kernel, code):
    assert rich(kernel, code)["application/json"] == JSON[code]


NO_JSON = [
    "[object()]", "[{1, 2}]", "[b'x']", "{(1, 2): 3}", "{'a': print}", "a = []; a.append(a)\na",
    "x = []\nfor _ in range(100_000): x = [x]\n[*range(3), x, x][:4]", "(1, 2)", "{1}", "'text'", "5",
    "type('Bad', (dict,), {'items': lambda self: 1 / 0})(a=1)", "[1j]", "[10**5000]", "[2**64]", "[-2**63 - 1]",
    "import numpy as np\nnp.arange(3)",
]  # fmt: skip


@pytest.mark.parametrize("code", NO_JSON)
def test_what_has_no_json_is_shown_without(kernel, code):
    run = kernel.run(code, meta=RICH)
    if run.reply["status"] == "ok":
        assert "application/json" not in data(run)
    else:
        assert run.error["ename"] in ("RecursionError", "ValueError")  # of its own repr


def test_shown_values_have_them_too(kernel):
    run = kernel.run("import pandas as pd\ndisplay([1], pd.DataFrame({'a': [1]}))", meta=RICH)
    first, second = (e["content"]["data"] for e in run.of("display_data"))
    assert first["application/json"] == [1] and second["e2b/data"] == {"a": [1]}


def test_rich_is_a_matter_of_the_run(kernel):
    code = "import pandas as pd\ndisplay(pd.DataFrame({'a': [1]}))\nlist(range(2000))"
    for meta in (None, RICH, {"kernelbridge": {"rich": False}}, RICH, {"kernelbridge": {"rich": None}}):
        run = kernel.run(code, meta=meta)
        (shown,) = run.of("display_data")
        extra = meta is RICH
        assert ("e2b/data" in shown["content"]["data"]) is extra
        assert ("application/json" in data(run)) is extra
        assert ("..." in data(run)["text/plain"]) is not extra


def test_long_sequences_are_whole_in_rich_runs(kernel):
    text = rich(kernel, "list(range(5000))")["text/plain"]
    assert json.loads(text) == list(range(5000))


def test_the_users_own_limit_holds(make_kernel):
    kernel = make_kernel()
    kernel.run("get_ipython().display_formatter.formatters['text/plain'].max_seq_length = 3")
    assert rich(kernel, "list(range(5))")["text/plain"] == "[0, 1, 2, ...]"
    assert kernel.run("list(range(5))").result == "[0, 1, 2, ...]"


def test_threads_belong_to_the_run(kernel):
    code = """
import threading
def show(i):
    display([i])
threads = [threading.Thread(target=show, args=(i,)) for i in range(20)]
[t.start() for t in threads]; [t.join() for t in threads]
"""
    for meta, extra in ((RICH, True), (None, False), (RICH, True)):
        shown = [e["content"]["data"] for e in kernel.run(code, meta=meta).of("display_data")]
        assert len(shown) == 20
        if extra:
            assert sorted(d["application/json"][0] for d in shown) == list(range(20))
        else:
            assert not any("application/json" in d for d in shown)


def test_each_of_two_runs_at_once_has_its_own(kernel, gate):
    session = kernel.client.session
    kernel.client.control_channel.send(session.msg("create_subshell_request", {}))
    subshell = kernel.client.get_control_msg(timeout=30)["content"]["subshell_id"]
    first = kernel.send(f"print('on', flush=True); {gate.wait}\n[1]", meta=RICH)
    kernel.until_text(first, "on\n")
    msg = session.msg(
        "execute_request", {"code": "display([2])", "silent": False, "store_history": False}
    )
    msg["header"]["subshell_id"] = subshell
    kernel.client.shell_channel.send(msg)
    (shown,) = kernel.finish(msg["header"]["msg_id"]).of("display_data")
    gate.open()
    assert "application/json" not in shown["content"]["data"]
    assert data(kernel.finish(first))["application/json"] == [1]
    kernel.client.control_channel.send(session.msg("delete_subshell_request", {"subshell_id": subshell}))
    assert kernel.client.get_control_msg(timeout=30)["content"]["status"] == "ok"


PROXY = """
class Proxy:
    @property
    def __class__(self): raise RuntimeError("unbound")
"""


@pytest.mark.parametrize("meta", [None, RICH])
def test_proxies_that_are_not_bound(kernel, meta):
    (shown,) = kernel.run(PROXY + "display(Proxy())", meta=meta).of("display_data")
    assert "Proxy" in shown["content"]["data"]["text/plain"]


def test_classes_with_their_own_representations(kernel):
    code = """
class Own:
    def _repr_html_(self): return "<b>own</b>"
    def _repr_json_(self): return {"own": 1}
    def _repr_e2b_data_(self): return {"a": [1]}
    def _repr_e2b_chart_(self): return {"type": "unknown"}
Own()
"""
    shown = rich(kernel, code)
    assert shown["text/html"] == "<b>own</b>" and shown["application/json"] == {"own": 1}
    assert shown["e2b/data"] == {"a": [1]} and shown["e2b/chart"] == {"type": "unknown"}
    assert "e2b/data" not in data(kernel.run(code))


def test_nothing_is_imported_for_it(make_kernel):
    kernel = make_kernel()
    kernel.run("[1]", meta=RICH)
    names = "('pandas', 'numpy', 'matplotlib', 'PIL', 'e2b_charts', 'pydantic', 'orjson')"
    assert kernel.run(f"import sys; [n for n in {names} if n in sys.modules]").result == "[]"


@pytest.mark.parametrize("value", [0, 1, "yes", [], {}])
def test_rich_is_true_or_false(kernel, value):
    run = kernel.run("print('ran')", meta={"kernelbridge": {"rich": value}})
    assert run.error["ename"] == "ValueError" and run.text() == ""
    assert run.plain["value"] == "metadata.kernelbridge.rich must be true or false"


class Bare(ValueError):
    """A bare NaN or Infinity was on the wire."""


def strict(raw):
    def refuse(name):
        raise Bare(name)

    return json.loads(raw, parse_constant=refuse)


@pytest.mark.parametrize("meta", [None, RICH])
def test_nan_never_reaches_the_wire(make_kernel, meta):
    kernel = make_kernel()
    kernel.client.session.unpack = strict
    code = """
import numpy as np
nan, inf = float('nan'), float('inf')
bundle = {'application/json': {'a': [nan, -inf, np.float32('nan'), (1, inf)], nan: 1}, 'text/plain': 'x'}
display(bundle, raw=True, metadata={'m': nan}, transient={'t': inf})
display({**bundle, 'image/png': b'png'}, raw=True)
[nan, inf]
"""
    run = kernel.run(code, meta=meta)
    first, second = (e["content"] for e in run.of("display_data"))
    assert first["data"]["application/json"] == {"a": [None, None, None, [1, None]], "nan": 1}
    assert first["metadata"] == {"m": None} and first["transient"]["t"] is None
    assert second["data"]["image/png"] == "cG5n"
    assert data(run)["text/plain"] == "[nan, inf]"
