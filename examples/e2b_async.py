"""E2B's code interpreter, asynchronous, on kernelbridge.

pip install e2b-code-interpreter
E2B_API_URL=http://127.0.0.1:8686 E2B_SANDBOX_URL=http://127.0.0.1:8686 E2B_API_KEY=<token> python e2b_async.py
"""

import asyncio

from e2b_code_interpreter import AsyncSandbox


async def main():
    sbx = await AsyncSandbox.create(timeout=300, metadata={"user_id": "u_123"})

    # Streaming callbacks
    execution = await sbx.run_code(
        "import sys\nprint('working')\nprint('careful', file=sys.stderr)\n'value'",
        on_stdout=lambda data: print("STDOUT:", data, end=""),
        on_stderr=lambda data: print("STDERR:", data, end=""),
        on_error=lambda err: print("ERROR:", err),
        on_result=lambda result: print("RESULT:", result),
    )
    print("text:", execution.text)

    # Code contexts for parallel state: both run at the same time
    contexts = [await sbx.create_code_context(language="python") for _ in range(2)]
    executions = await asyncio.gather(
        *(sbx.run_code(f"sum(range({n}))", context=ctx) for n, ctx in enumerate(contexts, 10))
    )
    print("parallel:", [execution.text for execution in executions])

    # Variables of one run
    execution = await sbx.run_code("import os; os.environ['WHO']", envs={"WHO": "nobody's $HOME"})
    print("envs:", execution.text)

    await sbx.kill()
    print("running:", await sbx.is_running())


asyncio.run(main())
