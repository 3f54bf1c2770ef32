// E2B's own JavaScript SDK, unmodified, against a running gateway (KB_URL, KB_TOKEN; KB_OPEN_URL has no keys).
// Covers what a client can see of E2B's protocol. Each test waits for events, never for time.
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { inflateSync } from 'node:zlib'
import {
  AuthenticationError,
  InvalidArgumentError,
  NotFoundError,
  Sandbox,
  SandboxError,
  SandboxNotFoundError,
  TimeoutError,
} from '@e2b/code-interpreter'

const { KB_URL, KB_TOKEN, KB_OPEN_URL } = process.env
assert.ok(KB_URL && KB_TOKEN && KB_OPEN_URL, 'set KB_URL, KB_TOKEN and KB_OPEN_URL')
for (const name of Object.keys(process.env)) if (name.startsWith('E2B_')) delete process.env[name]

const opts = { apiKey: KB_TOKEN, apiUrl: KB_URL, sandboxUrl: KB_URL }
const scratch = mkdtempSync(path.join(tmpdir(), 'kbe2b-'))
const newFile = () => path.join(scratch, randomUUID())
/** Python that goes on when the file exists. */
const waitFor = (file) => `import os, time\nwhile not os.path.exists(${JSON.stringify(file)}): time.sleep(0.01)\n`
const sha = (text) => createHash('sha256').update(text).digest('hex')
const stdout = (execution) => execution.logs.stdout.join('')
const stderr = (execution) => execution.logs.stderr.join('')
const KILLED = /The sandbox was killed while the request was in progress/

let sbx

before(async () => {
  sbx = await Sandbox.create({ ...opts, timeoutMs: 3_600_000 })
})

after(async () => {
  await sbx?.kill()
  rmSync(scratch, { recursive: true, force: true })
})

/** Run `body` with a sandbox that is killed afterwards. */
async function withSandbox(more, body) {
  const made = await Sandbox.create({ ...opts, ...more })
  try {
    return await body(made)
  } finally {
    await made.kill()
  }
}

/** Run `body` with a context that is removed afterwards. */
async function withContext(options, body) {
  const ctx = await sbx.createCodeContext(options)
  try {
    return await body(ctx)
  } finally {
    if ((await sbx.listCodeContexts()).some((one) => one.id === ctx.id)) await sbx.removeCodeContext(ctx)
  }
}

/** Start a run, and wait until it has printed `held`. Its end is `run`; leaving it is `leave()`. */
async function start(box, code, options = {}) {
  let held
  const isHeld = new Promise((resolve) => (held = resolve))
  const run = box.runCode(code, { ...options, onStdout: (m) => m.line.includes('held') && held() })
  run.catch(() => {})
  await Promise.race([isHeld, run])
  return { run }
}

