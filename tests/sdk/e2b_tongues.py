"""One row per language: the same small programs in each, for the suites that run them through the E2B SDK."""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tongue:
    """Programs of one language. `{x}` in `say` is a string literal with JSON's escapes, `{raw}` the text."""

    name: str
    say: str  # print one line
    keep: str  # define x as 41
    show: str  # print x + 1
    value: str | None  # an expression that is 42, None where the language has no results
    main: bool  # its value is the main result (execution.text)
    fail: str  # fail with `boom`
    error: str | None  # the error's name; None: the language tells of it on stderr only
    hexed: str  # print $KBT's bytes in hexadecimal
    shown: str  # print $KBT, or unset
    sleep: str  # touch {held}, then wait for the file {go}, then print `woke`
    loop: str  # print `held`, then loop for ever
    directory: str  # print the working directory
    aliases: tuple[str, ...] = field(default=())
    any_value: bool = True  # a variable's value may hold anything but NUL

    def printing(self, text: str) -> str:
        return self.say.replace("{x}", json.dumps(text, ensure_ascii=False)).replace("{raw}", text)

    def waiting(self, held: object, go: object) -> str:
        return self.sleep.replace("{held}", json.dumps(str(held))).replace("{go}", json.dumps(str(go)))


PYTHON = Tongue(
    name="python",
    say="print({x})",
    keep="x = 41",
    show="print(x + 1)",
    value="6 * 7",
    main=True,
    fail="raise TypeError('boom')",
    error="TypeError",
    hexed="import os; print(os.environb[b'KBT'].hex())",
    shown="import os; print(os.environ.get('KBT', 'unset'))",
    sleep=(
        "import os, time\nopen({held}, 'w').close()\n"
        "while not os.path.exists({go}): time.sleep(0.01)\nprint('woke')"
    ),
    loop="print('held')\nwhile True: pass",
    directory="import os; print(os.getcwd())",
    aliases=("Python", " python "),
)
JAVASCRIPT = Tongue(
    name="javascript",
    say="console.log({x})",
    keep="let x = 41",
    show="console.log(x + 1)",
    value="6 * 7",
    main=True,
    fail="throw new TypeError('boom')",
    error="TypeError",
    hexed=(
        "console.log(Array.from(new TextEncoder().encode(process.env.KBT), "
        "(b) => b.toString(16).padStart(2, '0')).join(''))"
    ),
    shown="console.log(process.env.KBT ?? 'unset')",
    sleep=(
        "const fs = await import('node:fs')\nfs.writeFileSync({held}, '')\n"
        "while (!fs.existsSync({go})) await new Promise((r) => setTimeout(r, 10))\nconsole.log('woke')"
    ),
    loop="console.log('held')\nwhile (true) {}",
    directory="console.log(process.cwd())",
    aliases=("js", "JS", "JavaScript"),
)
TYPESCRIPT = Tongue(
    name="typescript",
    say="const said: string = {x}\nconsole.log(said)",
    keep="let x: number = 41",
    show="console.log((x as number) + 1)",
    value="((a: number): number => a * 7)(6)",
    main=True,
    fail="throw new TypeError('boom' as string)",
    error="TypeError",
    hexed=JAVASCRIPT.hexed,
    shown=JAVASCRIPT.shown,
    sleep=JAVASCRIPT.sleep,
    loop=JAVASCRIPT.loop,
    directory=JAVASCRIPT.directory,
    aliases=("ts", "TypeScript"),
)
R = Tongue(
    name="r",
    say="cat({x}, '\\n', sep = '')",
    keep="x <- 41",
    show="cat(x + 1, '\\n', sep = '')",
    value="6 * 7",
    main=False,
    fail="stop('boom')",
    error="ERROR",
    hexed="cat(paste(as.character(charToRaw(Sys.getenv('KBT'))), collapse = ''), '\\n', sep = '')",
    shown="cat(Sys.getenv('KBT', unset = 'unset'), '\\n', sep = '')",
    sleep="invisible(file.create({held}))\nwhile (!file.exists({go})) Sys.sleep(0.01)\ncat('woke\\n')",
    loop="cat('held\\n')\nwhile (TRUE) {}",
    directory="cat(getwd(), '\\n', sep = '')",
    aliases=("R",),
)
JAVA = Tongue(
    name="java",
    say="System.out.println({x});",
    keep="int x = 41;",
    show="System.out.println(x + 1);",
    value="6 * 7",
    main=True,
    fail='throw new RuntimeException("boom");',
    error="RuntimeException",
    hexed=(
        "System.out.println(java.util.HexFormat.of().formatHex("
        'System.getProperty("KBT").getBytes(java.nio.charset.StandardCharsets.UTF_8)));'
    ),
    shown='System.out.println(System.getProperty("KBT", "unset"));',
    sleep=(
        "new java.io.File({held}).createNewFile();\n"
        'while (!new java.io.File({go}).exists()) Thread.sleep(10);\nSystem.out.println("woke");'
    ),
    loop='System.out.println("held");\nwhile (true) {}',
    directory='System.out.println(System.getProperty("user.dir"));',
    aliases=("Java",),
)
BASH = Tongue(
    name="bash",
    say="cat <<'END'\n{raw}\nEND",
    keep="x=41",
    show="echo $((x + 1))",
    value=None,
    main=False,
    fail="echo boom; (exit 3)",
    error="",
    hexed="printf %s \"$KBT\" | od -An -v -tx1 | tr -d ' \\n'; echo",
    shown='echo "${KBT-unset}"',
    sleep="touch {held}; while [ ! -e {go} ]; do sleep 0.01; done; echo woke",
    loop="echo held; while :; do :; done",
    directory="pwd",
    aliases=("Bash",),
)
GO = Tongue(
    name="go",
    say="%%\nfmt.Println({x})",
    keep="var x = 41",
    show="%%\nfmt.Println(x + 1)",
    value=None,
    main=False,
    fail='%%\npanic("boom")',
    error=None,
    hexed='%%\nfmt.Printf("%x\\n", os.Getenv("KBT"))',
    shown='%%\nif v := os.Getenv("KBT"); v != "" {\n\tfmt.Println(v)\n} else {\n\tfmt.Println("unset")\n}',
    sleep=(
        "%%\nos.WriteFile({held}, nil, 0o600)\nfor {\n\tif _, err := os.Stat({go}); err == nil {\n\t\tbreak\n\t}\n"
        '\ttime.Sleep(10 * time.Millisecond)\n}\nfmt.Println("woke")'
    ),
    loop='%%\nfmt.Println("held")\nfor {\n\ttime.Sleep(time.Millisecond)\n}',
    directory="%%\nd, _ := os.Getwd()\nfmt.Println(d)",
    aliases=("Go",),
)
TONGUES = {tongue.name: tongue for tongue in (PYTHON, JAVASCRIPT, TYPESCRIPT, R, JAVA, BASH, GO)}
