"""Everything that is printed arrives, in order, in small pieces, and soon."""

import itertools

import pytest

PIECE = 1 << 16


def test_line_arrives_while_the_cell_runs(kernel, gate):
    msg_id = kernel.send(f"print('now')\n{gate.wait}\nprint('later')")
    kernel.until_text(msg_id, "now\n")
    gate.open()
    assert kernel.finish(msg_id).text() == "later\n"


def test_text_without_line_end_arrives_while_the_cell_runs(kernel, gate):
    msg_id = kernel.send(f"print('50 %', end='')\n{gate.wait}")
    kernel.until_text(msg_id, "50 %")
    gate.open()
    kernel.finish(msg_id)


def test_line_arrives_while_the_cell_computes(kernel, tmp_path):
    flag = tmp_path / "flag"
    code = f"import os\nprint('a\\nb')\nwhile not os.path.exists({str(flag)!r}): sum(range(1000))"
    msg_id = kernel.send(code)
    kernel.until_text(msg_id, "b\n")
    flag.touch()
    kernel.finish(msg_id)


def test_the_start_of_a_cell_and_a_result_within_it_arrive_while_it_runs(kernel, tmp_path):
    """They wait for what follows, but not for ever."""
    flag = tmp_path / "flag"
    hold = f"while not os.path.exists({str(flag)!r}): sum(range(1000))"
    msg_id = kernel.send(f"import os, sys\nsys.displayhook(6 * 7)\n{hold}\nsys.displayhook('end')")
    seen = [kernel.event(msg_id) for _ in range(3)]
    assert [msg["msg_type"] for msg in seen] == ["status", "execute_input", "execute_result"]
    flag.touch()
    assert [msg["msg_type"] for msg in kernel.finish(msg_id).events] == ["execute_result", "status"]


def test_short_print_is_one_message(kernel):
    runs = [kernel.run("print('one', 'two')").of("stream") for _ in range(50)]
    texts = [[e["content"]["text"] for e in streams] for streams in runs]
    assert texts.count(["one two\n"]) > 40  # not where the machine paused within a print


def test_streams_stay_interleaved(kernel):
    code = "import sys\nfor i in range(50): print('o', i); print('e', i, file=sys.stderr)"
    expected = []
    for i in range(50):
        expected += [("stdout", f"o {i}\n"), ("stderr", f"e {i}\n")]
    assert kernel.run(code).merged == expected


def test_results_and_displays_stay_in_order(kernel):
    code = "for i in range(20): print(i); display(i); clear = i\nprint('end')\n'last'"
    run = kernel.run(code)
    kinds = [e["msg_type"] for e in run.events if e["msg_type"] != "status"]
    kinds = [kind for kind, _same in itertools.groupby(kinds)]
    assert kinds == ["execute_input", *["stream", "display_data"] * 20, "stream", "execute_result"]


def test_children_and_descriptors_are_captured_in_order(kernel):
    code = """
import os, subprocess, sys
for i in range(20):
    print('py', i)
    os.system(f'echo sh {i}')
    os.write(1, b'fd %d\\n' % i)
    print('py', i, 'again')
    subprocess.run(['sh', '-c', f'echo err {i} >&2'])
    subprocess.run(['echo', 'given', str(i)], stdout=sys.stdout)
"""
    run = kernel.run(code)
    out = [f"py {i}\nsh {i}\nfd {i}\npy {i} again\ngiven {i}\n" for i in range(20)]
    assert run.text() == "".join(out)
    assert run.text("stderr") == "".join(f"err {i}\n" for i in range(20))


def test_child_output_at_the_end_arrives_before_idle(kernel):
    for i in range(30):
        assert kernel.run(f"import os; _ = os.system('echo {i}')").text() == f"{i}\n"


def test_much_child_output_arrives(kernel):
    run = kernel.run("import os; _ = os.system('seq 1 1000000')")
    assert run.text() == "".join(f"{i}\n" for i in range(1, 1000001))


def test_c_stdio_arrives(kernel):
    code = "import ctypes; c = ctypes.CDLL(None); print('a'); c.printf(b'b\\n'); print('c'); c.printf(b'd')"
    assert kernel.run(code + ";").text() == "a\nb\nc\nd"


def test_character_cut_between_two_writes(kernel):
    code = "import os\nfor b in '\u00e4\u20ac\U0001f600\\n'.encode(): os.write(1, bytes([b]))"
    assert kernel.run(code).text() == "\u00e4\u20ac\U0001f600\n"


