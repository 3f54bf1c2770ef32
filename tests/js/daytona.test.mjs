// Daytona's own TypeScript SDK, unmodified, against a running gateway (KB_URL, KB_TOKEN).
// Covers what a client can see of daytona.md sections 1 to 4. Each test waits for events, never for time.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  Daytona,
  DaytonaAuthenticationError,
  DaytonaBadRequestError,
  DaytonaConnectionError,
  DaytonaError,
  DaytonaNotFoundError,
  DaytonaTimeoutError,
} from '@daytona/sdk'

const { KB_URL, KB_TOKEN } = process.env
assert.ok(KB_URL && KB_TOKEN, 'set KB_URL and KB_TOKEN')
const apiUrl = `${KB_URL}/daytona/api`

/** @param {string} text */
const sha = (text) => createHash('sha256').update(text).digest('hex')
const scratch = mkdtempSync(path.join(tmpdir(), 'kbjs-'))
const newFile = () => path.join(scratch, randomUUID())
/** Python that goes on when the file exists. */
const waitFor = (file) => `import os, time\nwhile not os.path.exists(${JSON.stringify(file)}): time.sleep(0.01)\n`

let daytona
let sandbox
let ci

before(async () => {
  daytona = new Daytona({ apiKey: KB_TOKEN, apiUrl, target: 'local' })
  sandbox = await daytona.create()
  ci = sandbox.codeInterpreter
})

after(async () => {
  await sandbox?.delete()
  await daytona?.[Symbol.asyncDispose]()
  rmSync(scratch, { recursive: true, force: true })
})

/** Run `body` with a context that is deleted afterwards. */
async function withContext(body, cwd) {
  const ctx = await ci.createContext(cwd)
  try {
    return await body(ctx)
  } finally {
    if ((await ci.listContexts()).some((one) => one.id === ctx.id)) await ci.deleteContext(ctx)
  }
}

/** Start a run, and wait until it has printed `held`. */
async function start(code, options = {}) {
  let held
  const isHeld = new Promise((resolve) => (held = resolve))
  const run = ci.runCode(code, { ...options, onStdout: (m) => m.output.includes('held') && held() })
  await Promise.race([isHeld, run])
  return { run }
}

describe('control plane', () => {
  test('create answers a started sandbox', () => {
    assert.equal(sandbox.state, 'started')
    assert.ok(sandbox.id)
  })

  test('get by id and by name', async () => {
    const name = `js-${randomUUID()}`
    const made = await daytona.create({ name, labels: { team: 'λ' }, envVars: { GREETING: 'hé "q"' } })
    try {
      const byName = await daytona.get(name)
      assert.equal(byName.id, made.id)
      assert.equal((await daytona.get(made.id)).name, name)
      assert.deepEqual(byName.labels, { team: 'λ', 'code-toolbox-language': 'python' })
      assert.deepEqual(byName.env, { GREETING: 'hé "q"' })
      const { stdout } = await byName.codeInterpreter.runCode("import os; print(os.environ['GREETING'])")
      assert.equal(stdout, 'hé "q"\n')
    } finally {
      await made.delete()
    }
  })

  test('list, by labels and page by page', async () => {
    const mark = randomUUID()
    const made = await Promise.all([1, 2, 3].map(() => daytona.create({ labels: { mark } })))
    const found = []
    for await (const one of daytona.list({ labels: { mark }, limit: 1 })) found.push(one.id)
    assert.deepEqual(found.sort(), made.map((one) => one.id).sort())
    await Promise.all(made.map((one) => one.delete()))
  })

  test('refresh, stop and start', async () => {
    const made = await daytona.create()
    await made.refreshData()
    assert.equal(made.state, 'started')
    await made.stop()
    assert.equal(made.state, 'stopped')
    await made.start()
    assert.equal(made.state, 'started')
    assert.equal((await made.codeInterpreter.runCode("print('again')")).stdout, 'again\n')
    await made.delete()
  })

  test('delete, then not found', async () => {
    const made = await daytona.create()
    await daytona.delete(made)
    await assert.rejects(daytona.get(made.id), DaytonaNotFoundError)
  })

  test('delete and wait', async () => {
    const made = await daytona.create()
    await made.delete(60, true)
    assert.equal(made.state, 'destroyed')
  })

  test('unknown sandbox is not found', async () => {
    await assert.rejects(daytona.get('no-such-sandbox'), (error) => {
      assert.ok(error instanceof DaytonaNotFoundError)
      assert.equal(error.statusCode, 404)
      assert.match(error.message, /no-such-sandbox/)
      return true
    })
  })

  test('wrong key is refused', async () => {
    const stranger = new Daytona({ apiKey: 'wrong', apiUrl, target: 'local' })
    await assert.rejects(stranger.get('default'), DaytonaAuthenticationError)
    await assert.rejects(stranger.create(), DaytonaAuthenticationError)
    await stranger[Symbol.asyncDispose]()
  })

  test('default sandbox exists', async () => {
    const box = await daytona.get('default')
    assert.equal((await box.codeInterpreter.runCode('print(6 * 7)')).stdout, '42\n')
  })

  test('two sandboxes are isolated', async () => {
    await ci.runCode('secret = 1')
    const box = await daytona.get('default')
    const { stdout } = await box.codeInterpreter.runCode("print('secret' in globals())")
    assert.equal(stdout, 'False\n')
  })

  test('preview link', async () => {
    const link = await sandbox.getPreviewLink(2280)
    assert.ok(link.url.startsWith('http'))
    assert.ok(link.token)
  })
})

