import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { startOrigin } from './helpers/origin.ts'
import { startProcess } from './helpers/processes.ts'

/** What each request runs through, among much else. */
const HOT = ['readPlainHead', 'Exchange', 'Visit', 'Relay', 'Attempt', 'Deadline', 'parseHead', 'headText']
const CONNECTIONS = 8
const EACH = 1_500

/** Asks again and again on one connection. */
async function ask(t: Test, port: number, times: number): Promise<void> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  for (let i = 0; i < times; i++) {
    socket.write('GET /feed/1 HTTP/1.1\r\nhost: x\r\naccept: a\r\n\r\n')
    let text = ''
    while (!text.endsWith('/feed/1 one')) text += String((await once(socket, 'data'))[0])
    if (!text.startsWith('HTTP/1.1 200 ')) throw new Error(text)
  }
  socket.end()
  await once(socket, 'close')
}

t.test('a collection between two bursts leaves optimised code as it is', { timeout: 300_000 }, async (t) => {
  const origin = await startOrigin(t, 'one')
  const gateway = await startProcess(t, '../fixtures/traced-gateway.ts', {
    PORT: '0',
    DRAIN_MS: '0',
    IDLE_KEPT_MS: '0',
    LIMIT_EXEMPT: '127.0.0.1',
    ROUTES: `/feed=${origin.url}`
  })
  const port = Number(new URL(gateway.url).port)
  await Promise.all(Array.from({ length: CONNECTIONS }, () => ask(t, port, EACH)))
  const collected = once(gateway.child, 'message')
  gateway.child.kill('SIGUSR2')
  await collected
  gateway.child.kill('SIGTERM')
  // V8 writes the rest of what it says when the process ends.
  t.equal(await gateway.exited, 0)
  const lines = gateway.output().split('\n')
  const named = (pattern: RegExp) => new Set(lines.flatMap((line) => pattern.exec(line)?.[1] ?? []))
  const optimised = named(/completed (?:compiling|optimizing) \S+ <JSFunction (\w+)/)
  const thrownAway = named(/SharedFunctionInfo (\w+)>.*embedded weak objects cleared/)
  t.ok(optimised.has('parseHead') && optimised.has('readPlainHead'), 'there is something to lose')
  t.strictSame(
    HOT.filter((name) => thrownAway.has(name)),
    [],
    'and it is not lost'
  )
})
