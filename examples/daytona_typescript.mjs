// Daytona's code interpreter in JavaScript, on kernelbridge.
//
//   npm i @daytona/sdk
//   DAYTONA_API_URL=http://127.0.0.1:8686/daytona/api DAYTONA_API_KEY=<token> node daytona_typescript.mjs
import { Daytona } from '@daytona/sdk'

const handleStdout = (msg) => process.stdout.write(`STDOUT: ${msg.output}`)
const handleStderr = (msg) => process.stdout.write(`STDERR: ${msg.output}`)
const handleError = (err) => console.log(`ERROR: ${err.name}: ${err.value}`)

const daytona = new Daytona()
const sandbox = await daytona.create()

const code = `
import sys
import time
for i in range(5):
    print(i)
    time.sleep(1)
sys.stderr.write("Counting done!")
`
await sandbox.codeInterpreter.runCode(code, {
  onStdout: handleStdout,
  onStderr: handleStderr,
  onError: handleError,
  timeout: 10,
})
console.log()

const ctx = await sandbox.codeInterpreter.createContext()
await sandbox.codeInterpreter.runCode('x = 100', { context: ctx })
const inside = await sandbox.codeInterpreter.runCode('print(x)', { context: ctx })
console.log('in ctx:', inside.stdout.trim())
const outside = await sandbox.codeInterpreter.runCode('print(x)', { onError: handleError })
console.log('in default:', outside.error.name)

for (const one of await sandbox.codeInterpreter.listContexts()) {
  console.log(`Context ${one.id}: ${one.language} at ${one.cwd}`)
}
await sandbox.codeInterpreter.deleteContext(ctx)
await sandbox.delete()
