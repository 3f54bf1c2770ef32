// OpenSandbox's own JavaScript SDK, unmodified, against a running gateway (KB_URL, KB_TOKEN).
// Covers what the package offers, and execd's /code, which it has no method for, through its own reader of events.
// Each test waits for events, never for time.
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  ConnectionConfig,
  DEFAULT_EXECD_PORT,
  Sandbox,
  SandboxApiException,
  SandboxManager,
  SandboxReadyTimeoutException,
} from '@alibaba-group/opensandbox'
import { CommandsAdapter, createExecdClient } from '@alibaba-group/opensandbox/internal'

const { KB_URL, KB_TOKEN } = process.env
assert.ok(KB_URL && KB_TOKEN, 'set KB_URL and KB_TOKEN')
for (const name of Object.keys(process.env)) if (/^OPEN_?SANDBOX_/.test(name)) delete process.env[name]

const HOST = new URL(KB_URL).host
const image = 'opensandbox/code-interpreter:latest'
const connectionConfig = new ConnectionConfig({ domain: HOST, apiKey: KB_TOKEN })
const scratch = mkdtempSync(path.join(tmpdir(), 'kbosb-'))
const newFile = () => path.join(scratch, randomUUID())
/** Python, and shell, that go on when the file exists. */
const waitFor = (file) => `import os, time\nwhile not os.path.exists(${JSON.stringify(file)}): time.sleep(0.01)\n`
const shWaitFor = (file) => `while [ ! -e '${file}' ]; do sleep 0.01; done`
const sha = (data) => createHash('sha256').update(data).digest('hex')
const lines = (messages) => messages.map((m) => m.text)
const text = (messages) => lines(messages).join('')
const numbers = (n) => Array.from({ length: n }, (_, i) => String(i))

let box
const open = new Set()

before(async () => {
  box = await create({ timeoutSeconds: 3600 })
})

after(async () => {
  await Promise.all([...open].map(close))
  rmSync(scratch, { recursive: true, force: true })
})

async function create(options = {}) {
  const made = await Sandbox.create({ connectionConfig, image, ...options })
  open.add(made)
  return made
}

/** Kill it if it is there, and leave. */
async function close(made) {
  open.delete(made)
  await made.kill().catch((error) => assert.equal(error.statusCode, 404))
  await made.close()
}

/** Run `body` with a sandbox that is killed afterwards. */
async function withSandbox(options, body) {
  const made = await create(options)
  try {
    return await body(made)
  } finally {
    await close(made)
  }
}

async function withManager(body) {
  const manager = SandboxManager.create({ connectionConfig })
  try {
    return await body(manager)
  } finally {
    await manager.close()
  }
}

/** A predicate for assert.rejects: an exception of the API with that status, and code where one is given. */
function refused(status, code) {
  return (error) => {
    assert.ok(error instanceof SandboxApiException, error)
    assert.equal(error.statusCode, status)
    if (code) assert.equal(error.error.code, code)
    assert.ok(error.message)
    return true
  }
}