describe('output', () => {
  const cases = {
    print: ["print('hi')", 'hi\n', ''],
    nothing: ['x = 1', '', ''],
    stderr: ["import sys; sys.stderr.write('oops\\n')", '', 'oops\n'],
    'last expression is not printed': ["print('a')\n1 + 1", 'a\n', ''],
    'no newline': ["print('abc', end='')", 'abc', ''],
    unicode: ["print('héllo 日本 🦆')", 'héllo 日本 🦆\n', ''],
    NUL: ["print('a\\x00b')", 'a\x00b\n', ''],
    'lone surrogate': ["print('a\\ud800b')", 'a\ufffdb\n', ''],
    'rich display is ignored': [
      "from IPython.display import display, HTML\ndisplay(HTML('<b>x</b>'))\nprint('after')",
      'after\n',
      '',
    ],
  }
  for (const [name, [code, stdout, stderr]] of Object.entries(cases)) {
    test(name, async () => {
      assert.deepEqual(await ci.runCode(code), { stdout, stderr })
    })
  }

  test('output of a child process', async () => {
    const { stdout, stderr } = await ci.runCode(
      "import subprocess\nsubprocess.run(['sh', '-c', 'echo out; echo err >&2'])\nNone",
    )
    assert.deepEqual([stdout, stderr], ['out\n', 'err\n'])
  })

  test('callbacks hear everything in order', async () => {
    const heard = []
    const hear = (kind, text) => {
      if (heard.at(-1)?.[0] === kind) heard.at(-1)[1] += text
      else heard.push([kind, text])
    }
    const result = await ci.runCode("import sys\nprint('one')\nprint('two', file=sys.stderr)\nprint('three')\n1/0", {
      onStdout: (m) => hear('o', m.output),
      onStderr: (m) => hear('e', m.output),
      onError: (e) => hear('x', e.name),
    })
    assert.deepEqual(heard, [['o', 'one\n'], ['e', 'two\n'], ['o', 'three\n'], ['x', 'ZeroDivisionError']])
    assert.equal(result.stdout, 'one\nthree\n')
  })

  test('output arrives while the code runs', async () => {
    const go = newFile()
    const result = await ci.runCode(`print('first')\n${waitFor(go)}print('second')`, {
      onStdout: () => writeFileSync(go, ''),
    })
    assert.equal(result.stdout, 'first\nsecond\n')
  })

  test('ten megabytes in one line', async () => {
    const { stdout } = await ci.runCode("print('0123456789abcdef' * 640_000)")
    assert.equal(stdout.length, 10_240_001)
    assert.equal(sha(stdout), sha('0123456789abcdef'.repeat(640_000) + '\n'))
  })

  test('a hundred thousand lines', async () => {
    const { stdout } = await ci.runCode('for i in range(100_000): print(i)')
    let expected = ''
    for (let i = 0; i < 100_000; i++) expected += `${i}\n`
    assert.equal(sha(stdout), sha(expected))
  })

  test('two megabytes of code', async () => {
    const text = 'abcdefghij'.repeat(200_000)
    const { stdout } = await ci.runCode(
      `import hashlib\nprint(hashlib.sha256('''${text}'''.encode()).hexdigest())`,
    )
    assert.equal(stdout, `${sha(text)}\n`)
  })
})

