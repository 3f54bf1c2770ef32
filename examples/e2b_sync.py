"""E2B's code interpreter, synchronous, on kernelbridge.

pip install e2b-code-interpreter
E2B_API_URL=http://127.0.0.1:8686 E2B_SANDBOX_URL=http://127.0.0.1:8686 E2B_API_KEY=<token> python e2b_sync.py
"""

import base64

from e2b_code_interpreter import Sandbox

sbx = Sandbox.create(timeout=300, metadata={"user_id": "u_123"})

# Run generated code
code = "print('hello')\n1 / 0"
execution = sbx.run_code(code, language="python")
if execution.error:
    err = {
        "name": execution.error.name,
        "value": execution.error.value,
        "traceback": execution.error.traceback,
    }
    print("error:", err["name"], "-", err["value"])

# Supported runtimes
hello = {
    "python": "print('hello from', 'python')",
    "javascript": "console.log('hello from', 'javascript')",
    "r": "cat('hello from r\\n')",
    "java": 'System.out.println("hello from java");',
    "bash": "echo hello from bash",
}
for language, code in hello.items():
    print("".join(sbx.run_code(code, language=language).logs.stdout), end="")

# Streaming callbacks
code = """
import sys
import time
for i in range(3):
    print(i)
    time.sleep(0.2)
print("Done!", file=sys.stderr)
[i * i for i in range(4)]
"""
execution = sbx.run_code(
    code,
    on_stdout=lambda data: print("STDOUT:", data, end=""),
    on_stderr=lambda data: print("STDERR:", data, end=""),
    on_error=lambda err: print("ERROR:", err),
    on_result=lambda result: print("RESULT:", result),
)
print("text:", execution.text)
print("formats:", [list(result.formats()) for result in execution.results])

# Results and artifacts: save a chart image, use the chart's data
code = """
import matplotlib.pyplot as plt
plt.bar(["Ann", "Bob"], [3, 5])
plt.title("Books read")
plt.ylabel("Books (n)")
plt.show()
"""
result = sbx.run_code(code).results[0]
with open("chart.png", "wb") as file:
    file.write(base64.b64decode(result.png))
print(
    "chart:",
    result.chart.type.value,
    result.chart.title,
    [(bar.label, bar.value) for bar in result.chart.elements],
)

# Code contexts for parallel state
ctx = sbx.create_code_context(
    cwd="/home/user",
    language="python",
    request_timeout=60_000,
)
sbx.run_code("x = 100", context=ctx)
execution = sbx.run_code("x", context=ctx)
print("in context:", execution.text)
print("in default:", sbx.run_code("x").error.name)
print("contexts:", len(sbx.list_code_contexts()))
sbx.restart_code_context(ctx)
print("restarted:", sbx.run_code("x", context=ctx).error.name)
sbx.remove_code_context(ctx)

sbx.kill()