def test_buffer_takes_bytes(kernel):
    code = "import sys\nsys.stdout.buffer.write('\u00e4'.encode()[:1]); sys.stdout.buffer.write('\u00e4'.encode()[1:]);"
    assert kernel.run(code).text() == "\u00e4"


@pytest.mark.parametrize("char", ["x", "\u20ac", "\U0001f600", "\x00"])
def test_one_huge_print_comes_in_pieces(kernel, char):
    count = 50_000_000 // len(char.encode())
    run = kernel.run(f"n = {count}\nprint({char!r} * n)")
    texts = [e["content"]["text"] for e in run.of("stream")]
    assert sum(len(t) for t in texts) == count + 1
    assert "".join(texts) == char * count + "\n"
    assert max(len(t.encode()) for t in texts) <= PIECE


def test_a_flood_of_lines_arrives_in_pieces(kernel):
    run = kernel.run("for i in range(300000): print(i)")
    assert run.text() == "".join(f"{i}\n" for i in range(300000))
    assert max(len(e["content"]["text"]) for e in run.of("stream")) <= PIECE


def test_flushed_prints_arrive(kernel):
    run = kernel.run("for i in range(5000): print(i, flush=True)")
    assert run.text() == "".join(f"{i}\n" for i in range(5000))


def test_a_flood_of_displays_arrives(kernel):
    run = kernel.run("for i in range(5000): display(i)")
    shown = [e["content"]["data"]["text/plain"] for e in run.of("display_data")]
    assert shown == [str(i) for i in range(5000)]


def test_lone_surrogates_become_replacement_characters(kernel):
    run = kernel.run(r"print('a\ud800b\udc80c\U0001f600', '\x00'); 'r\udfff'")
    assert run.text() == "a\ufffdb\ufffdc\U0001f600 \x00\n"
    assert run.result == r"'r\udfff'"


def test_lone_surrogate_in_error_and_display(kernel):
    run = kernel.run(r"display({'text/plain': '\ud800'}, raw=True); raise ValueError('\ud801')")
    assert run.of("display_data")[0]["content"]["data"]["text/plain"] == "\ufffd"
    assert run.error["evalue"] == "\ufffd"
    assert run.plain["value"] == "\ufffd"


def test_threads_print(kernel):
    code = """
import threading
def work(n):
    for i in range(1000): print(f'{n} {i}\\n', end='')
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]; print('end')
"""
    lines = kernel.run(code).text().splitlines()
    assert lines[-1] == "end"
    for n in range(4):
        mine = [line for line in lines if line.startswith(f"{n} ")]
        assert mine == [f"{n} {i}" for i in range(1000)]


def test_thread_that_outlives_its_cell_prints(kernel, gate):
    code = f"import threading\ndef f(): {gate.wait}; print('late')\nt = threading.Thread(target=f); t.start()"
    assert kernel.run(code).text() == ""
    msg_id = kernel.send("print('joining'); t.join()")
    kernel.until_text(msg_id, "joining\n")
    gate.open()
    assert kernel.finish(msg_id).text() == "late\n"


def test_write_rules_of_a_text_stream(kernel):
    code = """
import sys, io
assert sys.stdout.write('ab') == 2 and sys.stdout.writable() and not sys.stdout.isatty()
assert sys.stdout.encoding.lower() == 'utf-8'
sys.stdout.writelines(['c', 'd\\n'])
try: sys.stdout.write(b'x')
except TypeError as e: print(e)
with __import__('contextlib').redirect_stdout(io.StringIO()) as s: print('hidden')
print(s.getvalue() == 'hidden\\n', sys.stdout.fileno(), sys.stderr.fileno())
"""
    expected = "abcd\nwrite() argument must be str, not bytes\nTrue 1 2\n"
    assert kernel.run(code).text() == expected


def test_printing_finalizer_does_not_deadlock(kernel):
    code = """
import gc
class Loud:
    def __init__(self): self.me = self
    def __del__(self): print('gone')
for i in range(2000): Loud(); print(i)
gc.collect();
"""
    text = kernel.run(code).text()
    assert text.count("gone") == 2000
    assert [line for line in text.splitlines() if line != "gone"] == [str(i) for i in range(2000)]


def test_nothing_but_messages_reaches_the_process_output(make_kernel):
    kernel = make_kernel()
    kernel.run("import os, sys; print('x'); print('y', file=sys.stderr); os.system('echo z')")
    assert kernel.stderr() == ""
