"""Daytona's code interpreter, asynchronous, on kernelbridge.

pip install daytona
DAYTONA_API_URL=http://127.0.0.1:8686/daytona/api DAYTONA_API_KEY=<token> python daytona_async.py
"""

import asyncio

from daytona import AsyncDaytona, ExecutionError, OutputMessage


def handle_stdout(msg: OutputMessage):
    print(f"STDOUT: {msg.output}", end="")


def handle_stderr(msg: OutputMessage):
    print(f"STDERR: {msg.output}", end="")


def handle_error(err: ExecutionError):
    print(f"ERROR: {err.name}: {err.value}")


async def main():
    async with AsyncDaytona() as daytona:
        sandbox = await daytona.create()
        await sandbox.code_interpreter.run_code(
            code="import sys; [print(i) for i in range(5)]; sys.stderr.write('Done!')",
            on_stdout=handle_stdout,
            on_stderr=handle_stderr,
            on_error=handle_error,
            timeout=10,
        )
        print()

        ctx = await sandbox.code_interpreter.create_context()
        await sandbox.code_interpreter.run_code("x = 100", context=ctx)
        result = await sandbox.code_interpreter.run_code("print(x)", context=ctx)  # OK
        print("in ctx:", result.stdout, end="")
        result = await sandbox.code_interpreter.run_code("print(x)", on_error=handle_error)  # NameError
        print("in default:", result.error.name)

        contexts = await sandbox.code_interpreter.list_contexts()
        for ctx in contexts:
            print(f"Context {ctx.id}: {ctx.language} at {ctx.cwd}")

        await sandbox.code_interpreter.delete_context(ctx)
        await sandbox.delete()


asyncio.run(main())