describe('errors', () => {
  test('error object', async () => {
    const result = await ci.runCode("print('before')\ndef f():\n    raise ValueError('bad')\nf()")
    assert.equal(result.stdout, 'before\n')
    const { name, value, traceback } = result.error
    assert.deepEqual([name, value], ['ValueError', 'bad'])
    assert.ok(traceback.startsWith('Traceback (most recent call last):\n'))
    assert.ok(traceback.trimEnd().endsWith('\nValueError: bad'))
    assert.match(traceback, /line 4/)
    assert.match(traceback, /^ {4}raise ValueError\('bad'\)$/m)
    assert.doesNotMatch(traceback, /\x1b|ipykernel|IPython|site-packages/)
  })

  test('chained cause', async () => {
    const { error } = await ci.runCode("try:\n    {}['k']\nexcept KeyError as e:\n    raise ValueError('w') from e")
    assert.match(error.traceback, /KeyError: 'k'[^]*direct cause[^]*ValueError: w\s*$/)
  })

  test('syntax error', async () => {
    const { error, stdout } = await ci.runCode("print('never')\nx ====")
    assert.equal(error.name, 'SyntaxError')
    assert.match(error.traceback.trimEnd().split('\n').at(-1), /^SyntaxError: /)
    assert.equal(stdout, '')
  })

  test('no error key where none', async () => {
    assert.deepEqual(Object.keys(await ci.runCode('x = 1')).sort(), ['stderr', 'stdout'])
  })

  test('input() is an EOFError', async () => {
    assert.equal((await ci.runCode("input('? ')")).error.name, 'EOFError')
  })

  test('KeyboardInterrupt of its own', async () => {
    assert.equal((await ci.runCode('raise KeyboardInterrupt')).error.name, 'KeyboardInterrupt')
  })

  test('sys.exit is clean, state kept', async () => {
    const result = await ci.runCode("import sys\nafter_exit = 5\nprint('x')\nsys.exit(3)")
    assert.deepEqual(result, { stdout: 'x\n', stderr: '' })
    assert.equal((await ci.runCode('print(after_exit)')).stdout, '5\n')
  })

  test('blank code is rejected by the SDK, the server is still fine', async () => {
    await assert.rejects(ci.runCode('  \n'), /Code is required for execution/)
    assert.equal((await ci.runCode('print(1)')).stdout, '1\n')
  })

  test('unknown context', async () => {
    await assert.rejects(ci.runCode('1', { context: { id: 'nowhere' } }), (error) => {
      assert.ok(error instanceof DaytonaConnectionError)
      assert.equal(error.message, 'context not found: nowhere (close code 1008)')
      return true
    })
  })
})