/** Width and height of a base64 PNG whose pixels inflate. */
function pngSize(encoded) {
  const data = Buffer.from(encoded, 'base64')
  assert.equal(data.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n')
  const pixels = []
  for (let at = 8; at < data.length; at += 12 + data.readUInt32BE(at)) {
    const kind = data.subarray(at + 4, at + 8).toString()
    if (kind === 'IDAT') pixels.push(data.subarray(at + 8, at + 8 + data.readUInt32BE(at)))
  }
  const [width, height] = [data.readUInt32BE(16), data.readUInt32BE(20)]
  assert.ok(inflateSync(Buffer.concat(pixels)).length >= width * height)
  return [width, height]
}

describe('sandboxes', () => {
  test('create, run, kill', async () => {
    const made = await Sandbox.create(opts)
    assert.equal(stdout(await made.runCode("print('hello')")), 'hello\n')
    assert.equal(await made.isRunning(), true)
    assert.equal(await made.kill(), true)
    assert.equal(await made.isRunning(), false)
    assert.equal(await made.kill(), false)
  })

  test('info, by object and by id', () =>
    withSandbox({ timeoutMs: 200_000, metadata: { user_id: 'u_123', naïve: 'ü & = 🦆' } }, async (made) => {
      const info = await made.getInfo()
      assert.deepEqual(info, await Sandbox.getInfo(made.sandboxId, opts))
      assert.equal(info.sandboxId, made.sandboxId)
      assert.equal(info.templateId, 'code-interpreter-v1')
      assert.equal(info.state, 'running')
      assert.deepEqual(info.metadata, { user_id: 'u_123', naïve: 'ü & = 🦆' })
      assert.ok(Math.abs(info.endAt - info.startedAt - 200_000) < 2000)
    }))

  test('connect shares the state', () =>
    withSandbox({}, async (made) => {
      await made.runCode('shared = 41')
      const other = await Sandbox.connect(made.sandboxId, opts)
      assert.equal((await other.runCode('shared + 1')).text, '42')
    }))

  test('unknown sandbox', async () => {
    await assert.rejects(Sandbox.connect('nobody', opts), SandboxNotFoundError)
    await assert.rejects(Sandbox.getInfo('nobody', opts), SandboxNotFoundError)
    assert.equal(await Sandbox.kill('nobody', opts), false)
  })

  test('list by metadata and page by page', async () => {
    const mark = randomUUID()
    const made = await Promise.all([1, 2, 3].map((n) => Sandbox.create({ ...opts, metadata: { mark, n: `${n} &=` } })))
    try {
      const ids = []
      const pages = Sandbox.list({ ...opts, query: { metadata: { mark } }, limit: 2 })
      while (pages.hasNext) ids.push((await pages.nextItems()).map((one) => one.sandboxId))
      assert.deepEqual(ids.map((page) => page.length), [2, 1])
      assert.deepEqual(ids.flat().sort(), made.map((one) => one.sandboxId).sort())
      const second = await Sandbox.list({ ...opts, query: { metadata: { mark, n: '2 &=' } } }).nextItems()
      assert.deepEqual(second.map((one) => one.sandboxId), [made[1].sandboxId])
    } finally {
      await Promise.all(made.map((one) => one.kill()))
    }
  })

  test('expiry ends the run', () =>
    withSandbox({ timeoutMs: 3000 }, async (made) => {
      await assert.rejects(made.runCode('while True: pass'), (error) => {
        assert.ok(error instanceof TimeoutError, error)
        assert.match(error.message, KILLED)
        return true
      })
      assert.equal(await made.isRunning(), false)
    }))

  test('setTimeout shortens and lengthens', () =>
    withSandbox({ timeoutMs: 3_600_000 }, async (made) => {
      await made.setTimeout(600_000)
      const { endAt } = await made.getInfo()
      assert.ok(endAt - Date.now() < 601_000)
      const { run } = await start(made, "print('held')\nwhile True: pass")
      await made.setTimeout(1000)
      await assert.rejects(run, TimeoutError)
    }))

  test('kill while running', () =>
    withSandbox({}, async (made) => {
      const { run } = await start(made, "print('held')\nwhile True: pass")
      await made.kill()
      await assert.rejects(run, (error) => error instanceof TimeoutError && KILLED.test(error.message))
      await assert.rejects(made.runCode('1'), (error) => error instanceof TimeoutError && /sandbox timeout/.test(error.message))
      await assert.rejects(made.listCodeContexts(), TimeoutError)
    }))

  test('pause and connect', () =>
    withSandbox({}, async (made) => {
      assert.equal(await made.pause(), true)
      assert.equal((await made.getInfo()).state, 'paused')
      assert.equal(await made.pause(), false)
      const again = await Sandbox.connect(made.sandboxId, opts)
      assert.equal((await again.runCode("'awake'")).text, 'awake')
    }))

  test('metrics is a list', async () => assert.ok(Array.isArray(await sbx.getMetrics())))

  test('many on one origin', async () => {
    const made = await Promise.all(['a', 'b'].map((NAME) => Sandbox.create({ ...opts, envs: { NAME } })))
    try {
      const code = "import os; mine = os.environ['NAME']; mine"
      assert.deepEqual(await Promise.all(made.map(async (one) => (await one.runCode(code)).text)), ['a', 'b'])
      const ctx = await made[0].createCodeContext()
      await assert.rejects(made[1].runCode('1', { context: ctx }), NotFoundError)
    } finally {
      await Promise.all(made.map((one) => one.kill()))
    }
  })

  test('wrong key', async () => {
    const stranger = { ...opts, apiKey: 'e2b_wrong' }
    await assert.rejects(Sandbox.create(stranger), AuthenticationError)
    await assert.rejects(Sandbox.connect(sbx.sandboxId, stranger), AuthenticationError)
  })

  test('debug mode needs no key and no control plane', async () => {
    const made = await Sandbox.create({ debug: true, sandboxUrl: KB_OPEN_URL, apiKey: 'e2b_00' })
    assert.equal(made.sandboxId, 'debug_sandbox_id')
    assert.equal((await made.runCode('6 * 7')).text, '42')
    const ctx = await made.createCodeContext()
    await made.removeCodeContext(ctx)
    assert.equal(await made.isRunning(), true)
  })
})

describe('run', () => {
  test('text, state and count', () =>
    withContext({}, async (context) => {
      const first = await sbx.runCode('x = 1', { context })
      assert.deepEqual([first.text, first.results, first.error], [undefined, [], undefined])
      const second = await sbx.runCode('x += 1; x', { context })
      assert.deepEqual([second.text, first.executionCount, second.executionCount], ['2', 1, 2])
      assert.equal(second.results[0].isMainResult, true)
    }))

  test('both streams', async () => {
    const execution = await sbx.runCode("import sys\nprint('out')\nprint('err', file=sys.stderr)")
    assert.deepEqual([stdout(execution), stderr(execution)], ['out\n', 'err\n'])
  })

  test('callbacks in order', async () => {
    const seen = []
    const code =
      "from IPython.display import display\nimport sys\nprint('a', flush=True)\ndisplay(1)\n" +
      "print('b', file=sys.stderr, flush=True)\ndisplay(2)\nraise ValueError('last')"
    const execution = await sbx.runCode(code, {
      onStdout: (m) => seen.push(m.line),
      onStderr: (m) => seen.push(m.line),
      onResult: (r) => seen.push(r.text),
      onError: (e) => seen.push(e.name),
    })
    assert.deepEqual(seen, ['a\n', '1', 'b\n', '2', 'ValueError'])
    assert.equal(execution.error.value, 'last')
  })

  test('output is prompt', async () => {
    const go = newFile()
    const execution = await sbx.runCode(`print('knock')\n${waitFor(go)}print('in')`, { onStdout: () => writeFileSync(go, '') })
    assert.equal(stdout(execution), 'knock\nin\n')
  })

  test('results are prompt', async () => {
    const go = newFile()
    const code = `from IPython.display import display\ndisplay('knock')\n${waitFor(go)}`
    assert.equal((await sbx.runCode(code, { onResult: () => writeFileSync(go, '') })).results.length, 1)
  })

  test('asynchronous callbacks are awaited', async () => {
    const seen = []
    await sbx.runCode('for i in range(20): print(i, flush=True)', {
      onStdout: async (m) => {
        await new Promise((resolve) => setImmediate(resolve))
        seen.push(m.line)
      },
    })
    assert.equal(seen.join(''), Array.from({ length: 20 }, (_, i) => `${i}\n`).join(''))
  })

  test('errors', async () => {
    const { error } = await sbx.runCode('1\n1/0')
    assert.deepEqual([error.name, error.value], ['ZeroDivisionError', 'division by zero'])
    assert.match(error.traceback, /line 2/)
    assert.equal((await sbx.runCode('x ===')).error.name, 'SyntaxError')
  })

  test('input is refused', async () => {
    assert.equal((await sbx.runCode("input('name? ')")).error.name, 'StdinNotImplementedError')
  })

  test('context and language together are refused', () =>
    withContext({}, async (context) => {
      await assert.rejects(sbx.runCode('1', { context, language: 'python' }), InvalidArgumentError)
    }))

  test('unknown language', async () => {
    await assert.rejects(sbx.runCode('1', { language: 'cobol' }), (error) => {
      assert.ok(error instanceof SandboxError)
      assert.match(error.message, /^500 /)
      return true
    })
  })

  test('variables of a run', async () => {
    const KBT = 'it\'s "q" $HOME \\n\nline 🦆 \u2028'
    const show = "import os, json; print(json.dumps(os.environ.get('KBT')))"
    assert.equal(JSON.parse(stdout(await sbx.runCode(show, { envs: { KBT } }))), KBT)
    assert.equal(JSON.parse(stdout(await sbx.runCode(show))), null)
  })

  test('variables of a sandbox', () =>
    withSandbox({ envs: { KBT: 'of the sandbox' } }, async (made) => {
      const code = "import os; os.environ['KBT']"
      assert.equal((await made.runCode(code)).text, 'of the sandbox')
      assert.equal((await made.runCode(code, { envs: { KBT: 'of the run' } })).text, 'of the run')
      assert.equal((await made.runCode(code)).text, 'of the sandbox')
    }))

  for (const [name, text] of Object.entries({
    'many scripts': 'äöü € 日本 🦆👩‍👩‍👧‍👦',
    'line separators': 'a\u2028b\u2029c\u0085d\x0be\x0cf',
    controls: '\x00\x01\x1b[31m\x7f',
    'json-like': '{"type":"end_of_execution"}\\n"',
  })) {
    test(`text: ${name}`, async () => {
      const literal = JSON.stringify(text)
      const execution = await sbx.runCode(`import json\ntext = json.loads(${JSON.stringify(literal)})\nprint(text)\ntext`)
      assert.equal(execution.error, undefined)
      assert.equal(stdout(execution), `${text}\n`)
    })
  }

  test('emoji are whole wherever the network cuts', async () => {
    const execution = await sbx.runCode("print('🦆é日' * 100_000)\n'🦆é日' * 100_000")
    assert.equal(sha(stdout(execution)), sha('🦆é日'.repeat(100_000) + '\n'))
    assert.equal(sha(execution.text), sha('🦆é日'.repeat(100_000)))
  })

  test('lone surrogates do not break the stream', async () => {
    await sbx.runCode("print('a\\ud800b')")
    assert.equal((await sbx.runCode('1 + 1')).text, '2')
  })

  test('a hundred thousand lines', async () => {
    const execution = await sbx.runCode('for i in range(100_000): print(i)')
    assert.equal(sha(stdout(execution)), sha(Array.from({ length: 100_000 }, (_, i) => `${i}\n`).join('')))
  })

  test('eight thousand displays', async () => {
    const seen = []
    const code = 'from IPython.display import display\nfor i in range(8000): display(i)'
    const execution = await sbx.runCode(code, { onResult: (r) => void seen.push(r.text) })
    assert.deepEqual(seen, Array.from({ length: 8000 }, (_, i) => String(i)))
    assert.equal(execution.results.length, 8000)
  })
})

describe('results', () => {
  test('fields and formats', async () => {
    const bundle = {
      'text/plain': 'plain',
      'text/html': '<b>b</b>',
      'text/markdown': '# m',
      'image/svg+xml': '<svg/>',
      'image/png': 'iVBORw0KGgo=',
      'image/jpeg': '/9j/4AAQ',
      'application/pdf': 'JVBERi0=',
      'text/latex': '$x$',
      'application/json': { k: [1, null, 'ü'] },
      'application/javascript': 'alert(1)',
      'e2b/data': { a: [1, 2] },
    }
    const code = `import json\nfrom IPython.display import display\ndisplay(json.loads(${JSON.stringify(JSON.stringify(bundle))}), raw=True)`
    const { results } = await sbx.runCode(code)
    const fields = ['text', 'html', 'markdown', 'svg', 'png', 'jpeg', 'pdf', 'latex', 'json', 'javascript', 'data']
    assert.deepEqual(fields.map((field) => results[0][field]), Object.values(bundle))
    assert.deepEqual(results[0].formats(), fields.slice(1))
    assert.equal(results[0].isMainResult, false)
  })

  test('extra types', async () => {
    const { results } = await sbx.runCode("from IPython.display import display\ndisplay({'x/own': {'deep': [1]}}, raw=True)")
    assert.deepEqual(results[0].raw.extra, { 'x/own': { deep: [1] } })
  })

  test('a figure is a picture and a chart', async () => {
    const { results } = await sbx.runCode(
      "import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4], label='up')\nplt.title('T')\nplt.xlabel('x (s)')\nplt.show()",
    )
    const [width, height] = pngSize(results[0].png)
    assert.ok(width > 100 && height > 100)
    const { chart } = results[0]
    assert.deepEqual([chart.type, chart.title, chart.x_label, chart.x_unit], ['line', 'T', 'x (s)', 's'])
    assert.deepEqual(chart.elements, [{ label: 'up', points: [[1, 3], [2, 4]] }])
  })

  for (const [type, code] of Object.entries({
    scatter: 'plt.scatter([1, 2], [3, 4])',
    bar: "plt.bar(['a', 'b'], [3, 4])",
    pie: "plt.pie([1, 3], labels=['one', 'three'])",
    box_and_whisker: 'plt.boxplot([[1, 2, 3, 4, 5], [2, 4, 6, 8, 9]], patch_artist=True)',
    superchart: 'f, (a, b) = plt.subplots(1, 2)\na.plot([1, 2])\nb.bar([1], [2])',
  })) {
    test(`chart: ${type}`, async () => {
      const { results, error } = await sbx.runCode(`import matplotlib.pyplot as plt\n${code}\nplt.show()`)
      assert.equal(error, undefined)
      assert.equal(results[0].chart.type, type)
      assert.ok(results[0].chart.elements.length >= 1)
    })
  }

  test('a table has data, without NaN', async () => {
    const { results } = await sbx.runCode("import pandas as pd\npd.DataFrame({'n': [1.0, float('nan')], 's': ['a', 'b']})")
    assert.deepEqual(results[0].data, { n: [1, null], s: ['a', 'b'] })
    assert.match(results[0].html, /<table/)
  })

  test('lists and dicts have json', async () => {
    assert.deepEqual((await sbx.runCode("[1, {'a': float('nan')}]")).results[0].json, [1, { a: null }])
  })

  test('four megabytes', async () => {
    const { text } = await sbx.runCode("''.join(f'{i:08d}' for i in range(500_000))")
    assert.equal(sha(text), sha(Array.from({ length: 500_000 }, (_, i) => String(i).padStart(8, '0')).join('')))
  })
})

describe('contexts', () => {
  test('create, list, restart, remove', async () => {
    const ctx = await sbx.createCodeContext({ cwd: scratch, language: 'python' })
    assert.deepEqual([ctx.language, ctx.cwd], ['python', scratch])
    assert.deepEqual((await sbx.listCodeContexts()).at(-1), ctx)
    await sbx.runCode('x = 1', { context: ctx })
    await sbx.restartCodeContext(ctx)
    assert.equal((await sbx.runCode('x', { context: ctx })).error.name, 'NameError')
    assert.equal((await sbx.runCode('import os; os.getcwd()', { context: ctx })).text, scratch)
    await sbx.removeCodeContext(ctx.id)
    await assert.rejects(sbx.runCode('1', { context: ctx }), NotFoundError)
    await assert.rejects(sbx.removeCodeContext(ctx), NotFoundError)
    await assert.rejects(sbx.restartCodeContext(ctx), NotFoundError)
  })

  test('state is apart', () =>
    withContext({}, async (context) => {
      await sbx.runCode('own = 1', { context })
      assert.equal((await sbx.runCode('own')).error.name, 'NameError')
    }))

  test('a missing directory is an error', async () => {
    await assert.rejects(sbx.createCodeContext({ cwd: '/no/such/place' }), SandboxError)
  })

  test('two run in parallel', () =>
    withContext({}, (one) =>
      withContext({}, async (two) => {
        const [a, b] = [newFile(), newFile()]
        const code = (mine, theirs) => `open(${JSON.stringify(mine)}, 'w').close()\n${waitFor(theirs)}'met'`
        const both = await Promise.all([
          sbx.runCode(code(a, b), { context: one }),
          sbx.runCode(code(b, a), { context: two }),
        ])
        assert.deepEqual(both.map((execution) => execution.text), ['met', 'met'])
      }),
    ))

  test('runs of one are one at a time', () =>
    withContext({}, async (context) => {
      const code = "assert not globals().get('inside')\ninside = True\nimport time; time.sleep(0.01)\ninside = False"
      const all = await Promise.all(Array.from({ length: 8 }, () => sbx.runCode(code, { context })))
      assert.ok(all.every((execution) => execution.error === undefined))
    }))
})

describe('ends', () => {
  const caught = (mark) =>
    `import time\nkept = 1\ntry:\n    print('held')\n    while True: time.sleep(0.01)\n` +
    `except KeyboardInterrupt:\n    open(${JSON.stringify(mark)}, 'w').close()\n    raise`

  test('timeout interrupts and keeps the state', () =>
    withContext({}, async (context) => {
      const mark = newFile()
      await assert.rejects(sbx.runCode(caught(mark), { context, timeoutMs: 1000 }), (error) => {
        assert.ok(error instanceof TimeoutError)
        assert.match(error.message, /Execution timed out/)
        return true
      })
      assert.equal((await sbx.runCode('kept', { context })).text, '1')
      assert.ok(existsSync(mark))
    }))

  test('no timeout', async () => {
    assert.equal((await sbx.runCode("import time; time.sleep(0.3); 'done'", { timeoutMs: 0 })).text, 'done')
  })

  test('a queued run that gave up never runs', () =>
    withContext({}, async (context) => {
      const [go, ran] = [newFile(), newFile()]
      const { run } = await start(sbx, `print('held')\n${waitFor(go)}`, { context })
      const code = `open(${JSON.stringify(ran)}, 'w').close()`
      await assert.rejects(sbx.runCode(code, { context, timeoutMs: 500 }), TimeoutError)
      const later = sbx.runCode("'later'", { context })
      writeFileSync(go, '')
      await run
      assert.equal((await later).text, 'later')
      assert.ok(!existsSync(ran))
    }))

  test('death, and the same context again', () =>
    withContext({}, async (context) => {
      // SIGKILL takes along what a ZeroMQ thread of the kernel has not sent yet.
      for (const [how, last] of [['os._exit(3)', /^last\n$/], ['os.kill(os.getpid(), 9)', /^(last\n)?$/]]) {
        const execution = await sbx.runCode(`gone = 1\nprint('last', flush=True)\nimport os; ${how}`, { context })
        assert.ok(execution.error.name)
        assert.match(stdout(execution), last)
        assert.equal((await sbx.runCode("'gone' in globals()", { context })).text, 'False')
      }
    }))

  test('exit', () =>
    withContext({}, async (context) => {
      assert.equal(stdout(await sbx.runCode("print('before')\nexit()", { context })), 'before\n')
      assert.equal((await sbx.runCode('1 + 1', { context })).text, '2')
    }))

  test('removing a context ends its run', async () => {
    const context = await sbx.createCodeContext()
    const { run } = await start(sbx, "print('held')\nwhile True: pass", { context })
    await sbx.removeCodeContext(context)
    assert.ok((await run).error)
  })
})

describe('languages', () => {
  const tongues = {
    javascript: ["console.log('hello')", 'let x = 41', 'console.log(x + 1)', 'console.log(process.env.KBT)'],
    typescript: ["console.log('hello' as string)", 'let x: number = 41', 'console.log(x + 1)', 'console.log(process.env.KBT)'],
    r: ["cat('hello\\n')", 'x <- 41', "cat(x + 1, '\\n', sep = '')", "cat(Sys.getenv('KBT'), '\\n', sep = '')"],
    java: ['System.out.println("hello");', 'int x = 41;', 'System.out.println(x + 1);', 'System.out.println(System.getProperty("KBT"));'],
    bash: ['echo hello', 'x=41', 'echo $((x + 1))', 'echo "$KBT"'],
    go: ['%%\nfmt.Println("hello")', 'var x = 41', '%%\nfmt.Println(x + 1)', '%%\nfmt.Println(os.Getenv("KBT"))'],
  }
  for (const [language, [hello, keep, show, env]] of Object.entries(tongues)) {
    test(language, async () => {
      const run = async (code, more) => {
        const execution = await sbx.runCode(code, { language, ...more })
        assert.equal(execution.error, undefined)
        return stdout(execution)
      }
      assert.equal(await run(hello), 'hello\n')
      await run(keep)
      assert.equal(await run(show), '42\n')
      assert.equal(await run(env, { envs: { KBT: 'it\'s "q" $HOME \\ 🦆' } }), 'it\'s "q" $HOME \\ 🦆\n')
    })
  }
})
