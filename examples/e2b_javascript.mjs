// E2B's code interpreter in JavaScript, on kernelbridge.
//
//   npm i @e2b/code-interpreter
//   E2B_API_URL=http://127.0.0.1:8686 E2B_SANDBOX_URL=http://127.0.0.1:8686 E2B_API_KEY=<token> node e2b_javascript.mjs
import { Sandbox } from '@e2b/code-interpreter'
import { writeFileSync } from 'node:fs'

const sbx = await Sandbox.create({ timeoutMs: 300_000, metadata: { user_id: 'u_123' } })

// Run generated code
await sbx.runCode('x = 1')
const execution = await sbx.runCode('x += 1; x')
console.log('text:', execution.text)

const failed = await sbx.runCode('1 / 0')
console.log('error:', failed.error.name, '-', failed.error.value)

// Supported runtimes
const hello = {
  python: "print('hello from', 'python')",
  javascript: "console.log('hello from', 'javascript')",
  r: "cat('hello from r\\n')",
  java: 'System.out.println("hello from java");',
  bash: 'echo hello from bash',
}
for (const [language, code] of Object.entries(hello)) {
  const { logs } = await sbx.runCode(code, { language })
  process.stdout.write(logs.stdout.join(''))
}

// Streaming callbacks
await sbx.runCode("import sys\nprint('working')\nprint('careful', file=sys.stderr)\n'value'", {
  onStdout: (data) => process.stdout.write(`STDOUT: ${data.line}`),
  onStderr: (data) => process.stdout.write(`STDERR: ${data.line}`),
  onError: (error) => console.log('ERROR:', error),
  onResult: (result) => console.log('RESULT:', result.text),
})

// Results and artifacts
const { results } = await sbx.runCode(`
import matplotlib.pyplot as plt
plt.plot([1, 2, 3], [1, 4, 9])
plt.title("Squares")
plt.show()
`)
writeFileSync('chart.png', Buffer.from(results[0].png, 'base64'))
console.log('chart:', results[0].chart.type, results[0].chart.title)

// Code contexts for parallel state
const ctx = await sbx.createCodeContext({ cwd: '/home/user', language: 'python' })
await sbx.runCode('y = 100', { context: ctx })
console.log('in context:', (await sbx.runCode('y', { context: ctx })).text)
console.log('in default:', (await sbx.runCode('y')).error.name)
await sbx.restartCodeContext(ctx)
console.log('restarted:', (await sbx.runCode('y', { context: ctx })).error.name)
await sbx.removeCodeContext(ctx)

await sbx.kill()