describe('contexts', () => {
  test('state is kept, and not shared', () =>
    withContext(async (ctx) => {
      await ci.runCode('x = 100', { context: ctx })
      assert.equal((await ci.runCode('print(x)', { context: ctx })).stdout, '100\n')
      await ci.runCode('globals().pop("x", None)')
      assert.equal((await ci.runCode('print(x)')).error.name, 'NameError')
    }))

  test('fields, and list without default', () =>
    withContext(async (ctx) => {
      assert.match(ctx.id, /^[0-9a-f-]{36}$/)
      assert.ok(path.isAbsolute(ctx.cwd))
      assert.equal(ctx.language, 'python')
      assert.equal(ctx.active, true)
      const listed = await ci.listContexts()
      assert.deepEqual(listed.find((one) => one.id === ctx.id), ctx)
      assert.ok(!listed.some((one) => one.id === 'default'))
    }))

  test('given cwd', () =>
    withContext(async (ctx) => {
      assert.equal(ctx.cwd, scratch)
      assert.equal((await ci.runCode('import os; print(os.getcwd())', { context: ctx })).stdout, `${scratch}\n`)
    }, scratch))

  test('missing cwd is a clear error', async () => {
    await assert.rejects(ci.createContext('/no/such/place'), (error) => {
      assert.ok(error instanceof DaytonaBadRequestError)
      assert.match(error.message, /\/no\/such\/place/)
      return true
    })
  })

  test('default cannot be deleted', async () => {
    await assert.rejects(ci.deleteContext({ id: 'default' }), DaytonaBadRequestError)
  })

  test('deleting an unknown context is an error', async () => {
    await assert.rejects(ci.deleteContext({ id: 'nowhere' }), (error) => {
      assert.ok(error instanceof DaytonaNotFoundError)
      assert.match(error.message, /nowhere/)
      return true
    })
  })

  test('a deleted context is gone', async () => {
    const ctx = await ci.createContext()
    await ci.deleteContext(ctx)
    await assert.rejects(ci.runCode('1', { context: ctx }), /context not found/)
  })

  test('delete while running is an error for the run', async () => {
    const ctx = await ci.createContext()
    const { run } = await start("import time\nprint('held')\ntime.sleep(1000)", { context: ctx })
    const ended = assert.rejects(run, (error) => {
      assert.ok(error instanceof DaytonaConnectionError)
      assert.equal(error.message, 'context deleted (close code 1011)')
      return true
    })
    await ci.deleteContext(ctx)
    await ended
  })

  test('runs of one context are FIFO and not mixed', () =>
    withContext(async (ctx) => {
      const code = (n) => `for i in range(50): print(${n}, i)`
      const results = await Promise.all([...Array(8).keys()].map((n) => ci.runCode(code(n), { context: ctx })))
      results.forEach((result, n) => {
        assert.equal(result.stdout, [...Array(50).keys()].map((i) => `${n} ${i}\n`).join(''))
      })
    }))

  test('different contexts run in parallel', () =>
    withContext((one) =>
      withContext(async (two) => {
        const [a, b] = [newFile(), newFile()]
        const code = (mine, theirs) => `open(${JSON.stringify(mine)}, 'w').close()\n${waitFor(theirs)}print('met')`
        const results = await Promise.all([
          ci.runCode(code(a, b), { context: one }),
          ci.runCode(code(b, a), { context: two }),
        ])
        assert.deepEqual(results.map((r) => r.stdout), ['met\n', 'met\n'])
      }),
    ))
})

describe('envs', () => {
  const show = "import os; print(ascii(os.environ.get('KBT')))"

  test('set for one run, inherited by children, then gone', async () => {
    const child = "import subprocess; print(subprocess.getoutput('echo $KBT'))"
    assert.equal((await ci.runCode(child, { envs: { KBT: 'v' } })).stdout, 'v\n')
    assert.equal((await ci.runCode(show)).stdout, 'None\n')
  })

  test('quotes, newlines, emoji', async () => {
    const value = 'it\'s "q"\n🦆 $HOME \\'
    const code = "import os; print(os.environ['KBT'], end='')"
    assert.equal((await ci.runCode(code, { envs: { KBT: value } })).stdout, value)
  })

  test('value before is restored', () =>
    withContext(async (ctx) => {
      await ci.runCode("import os; os.environ['KBT'] = 'mine'", { context: ctx })
      assert.equal((await ci.runCode(show, { context: ctx, envs: { KBT: 'x' } })).stdout, "'x'\n")
      assert.equal((await ci.runCode(show, { context: ctx })).stdout, "'mine'\n")
    }))
})

