"""Languages, contexts and streamed output of OpenSandbox's code interpreter, on kernelbridge.

pip install opensandbox-code-interpreter
OPEN_SANDBOX_DOMAIN=127.0.0.1:8686 OPEN_SANDBOX_API_KEY=<token> python opensandbox_languages.py
"""

import asyncio

from code_interpreter import CodeInterpreter, SupportedLanguage
from opensandbox import Sandbox
from opensandbox.models.execd import ExecutionHandlers


async def default_contexts(interpreter: CodeInterpreter) -> None:
    """Without a context, a language's default one keeps the state."""
    execution = await interpreter.codes.run(
        "result = 2 + 2\nresult",
        language=SupportedLanguage.PYTHON,
    )
    assert execution.result and execution.result[0].text == "4"

    await interpreter.codes.run("x = 42", language=SupportedLanguage.PYTHON)
    execution = await interpreter.codes.run("result = x\nresult", language=SupportedLanguage.PYTHON)
    assert execution.result and execution.result[0].text == "42"
    print("default:", execution.result[0].text)


async def java(interpreter: CodeInterpreter) -> None:
    ctx = await interpreter.codes.create_context(SupportedLanguage.JAVA)
    execution = await interpreter.codes.run(
        (
            'System.out.println("Calculating sum...");\n'
            + "int a = 10;\n"
            + "int b = 20;\n"
            + "int sum = a + b;\n"
            + 'System.out.println("Sum: " + sum);\n'
            + "sum"
        ),
        context=ctx,
    )

    assert execution.id == ctx.id
    for msg in execution.logs.stdout:
        print(msg.text, end="")
    print("java:", execution.result[0].text)


async def state(interpreter: CodeInterpreter) -> None:
    ctx = await interpreter.codes.create_context(SupportedLanguage.PYTHON)

    await interpreter.codes.run(
        "users = ['Alice', 'Bob', 'Charlie']\nprint(len(users))",
        context=ctx,
    )

    result = await interpreter.codes.run(
        "users.append('Dave')\nprint(users)\nresult = users\nresult",
        context=ctx,
    )
    print("state:", result.result[0].text)


async def streaming(interpreter: CodeInterpreter) -> None:
    async def on_stdout(msg):
        print("STDOUT:", msg.text, end="")

    async def on_stderr(msg):
        print("STDERR:", msg.text, end="")

    handlers = ExecutionHandlers(on_stdout=on_stdout, on_stderr=on_stderr)

    ctx = await interpreter.codes.create_context(SupportedLanguage.PYTHON)
    await interpreter.codes.run(
        "import time\nfor i in range(5):\n    print(i)\n    time.sleep(0.5)",
        context=ctx,
        handlers=handlers,
    )


async def side_by_side(interpreter: CodeInterpreter) -> None:
    """Different languages run in isolated environments."""
    py_ctx = await interpreter.codes.create_context(SupportedLanguage.PYTHON)
    go_ctx = await interpreter.codes.create_context(SupportedLanguage.GO)

    py = await interpreter.codes.run("print('Running in Python')", context=py_ctx)
    go = await interpreter.codes.run(
        'package main\nfunc main() { println("Running in Go") }',
        context=go_ctx,
    )
    for execution in (py, go):
        for msg in execution.logs.stdout + execution.logs.stderr:
            print(msg.text, end="")


async def main() -> None:
    sandbox = await Sandbox.create("opensandbox/code-interpreter:latest")
    async with sandbox:
        interpreter = await CodeInterpreter.create(sandbox=sandbox)
        for example in (default_contexts, java, state, streaming, side_by_side):
            await example(interpreter)
        await sandbox.kill()


asyncio.run(main())