/** Poll `probe` until it is true; the test runner's own deadline bounds it. */
async function until(probe) {
  while (!(await probe())) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** execd's base URL of a sandbox, and the headers that it wants. */
async function execd(made) {
  const { endpoint, headers } = await made.getEndpoint(DEFAULT_EXECD_PORT)
  return { baseUrl: `http://${endpoint}`, headers }
}

/** POST /code, read by the package's own parser and dispatcher. */
async function runCode(made, code, context = { language: 'python' }, handlers, signal) {
  const to = await execd(made)
  const body = JSON.stringify({ code, context })
  const toCode = (url, init) => fetch(url.replace(/\/command$/, '/code'), { ...init, body })
  return new CommandsAdapter(null, { ...to, fetch: toCode }).run('code', undefined, handlers, signal)
}

/** The package's client of execd's other paths. */
async function client(made) {
  return createExecdClient(await execd(made))
}

/** Run `body` with a context that is removed afterwards. */
async function withContext(body, language = 'python') {
  const api = await client(box)
  const { data, error } = await api.POST('/code/context', { body: { language } })
  assert.equal(error, undefined)
  try {
    return await body(data, api)
  } finally {
    await api.DELETE('/code/contexts/{context_id}', { params: { path: { context_id: data.id } } })
  }
}

/** A promise, and handlers of a run that resolve it with the run's id when it prints `held`. */
function whenHeld() {
  let id, held
  const isHeld = new Promise((resolve) => (held = resolve))
  const handlers = {
    onInit: (init) => void (id = init.id),
    onStdout: (m) => m.text.includes('held') && held(id),
  }
  return { isHeld, handlers }
}

describe('sandboxes', () => {
  test('create, run, kill', async () => {
    const made = await create()
    assert.deepEqual(lines((await made.commands.run("echo 'Hello Sandbox!'")).logs.stdout), ['Hello Sandbox!'])
    assert.equal(await made.isHealthy(), true)
    await made.kill()
    assert.equal(await made.isHealthy(), false)
    await assert.rejects(made.getInfo(), refused(404))
    await assert.rejects(made.kill(), refused(404))
    await close(made)
  })

  test('info', () =>
    withSandbox({ timeoutSeconds: 200, metadata: { team: 'a', 'n.b': 'x_y-1' } }, async (made) => {
      const info = await made.getInfo()
      assert.equal(info.id, made.id)
      assert.equal(info.status.state, 'Running')
      assert.equal(info.image.uri, image)
      assert.ok(Array.isArray(info.entrypoint))
      assert.equal(info.metadata.team, 'a')
      assert.equal(info.metadata['n.b'], 'x_y-1')
      assert.ok(Math.abs(info.expiresAt - info.createdAt - 200_000) < 2000)
      assert.ok(Math.abs(Date.now() - info.createdAt) < 60_000)
    }))

  test('one that does not expire', () =>
    withSandbox({ timeoutSeconds: null }, async (made) => assert.equal((await made.getInfo()).expiresAt, null)))

  test('connect shares files and state', async () => {
    await runCode(box, 'shared = 41')
    await box.files.writeFiles([{ path: 'shared.txt', data: 'here' }])
    const other = await Sandbox.connect({ connectionConfig, sandboxId: box.id })
    assert.equal(await other.files.readFile('shared.txt'), 'here')
    assert.equal((await runCode(other, 'shared + 1')).result[0].text, '42')
    await other.close()
  })

  test('unknown sandbox', async () => {
    await assert.rejects(Sandbox.connect({ connectionConfig, sandboxId: 'nobody' }), refused(404))
    await withManager(async (manager) => {
      await assert.rejects(manager.getSandboxInfo('nobody'), refused(404))
      await assert.rejects(manager.killSandbox('nobody'), refused(404))
      await assert.rejects(manager.pauseSandbox('nobody'), refused(404))
      await assert.rejects(manager.renewSandbox('nobody', 60), refused(404))
    })
  })

  test('renew lengthens and shortens', () =>
    withSandbox({ timeoutSeconds: 300 }, async (made) => {
      for (const seconds of [3000, 100]) {
        const { expiresAt } = await made.renew(seconds)
        assert.ok(Math.abs(expiresAt - Date.now() - seconds * 1000) < 5000)
        assert.deepEqual((await made.getInfo()).expiresAt, expiresAt)
      }
    }))

  test('expiry ends it', () =>
    withSandbox({}, async (made) => {
      await made.renew(1)
      await until(async () => !(await made.isHealthy()))
      await assert.rejects(made.getInfo(), refused(404))
      await assert.rejects(made.commands.run('true'), refused(404))
    }))

  test('pause and resume', () =>
    withSandbox({}, async (made) => {
      await made.files.writeFiles([{ path: 'kept', data: 'yes' }])
      await made.pause()
      assert.equal((await made.getInfo()).status.state, 'Paused')
      assert.equal(await made.isHealthy(), false)
      const again = await made.resume()
      assert.equal(again.id, made.id)
      assert.equal((await again.getInfo()).status.state, 'Running')
      assert.equal(await again.files.readFile('kept'), 'yes')
      assert.equal((await runCode(again, "'awake'")).result[0].text, "'awake'")
    }))

  test('resume by id', () =>
    withSandbox({}, async (made) => {
      await made.pause()
      const again = await Sandbox.resume({ connectionConfig, sandboxId: made.id })
      assert.equal(again.id, made.id)
      assert.equal((await again.commands.run('true')).exitCode, 0)
      await again.close()
    }))

  test('metadata is patched', () =>
    withSandbox({ metadata: { keep: '1', drop: '2' } }, async (made) => {
      const info = await made.patchMetadata({ drop: null, add: '3' })
      for (const seen of [info, await made.getInfo()]) {
        assert.equal(seen.metadata.keep, '1')
        assert.equal(seen.metadata.add, '3')
        assert.ok(!('drop' in seen.metadata))
      }
    }))

  test('list by metadata, page by page', () =>
    withManager(async (manager) => {
      const mark = randomUUID()
      const made = await Promise.all(['1', '2', '3'].map((n) => create({ metadata: { mark, n } })))
      try {
        const seen = []
        for (let page = 1; ; page++) {
          const { items, pagination } = await manager.listSandboxInfos({ metadata: { mark }, page, pageSize: 2 })
          seen.push(items.map((one) => one.id))
          assert.equal(pagination.totalItems, 3)
          assert.equal(pagination.totalPages, 2)
          assert.equal(pagination.page, page)
          assert.equal(pagination.hasNextPage, page < 2)
          if (!pagination.hasNextPage) break
        }
        assert.deepEqual(seen.map((page) => page.length), [2, 1])
        assert.deepEqual(seen.flat().sort(), made.map((one) => one.id).sort())
        const second = await manager.listSandboxInfos({ metadata: { mark, n: '2' } })
        assert.deepEqual(second.items.map((one) => one.id), [made[1].id])
      } finally {
        await Promise.all(made.map(close))
      }
    }))

  test('list by state', () =>
    withManager(async (manager) => {
      const mark = randomUUID()
      await withSandbox({ metadata: { mark } }, (awake) =>
        withSandbox({ metadata: { mark } }, async (asleep) => {
          await asleep.pause()
          const ids = async (states) =>
            (await manager.listSandboxInfos({ states, metadata: { mark } })).items.map((one) => one.id).sort()
          assert.deepEqual(await ids(['Running']), [awake.id])
          assert.deepEqual(await ids(['Paused']), [asleep.id])
          assert.deepEqual(await ids(['Running', 'Paused']), [awake.id, asleep.id].sort())
        }),
      )
    }))

  test('managed by id', () =>
    withManager((manager) =>
      withSandbox({}, async (made) => {
        await manager.renewSandbox(made.id, 1000)
        await manager.patchSandboxMetadata(made.id, { by: 'manager' })
        await manager.pauseSandbox(made.id)
        const info = await manager.getSandboxInfo(made.id)
        assert.equal(info.status.state, 'Paused')
        assert.equal(info.metadata.by, 'manager')
        await manager.resumeSandbox(made.id)
        assert.equal(await made.isHealthy(), true)
        await manager.killSandbox(made.id)
        await assert.rejects(manager.getSandboxInfo(made.id), refused(404))
      }),
    ))

  test('wrong key, and none', async () => {
    for (const apiKey of ['osb_wrong', undefined]) {
      const stranger = new ConnectionConfig({ domain: HOST, apiKey })
      await assert.rejects(Sandbox.create({ connectionConfig: stranger, image }), refused(401))
      await assert.rejects(Sandbox.connect({ connectionConfig: stranger, sandboxId: box.id }), refused(401))
    }
    const { baseUrl } = await execd(box)
    assert.equal((await fetch(`${baseUrl}/ping`)).status, 401)
  })

  test('the id of a request comes back', async () => {
    const headers = { 'X-Request-ID': 'req-1' }
    const named = new ConnectionConfig({ domain: HOST, apiKey: KB_TOKEN, headers })
    await assert.rejects(Sandbox.connect({ connectionConfig: named, sandboxId: 'nobody' }), (error) => {
      assert.equal(error.requestId, 'req-1')
      return refused(404)(error)
    })
  })

  test('the domain may be a URL, with /v1 too', async () => {
    for (const domain of [KB_URL, `${KB_URL}/v1`, `${KB_URL}/`]) {
      const other = await Sandbox.connect({
        connectionConfig: new ConnectionConfig({ domain, apiKey: KB_TOKEN, useServerProxy: true }),
        sandboxId: box.id,
      })
      assert.equal((await other.commands.run('echo hi')).logs.stdout[0].text, 'hi')
      await other.close()
    }
  })

  test('policies that are not enforced are named', () =>
    withSandbox({ networkPolicy: { defaultAction: 'deny', egress: [] }, resource: { cpu: '1' } }, async (made) => {
      const named = (await made.getInfo()).metadata['kernelbridge.not-enforced'].split(',').map((one) => one.trim())
      assert.ok(named.includes('networkPolicy'), named)
      assert.ok(named.includes('resourceLimits.cpu'), named)
    }))

  test('endpoints', async () => {
    const { endpoint, headers } = await box.getEndpoint(DEFAULT_EXECD_PORT)
    assert.match(endpoint, /\/44772$/)
    assert.ok(!('OPEN-SANDBOX-API-KEY' in (headers ?? {})))
    assert.match((await box.getEndpoint(8000)).endpoint, /:8000$/)
    assert.equal(await box.getEndpointUrl(8000), `http://${(await box.getEndpoint(8000)).endpoint}`)
  })

  test('a server in a sandbox is reached by its endpoint', () =>
    withSandbox({}, async (made) => {
      await made.files.writeFiles([{ path: 'www/index.html', data: 'served' }])
      const server =
        'import http.server, os\nos.chdir("www")\ns = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)\n' +
        'print("at", s.server_port, flush=True)\ns.serve_forever()'
      const { id } = await made.commands.run(`exec python3 -c '${server}'`, { background: true })
      let at
      await until(async () => (at = /at (\d+)/.exec((await made.commands.getBackgroundCommandLogs(id)).content)))
      assert.equal(await (await fetch(await made.getEndpointUrl(Number(at[1])))).text(), 'served')
    }))

  test('no policy is readable where none is enforced', async () => {
    await assert.rejects(box.getEgressPolicy(), (error) => {
      assert.ok(error instanceof SandboxApiException, error)
      assert.ok([404, 501].includes(error.statusCode), error)
      return true
    })
  })

  test('metrics', async () => {
    const seen = await box.getMetrics()
    assert.ok(seen.cpuCount >= 1)
    assert.ok(seen.cpuUsedPercentage >= 0)
    assert.ok(seen.memoryTotalMiB > seen.memoryUsedMiB && seen.memoryUsedMiB > 0)
    assert.ok(Math.abs(seen.timestamp - Date.now()) < 60_000)
  })

  test('a health check of the caller decides', async () => {
    let asked = 0
    await withSandbox({ healthCheck: () => ++asked > 2, healthCheckPollingInterval: 1 }, async () => assert.equal(asked, 3))
    await withManager(async (manager) => {
      const mark = randomUUID()
      const never = { healthCheck: () => false, readyTimeoutSeconds: 0.05, healthCheckPollingInterval: 5, metadata: { mark } }
      await assert.rejects(create(never), SandboxReadyTimeoutException)
      assert.deepEqual((await manager.listSandboxInfos({ metadata: { mark } })).items, [])
    })
  })

  test('each has its own files, variables and contexts', async () => {
    const made = await Promise.all(['a', 'b'].map((NAME) => create({ env: { NAME } })))
    try {
      await Promise.all(made.map((one, i) => one.files.writeFiles([{ path: 'mine', data: `file ${i}` }])))
      await Promise.all(made.map((one, i) => runCode(one, `mine = ${i}`)))
      const seen = await Promise.all(made.map((one) => one.commands.run('echo "$NAME $(cat mine)"')))
      assert.deepEqual(seen.map((one) => one.logs.stdout[0].text), ['a file 0', 'b file 1'])
      const values = await Promise.all(made.map((one) => runCode(one, "import os; (mine, os.environ['NAME'])")))
      assert.deepEqual(values.map((one) => one.result[0].text), ["(0, 'a')", "(1, 'b')"])
    } finally {
      await Promise.all(made.map(close))
    }
  })
})

describe('commands', () => {
  test('both streams, line by line', async () => {
    const execution = await box.commands.run("printf 'a\\n\\nb'; echo e >&2")
    assert.match(execution.id, /^[0-9a-f]{32}$/)
    assert.deepEqual(lines(execution.logs.stdout), ['a', '\n', 'b'])
    assert.deepEqual(lines(execution.logs.stderr), ['e'])
    assert.equal(execution.exitCode, 0)
    assert.equal(execution.error, undefined)
    assert.ok(execution.complete.executionTimeMs >= 0)
  })

  test('a status is an error', async () => {
    const execution = await box.commands.run('echo before; exit 7')
    assert.equal(execution.exitCode, 7)
    assert.deepEqual([execution.error.name, execution.error.value], ['CommandExecError', '7'])
    assert.deepEqual(execution.error.traceback, ['exit status 7'])
    assert.equal(execution.complete, undefined)
    assert.deepEqual(lines(execution.logs.stdout), ['before'])
  })

  test('handlers in order', async () => {
    const seen = []
    const code = 'echo a; sleep 0.05; echo b >&2; sleep 0.05; echo c'
    const execution = await box.commands.run(code, undefined, {
      onInit: (init) => seen.push(`init ${init.id.length}`),
      onStdout: (m) => seen.push(m.text),
      onStderr: (m) => seen.push(m.text),
      onExecutionComplete: () => seen.push('complete'),
      onError: () => seen.push('error'),
      skipAccumulation: true,
    })
    assert.deepEqual(seen, ['init 32', 'a', 'b', 'c', 'complete'])
    assert.deepEqual(execution.logs.stdout, [])
  })

  test('output is prompt', async () => {
    const go = newFile()
    const onStdout = (m) => m.text === 'knock' && writeFileSync(go, '')
    const execution = await box.commands.run(`echo knock; ${shWaitFor(go)}; echo in`, undefined, { onStdout })
    assert.deepEqual(lines(execution.logs.stdout), ['knock', 'in'])
  })

  test('folder and variables', async () => {
    await box.files.createDirectories([{ path: 'sub dir' }])
    const options = { workingDirectory: 'sub dir', envs: { KBT: 'it\'s "q" $HOME \\n 🦆' } }
    const execution = await box.commands.run('basename "$PWD"; printf "%s\\n" "$KBT"', options)
    assert.deepEqual(lines(execution.logs.stdout), ['sub dir', options.envs.KBT])
    assert.deepEqual(lines((await box.commands.run('echo "[$KBT]"')).logs.stdout), ['[]'])
  })

  test('a folder that is not there', async () => {
    await assert.rejects(box.commands.run('true', { workingDirectory: 'not there' }), (error) => {
      assert.match(error.message, /not there/)
      return refused(400)(error)
    })
  })

  test('timeout', async () => {
    const execution = await box.commands.run('echo begun; sleep 600', { timeoutSeconds: 0.3 })
    assert.deepEqual(lines(execution.logs.stdout), ['begun'])
    assert.equal(execution.error.name, 'CommandExecError')
    assert.notEqual(execution.exitCode, 0)
  })

  test('interrupt by id', async () => {
    const { isHeld, handlers } = whenHeld()
    const run = box.commands.run('echo held; sleep 600', undefined, handlers)
    await box.commands.interrupt(await isHeld)
    assert.notEqual((await run).exitCode, 0)
  })

  test('in the background', async () => {
    const go = newFile()
    const { id, logs, exitCode } = await box.commands.run(`echo one; echo two >&2; ${shWaitFor(go)}; echo three; exit 3`, { background: true })
    assert.deepEqual([logs.stdout, exitCode], [[], undefined])
    const before = await box.commands.getCommandStatus(id)
    assert.deepEqual([before.id, before.running, before.exitCode, before.finishedAt], [id, true, null, null])
    assert.match(before.content, /echo one/)
    let first
    await until(async () => (first = await box.commands.getBackgroundCommandLogs(id)).content.split('\n').length > 2)
    assert.deepEqual(first.content.split('\n').filter(Boolean).sort(), ['one', 'two'])
    writeFileSync(go, '')
    await until(async () => !(await box.commands.getCommandStatus(id)).running)
    const after = await box.commands.getCommandStatus(id)
    assert.equal(after.exitCode, 3)
    assert.ok(after.finishedAt >= after.startedAt)
    const rest = await box.commands.getBackgroundCommandLogs(id, first.cursor)
    assert.deepEqual(rest.content.split('\n').filter(Boolean), ['three'])
    assert.ok(rest.cursor > first.cursor)
    const all = await box.commands.getBackgroundCommandLogs(id)
    assert.deepEqual(all.content.split('\n').filter(Boolean).sort(), ['one', 'three', 'two'])
  })

  test('a background command is interrupted', async () => {
    const { id } = await box.commands.run('sleep 600', { background: true })
    await box.commands.interrupt(id)
    await until(async () => !(await box.commands.getCommandStatus(id)).running)
    assert.notEqual((await box.commands.getCommandStatus(id)).exitCode, 0)
  })

  test('unknown ids', async () => {
    await assert.rejects(box.commands.getCommandStatus('nobody'), refused(404))
    await assert.rejects(box.commands.getBackgroundCommandLogs('nobody'), refused(404))
  })

  test('a client that leaves disturbs nobody', async () => {
    const gone = new AbortController()
    const { isHeld, handlers } = whenHeld()
    const commands = new CommandsAdapter(null, await execd(box)) // the sandbox's own forgets the signal
    const run = commands.run('echo held; sleep 600', undefined, handlers, gone.signal)
    const id = await isHeld
    gone.abort()
    await assert.rejects(run)
    await box.commands.interrupt(id)
    await until(async () => !(await box.commands.getCommandStatus(id)).running)
    assert.equal((await box.commands.run('true')).exitCode, 0)
  })

  test('another user is refused', async () => {
    await assert.rejects(box.commands.run('id', { uid: 65534, gid: 65534 }), refused(400))
  })

  test('twenty thousand lines', async () => {
    const execution = await box.commands.run('seq 0 19999')
    assert.deepEqual(lines(execution.logs.stdout), numbers(20_000))
  })

  test('a line of five million characters', async () => {
    const execution = await box.commands.run("head -c 5000000 /dev/zero | tr '\\0' x; echo; echo end")
    const whole = text(execution.logs.stdout)
    assert.equal(sha(whole), sha('x'.repeat(5_000_000) + 'end'))
  })

  test('text of all kinds', async () => {
    const odd = 'äöü € 日本 🦆 \u0085 \u2028 \u2029 \x01 "\\ {"type":"init"}'
    const execution = await box.commands.run('printf "%s\\n" "$ODD"', { envs: { ODD: odd } })
    assert.deepEqual(lines(execution.logs.stdout), [odd])
  })

  test('events as they come', async () => {
    const events = []
    for await (const event of box.commands.runStream('echo a; exit 1')) events.push(event)
    assert.deepEqual(events.map((e) => e.type).filter((type) => type !== 'ping'), ['init', 'stdout', 'error'])
    for (const event of events) assert.ok(Number.isInteger(event.timestamp))
  })
})

describe('sessions', () => {
  /** Run `body` with a session that is deleted afterwards. */
  async function withSession(options, body) {
    const id = await box.commands.createSession(options)
    try {
      return await body((command, more, handlers) => box.commands.runInSession(id, command, more, handlers), id)
    } finally {
      await box.commands.deleteSession(id)
    }
  }

  test('state is kept', () =>
    withSession(undefined, async (run) => {
      await run('mkdir -p s1 && cd s1; KEPT=41; export SHOWN=yes; add() { echo $(($1 + $2)); }')
      const execution = await run('basename "$PWD"; add $KEPT 1; printenv SHOWN')
      assert.deepEqual(text(execution.logs.stdout).split(/\n?(?=s1|42|yes)/).join('|').replace(/\n/g, ''), 's1|42|yes')
      assert.equal(execution.exitCode, 0)
    }))

  test('two are apart', () =>
    withSession(undefined, (one) =>
      withSession(undefined, async (two) => {
        await Promise.all([one('X=one'), two('X=two')])
        const seen = await Promise.all([one('echo "$X"'), two('echo "$X"')])
        assert.deepEqual(seen.map((e) => text(e.logs.stdout).trim()), ['one', 'two'])
      }),
    ))

  test('folder of a session, and of one run', async () => {
    await box.files.createDirectories([{ path: 's2/deep' }])
    await withSession({ workingDirectory: 's2' }, async (run) => {
      const where = async (options) => text((await run('basename "$PWD"', options)).logs.stdout).trim()
      assert.equal(await where(), 's2')
      assert.equal(await where({ workingDirectory: 's2/deep' }), 'deep')
      assert.equal(await where(), 's2')
    })
  })

  test('a status is an error, and the session goes on', () =>
    withSession(undefined, async (run) => {
      await run('KEPT=1')
      const execution = await run('echo out; (exit 4)')
      assert.deepEqual([execution.error?.value, execution.exitCode], ['4', 4])
      assert.equal(text((await run('echo "$KEPT"')).logs.stdout).trim(), '1')
    }))

  test('timeout', () =>
    withSession(undefined, async (run) => {
      const execution = await run('sleep 600', { timeoutSeconds: 0.3 })
      assert.ok(execution.error)
      assert.equal(text((await run('echo after')).logs.stdout).trim(), 'after')
    }))

  test('handlers', () =>
    withSession(undefined, async (run) => {
      const go = newFile()
      const onStdout = (m) => m.text.includes('knock') && writeFileSync(go, '')
      const execution = await run(`echo knock; ${shWaitFor(go)}; echo in`, undefined, { onStdout })
      assert.match(text(execution.logs.stdout), /knock[\s\S]*in/)
    }))

  test('a deleted one is gone', async () => {
    const id = await box.commands.createSession()
    await box.commands.deleteSession(id)
    await assert.rejects(box.commands.runInSession(id, 'true'), SandboxApiException)
    await assert.rejects(box.commands.deleteSession(id), refused(404))
  })
})

describe('files', () => {
  /** A folder of the shared sandbox that only this test uses. */
  async function folder() {
    const name = `f-${randomUUID().slice(0, 8)}`
    await box.files.createDirectories([{ path: name }])
    return name
  }

  test('written and read, whatever the name', async () => {
    const dir = await folder()
    for (const name of ['plain.txt', 'with space', 'ä € 🦆', 'a&b=c%20+d#e?f', "it's"]) {
      await box.files.writeFiles([{ path: `${dir}/${name}`, data: `in ${name}` }])
      assert.equal(await box.files.readFile(`${dir}/${name}`), `in ${name}`)
      assert.deepEqual(lines((await box.commands.run('cat "$N"', { envs: { N: `${dir}/${name}` } })).logs.stdout), [`in ${name}`])
    }
  })

  test('bytes of every kind', async () => {
    const dir = await folder()
    const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 7) % 256)
    const kinds = { view: bytes, buffer: bytes.buffer, blob: new Blob([bytes]), empty: new Uint8Array(0) }
    await box.files.writeFiles(Object.entries(kinds).map(([name, data]) => ({ path: `${dir}/${name}`, data })))
    for (const name of Object.keys(kinds))
      assert.deepEqual(await box.files.readBytes(`${dir}/${name}`), name === 'empty' ? kinds.empty : bytes, name)
    const ends = '\r\n--boundary\r\n\r\n--\r\n'
    await box.files.writeFiles([{ path: `${dir}/ends`, data: ends }])
    assert.equal(await box.files.readFile(`${dir}/ends`), ends)
  })

  test('a stream up, and down', async () => {
    const dir = await folder()
    const [up, down] = [createHash('sha256'), createHash('sha256')]
    async function* pieces() {
      for (let i = 0; i < 320; i++) {
        const piece = Buffer.alloc(65_536, i % 251)
        up.update(piece)
        yield piece
      }
    }
    await box.files.writeFiles([{ path: `${dir}/big`, data: pieces() }])
    let size = 0
    for await (const piece of box.files.readBytesStream(`${dir}/big`)) {
      size += piece.length
      down.update(piece)
    }
    assert.equal(size, 320 * 65_536)
    assert.equal(down.digest('hex'), up.digest('hex'))
  })

  test('parts', async () => {
    const dir = await folder()
    await box.files.writeFiles([{ path: `${dir}/part`, data: 'one\ntwo\nthree\nfour\n' }])
    assert.equal(await box.files.readFile(`${dir}/part`, { range: 'bytes=4-6' }), 'two')
    assert.equal(await box.files.readFile(`${dir}/part`, { range: 'bytes=-5' }), 'four\n')
    assert.equal(await box.files.readFile(`${dir}/part`, { range: 'bytes=14-' }), 'four\n')
    assert.equal((await box.files.readFile(`${dir}/part`, { offset: 2, limit: 2 })).trimEnd(), 'two\nthree')
  })

  test('info of several', async () => {
    const dir = await folder()
    await box.files.writeFiles([{ path: `${dir}/a`, data: 'four', mode: 640 }])
    const info = await box.files.getFileInfo([`${dir}/a`, dir])
    const [file, at] = [info[`${dir}/a`], info[dir]]
    assert.deepEqual([file.type, file.size, file.mode, at.type], ['file', 4, 640, 'directory'])
    assert.ok(Math.abs(file.modifiedAt - Date.now()) < 60_000)
    assert.ok(file.createdAt instanceof Date && file.owner && file.group)
    assert.ok(path.isAbsolute(file.path))
    assert.equal((await box.files.getFileInfo([file.path]))[file.path].size, 4)
    await assert.rejects(box.files.getFileInfo([`${dir}/none`]), refused(404))
  })

  test('search', async () => {
    const dir = await folder()
    const names = ['a.py', 'b.txt', 'sub/c.py', 'sub/deeper/d.py', 'sub/e.txt']
    await box.files.writeFiles(names.map((name) => ({ path: `${dir}/${name}`, data: name })))
    const found = async (pattern) =>
      (await box.files.search({ path: dir, pattern })).map((one) => one.path.split(`${dir}/`)[1]).sort()
    assert.deepEqual(await found('*.py'), ['a.py', 'sub/c.py', 'sub/deeper/d.py'])
    assert.deepEqual(await found('**'), [...names].sort())
    assert.deepEqual(await found('none*'), [])
  })

  test('list, as deep as asked', async () => {
    const dir = await folder()
    await box.files.writeFiles(['b/c/d', 'a', 'b/e'].map((name) => ({ path: `${dir}/${name}`, data: '' })))
    const listed = async (depth) =>
      (await box.files.listDirectory({ path: dir, depth })).map((one) => `${one.path.split(`${dir}/`)[1]} ${one.type}`)
    assert.deepEqual(await listed(), ['a file', 'b directory'])
    assert.deepEqual(await listed(2), ['a file', 'b directory', 'b/c directory', 'b/e file'])
    await assert.rejects(box.files.listDirectory({ path: `${dir}/none` }), refused(404))
  })

  test('folders made and deleted', async () => {
    const dir = await folder()
    await box.files.createDirectories([{ path: `${dir}/x/y`, mode: 700 }, { path: `${dir}/z` }])
    assert.equal((await box.files.getFileInfo([`${dir}/x/y`]))[`${dir}/x/y`].mode, 700)
    await box.files.writeFiles([{ path: `${dir}/x/y/f`, data: '1' }])
    await box.files.deleteDirectories([`${dir}/x`, `${dir}/z`])
    assert.deepEqual(await box.files.listDirectory({ path: dir }), [])
  })

  test('move', async () => {
    const dir = await folder()
    await box.files.writeFiles([{ path: `${dir}/old`, data: 'moved' }])
    await box.files.moveFiles([{ src: `${dir}/old`, dest: `${dir}/new` }])
    assert.equal(await box.files.readFile(`${dir}/new`), 'moved')
    await assert.rejects(box.files.readFile(`${dir}/old`), refused(404))
    await assert.rejects(box.files.moveFiles([{ src: `${dir}/old`, dest: `${dir}/x` }]), refused(404))
  })

  test('delete', async () => {
    const dir = await folder()
    await box.files.writeFiles(['a', 'b', 'c'].map((name) => ({ path: `${dir}/${name}`, data: name })))
    await box.files.deleteFiles([`${dir}/a`, `${dir}/b`])
    assert.deepEqual((await box.files.listDirectory({ path: dir })).map((one) => path.basename(one.path)), ['c'])
  })

  test('permissions', async () => {
    const dir = await folder()
    await box.files.writeFiles([{ path: `${dir}/run`, data: '#!/bin/sh\necho ran' }])
    await box.files.setPermissions([{ path: `${dir}/run`, mode: 750 }])
    assert.equal((await box.files.getFileInfo([`${dir}/run`]))[`${dir}/run`].mode, 750)
    assert.deepEqual(lines((await box.commands.run(`./${dir}/run`)).logs.stdout), ['ran'])
    await assert.rejects(box.files.setPermissions([{ path: `${dir}/run`, mode: 750, owner: 'nobody' }]), refused(400))
  })

  test('replace, and how often', async () => {
    const dir = await folder()
    await box.files.writeFiles([{ path: `${dir}/r`, data: 'a-a-b' }])
    await box.files.replaceContents([{ path: `${dir}/r`, oldContent: 'a', newContent: 'long 🦆' }])
    assert.equal(await box.files.readFile(`${dir}/r`), 'long 🦆-long 🦆-b')
    const [done] = await box.files.replaceContentsDetailed([{ path: `${dir}/r`, oldContent: 'long 🦆', newContent: '' }])
    assert.deepEqual([done.path, done.replacedCount], [`${dir}/r`, 2])
    assert.equal(await box.files.readFile(`${dir}/r`), '--b')
  })

  test('what is not there, and what is not its own', async () => {
    await assert.rejects(box.files.readFile('none at all'), refused(404))
    for (const outside of ['/etc/passwd', '../../token', '~/../../token', '/proc/self/environ']) {
      await assert.rejects(box.files.readFile(outside), SandboxApiException)
      await assert.rejects(box.files.getFileInfo([outside]), SandboxApiException)
      await assert.rejects(box.files.deleteFiles([outside]), SandboxApiException)
    }
    const escaped = path.join(scratch, 'escaped')
    await assert.rejects(box.files.writeFiles([{ path: escaped, data: 'x' }]), SandboxApiException)
    await box.commands.run(`ln -s '${scratch}' out`)
    await assert.rejects(box.files.writeFiles([{ path: 'out/escaped', data: 'x' }]), SandboxApiException)
    assert.ok(!existsSync(escaped))
  })

  test('files, commands and code see the same', async () => {
    const dir = await folder()
    await box.files.writeFiles([{ path: `${dir}/m.py`, data: 'answer = 42' }])
    const execution = await runCode(box, `import sys; sys.path.insert(0, '${dir}'); import m; open('${dir}/out', 'w').write(str(m.answer))`)
    assert.equal(execution.error, undefined)
    assert.equal(await box.files.readFile(`${dir}/out`), '42')
    assert.deepEqual(lines((await box.commands.run(`cat ${dir}/out`)).logs.stdout), ['42'])
  })
})

