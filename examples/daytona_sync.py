"""Daytona's code interpreter, synchronous, on kernelbridge.

pip install daytona
DAYTONA_API_URL=http://127.0.0.1:8686/daytona/api DAYTONA_API_KEY=<token> python daytona_sync.py
"""

from daytona import Daytona, ExecutionError, OutputMessage


def handle_stdout(msg: OutputMessage):
    print(f"STDOUT: {msg.output}", end="")


def handle_stderr(msg: OutputMessage):
    print(f"STDERR: {msg.output}", end="")


def handle_error(err: ExecutionError):
    print(f"ERROR: {err.name}: {err.value}")


sandbox = Daytona().create()

code = """
import sys
import time
for i in range(5):
    print(i)
    time.sleep(1)
sys.stderr.write("Counting done!")
"""
result = sandbox.code_interpreter.run_code(
    code=code,
    on_stdout=handle_stdout,
    on_stderr=handle_stderr,
    on_error=handle_error,
    timeout=10,
)
print()

# Create isolated context
ctx = sandbox.code_interpreter.create_context()

# Execute code in this context
sandbox.code_interpreter.run_code("x = 100", context=ctx)

# Variable only exists in this context
result = sandbox.code_interpreter.run_code("print(x)", context=ctx)  # OK
print("in ctx:", result.stdout, end="")

# Won't see the variable in default context
result = sandbox.code_interpreter.run_code("print(x)", on_error=handle_error)  # NameError
print("in default:", result.error.name)

contexts = sandbox.code_interpreter.list_contexts()
for ctx in contexts:
    print(f"Context {ctx.id}: {ctx.language} at {ctx.cwd}")

# Clean up
sandbox.code_interpreter.delete_context(ctx)
sandbox.delete()