describe('timeouts and crashes', () => {
  test('timeout ends the run, state kept', () =>
    withContext(async (context) => {
      await ci.runCode('kept = 1', { context })
      await assert.rejects(ci.runCode('while True: pass', { context, timeout: 1 }), (error) => {
        assert.ok(error instanceof DaytonaTimeoutError)
        assert.equal(
          error.message,
          'Execution timed out: operation exceeded the configured `timeout`. Provide a larger value if needed.',
        )
        return true
      })
      assert.equal((await ci.runCode('print(kept)', { context })).stdout, '1\n')
    }))

  test('timeout zero is none', async () => {
    assert.equal((await ci.runCode("print('done')", { timeout: 0 })).stdout, 'done\n')
  })

  test('negative timeout is refused', async () => {
    await assert.rejects(ci.runCode('1', { timeout: -1 }), /timeout must be greater than or equal to 0 \(close code 1008\)/)
  })

  test('code that swallows interrupts is a timeout, and the context works after', () =>
    withContext(async (context) => {
      const code =
        'import time\nwhile True:\n    try:\n        while True: time.sleep(0.01)\n    except BaseException:\n        pass'
      await assert.rejects(ci.runCode(code, { context, timeout: 1 }), DaytonaTimeoutError)
      assert.equal((await ci.runCode("print('works')", { context })).stdout, 'works\n')
    }))

  for (const [name, code, what] of [
    ['os._exit', 'import os; os._exit(3)', /died.*exit code 3.*1011/],
    ['SIGSEGV', 'import os; os.kill(os.getpid(), 11)', /died.*signal 11.*1011/],
    ['SIGKILL', 'import os; os.kill(os.getpid(), 9)', /died.*signal 9.*1011/],
  ]) {
    test(`crash by ${name} is an exception, and the next run works`, () =>
      withContext(async (context) => {
        await assert.rejects(ci.runCode(`gone = 1\n${code}`, { context }), (error) => {
          assert.ok(error instanceof DaytonaConnectionError)
          assert.match(error.message, what)
          return true
        })
        assert.equal((await ci.runCode("print('gone' in globals())", { context })).stdout, 'False\n')
      }))
  }

  test('queued runs go on after a crash', () =>
    withContext(async (context) => {
      const go = newFile()
      const { run } = await start(`print('held')\n${waitFor(go)}os._exit(1)`, { context })
      const failed = assert.rejects(run, DaytonaError)
      const queued = [1, 2, 3].map((n) => ci.runCode(`print(${n})`, { context }))
      writeFileSync(go, '')
      await failed
      assert.deepEqual((await Promise.all(queued)).map((r) => r.stdout), ['1\n', '2\n', '3\n'])
    }))
})

describe('whole programs', () => {
  /** Run a program to its own end; resolves to [status, stdout, stderr]. */
  const program = (source, env, signal) =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
        cwd: import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname),
        env: { ...process.env, ...env },
        signal,
      })
      child.on('error', () => {}) // the signal ended it; `close` follows
      const text = { stdout: '', stderr: '' }
      for (const name of ['stdout', 'stderr']) child[name].on('data', (data) => (text[name] += data))
      child.on('close', (status) => resolve([status, text.stdout, text.stderr]))
    })

  // Where Socket.IO is not served the SDK keeps such a program alive for more than 100 s; the limit tells the two apart.
  test('a program that does not dispose its client ends by itself', { timeout: 60_000 }, async (t) => {
    const source = `
      import { Daytona } from '@daytona/sdk'
      const daytona = new Daytona()
      const sandbox = await daytona.get('default')
      const result = await sandbox.codeInterpreter.runCode("print('last line')")
      process.stdout.write(result.stdout)`
    const done = await program(source, { DAYTONA_API_KEY: KB_TOKEN, DAYTONA_API_URL: apiUrl }, t.signal)
    assert.deepEqual(done.slice(0, 2), [0, 'last line\n'], done[2])
  })

  test('a program with the wrong key ends by itself', { timeout: 60_000 }, async (t) => {
    const source = `
      import { Daytona } from '@daytona/sdk'
      const daytona = new Daytona()
      await daytona.get('default').catch((error) => console.log(error.constructor.name))`
    const done = await program(source, { DAYTONA_API_KEY: 'wrong', DAYTONA_API_URL: apiUrl }, t.signal)
    assert.deepEqual(done.slice(0, 2), [0, 'DaytonaAuthenticationError\n'], done[2])
  })

})