describe('code', () => {
  test('output, value and count', () =>
    withContext(async (context) => {
      const first = await runCode(box, "import sys\nprint('out')\nprint('err', file=sys.stderr)\nx = 1", context)
      assert.deepEqual([text(first.logs.stdout), text(first.logs.stderr)], ['out\n', 'err\n'])
      assert.equal(first.id, context.id)
      assert.ok(first.complete)
      const second = await runCode(box, 'x += 1; x', context)
      assert.deepEqual([second.result.length, second.result[0].text, second.executionCount], [1, '2', 2])
    }))

  test('an error, and a run right after it', () =>
    withContext(async (context) => {
      const { error, complete } = await runCode(box, '1\n1/0', context)
      assert.deepEqual([error.name, error.value, complete], ['ZeroDivisionError', 'division by zero', undefined])
      assert.match(error.traceback.join('\n'), /line 2/)
      assert.equal((await runCode(box, '1 + 1', context)).result[0].text, '2')
    }))

  test('handlers in order', () =>
    withContext(async (context) => {
      const seen = []
      const code =
        "from IPython.display import display\nimport sys\nprint('a', flush=True)\ndisplay(1)\n" +
        "print('b', file=sys.stderr, flush=True)\ndisplay(2)\n3"
      await runCode(box, code, context, {
        onInit: (init) => seen.push(init.id === context.id),
        onStdout: (m) => seen.push(m.text),
        onStderr: (m) => seen.push(m.text),
        onResult: (r) => seen.push(r.text),
        onExecutionComplete: () => seen.push('complete'),
      })
      assert.deepEqual(seen, [true, 'a\n', '1', 'b\n', '2', '3', 'complete'])
    }))

  test('output is prompt', async () => {
    const go = newFile()
    const onStdout = (m) => m.text.includes('knock') && writeFileSync(go, '')
    const execution = await runCode(box, `print('knock')\n${waitFor(go)}print('in')`, undefined, { onStdout })
    assert.equal(text(execution.logs.stdout), 'knock\nin\n')
  })

  test('results of every form', async () => {
    const bundle = { 'text/plain': 'p', 'text/html': '<b>h</b>', 'image/png': 'iVBORw0KGgo=', 'application/json': { k: [1, 'ü'] } }
    const code = `import json\nfrom IPython.display import display\ndisplay(json.loads(${JSON.stringify(JSON.stringify(bundle))}), raw=True)`
    const [{ raw }] = (await runCode(box, code)).result
    assert.equal(raw.text, 'p')
    for (const type of Object.keys(bundle).slice(1)) assert.deepEqual(raw[type], bundle[type])
  })

  test('a busy context queues', () =>
    withContext(async (context) => {
      await runCode(box, 'log = []', context)
      await Promise.all(numbers(8).map((n) => runCode(box, `import time; log.append('in'); time.sleep(0.02); log.append('out')`, context)))
      assert.equal((await runCode(box, "log == ['in', 'out'] * 8", context)).result[0].text, 'True')
    }))

  test('interrupt', () =>
    withContext(async (context, api) => {
      await runCode(box, 'kept = 1', context)
      const { isHeld, handlers } = whenHeld()
      const run = runCode(box, "print('held', flush=True)\nwhile True: pass", context, handlers)
      const id = await isHeld
      assert.equal((await api.DELETE('/code', { params: { query: { id } } })).response.status, 200)
      assert.equal((await run).error.name, 'KeyboardInterrupt')
      assert.equal((await runCode(box, 'kept', context)).result[0].text, '1')
    }))

  test('contexts: made, listed, got, deleted', async () => {
    const api = await client(box)
    const made = (await api.POST('/code/context', { body: { language: 'python' } })).data
    const path_ = { params: { path: { context_id: made.id } } }
    assert.deepEqual((await api.GET('/code/contexts/{context_id}', path_)).data, { id: made.id, language: 'python' })
    const { data: listed } = await api.GET('/code/contexts', { params: { query: { language: 'python' } } })
    assert.ok(listed.some((one) => one.id === made.id))
    assert.deepEqual((await api.GET('/code/contexts', { params: { query: { language: 'cobol' } } })).data, [])
    assert.equal((await api.DELETE('/code/contexts/{context_id}', path_)).response.status, 200)
    const gone = await api.GET('/code/contexts/{context_id}', path_)
    assert.deepEqual([gone.response.status, gone.error.code], [404, 'CONTEXT_NOT_FOUND'])
    await assert.rejects(runCode(box, '1', made), refused(500, 'RUNTIME_ERROR'))
  })

  test('an unknown language is no shell', async () => {
    await assert.rejects(runCode(box, 'echo $0', { language: 'cobol' }), (error) => {
      assert.match(error.message, /unknown language: cobol/)
      return refused(500, 'RUNTIME_ERROR')(error)
    })
    assert.equal((await runCode(box, '6 * 7', {})).result[0].text, '42')
    assert.equal((await runCode(box, '6 * 7', null)).result[0].text, '42')
  })

  test('bash', async () => {
    const execution = await runCode(box, 'X=4; echo "$X$((1 + 1))"', { language: 'bash' })
    assert.equal(text(execution.logs.stdout), '42\n')
    assert.equal(text((await runCode(box, 'echo "$X"', { language: 'bash' })).logs.stdout), '4\n')
  })

  for (const [name, odd] of Object.entries({
    'many scripts': 'äöü € 日本 🦆👩‍👩‍👧‍👦',
    'line separators': 'a\u2028b\u2029c\u0085d\x0be\x0cf',
    controls: '\x00\x01\x1b[31m\x7f',
    'event-like': 'data: {"type":"execution_complete"}\n\nevent: x',
  })) {
    test(`text: ${name}`, async () => {
      const literal = JSON.stringify(odd)
      const execution = await runCode(box, `import json\ntext = json.loads(${JSON.stringify(literal)})\nprint(text)\ntext`)
      assert.equal(execution.error, undefined)
      assert.equal(text(execution.logs.stdout), `${odd}\n`)
    })
  }

  test('twenty thousand flushed prints', async () => {
    const execution = await runCode(box, 'for i in range(20_000): print(i, flush=True)')
    assert.equal(sha(text(execution.logs.stdout)), sha(numbers(20_000).join('\n') + '\n'))
    assert.ok(execution.complete)
  })

  test('a result of five megabytes', async () => {
    const [{ text: value }] = (await runCode(box, "''.join(f'{i:08d}' for i in range(625_000))")).result
    assert.equal(sha(value.slice(1, -1)), sha(Array.from({ length: 625_000 }, (_, i) => String(i).padStart(8, '0')).join('')))
  })

  test('a client that leaves: the run finishes', () =>
    withContext(async (context) => {
      const [go, gone] = [newFile(), new AbortController()]
      const { isHeld, handlers } = whenHeld()
      const run = runCode(box, `print('held', flush=True)\n${waitFor(go)}done = 'whole'`, context, handlers, gone.signal)
      await isHeld
      gone.abort()
      await assert.rejects(run)
      writeFileSync(go, '')
      assert.equal((await runCode(box, 'done', context)).result[0].text, "'whole'")
    }))
})
