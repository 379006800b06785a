import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { freePort } from '../src/index.ts'

// Few enough that each is drawn many times, and below all that are given out elsewhere.
const FIRST = 11_900
const RANGE = [FIRST, FIRST + 3] as const
const isOfRange = (port: number) => port >= RANGE[0] && port < RANGE[1]

t.test('no port is given out twice, in whatever process, and none that somebody listens on', async (t) => {
  const other = fork(join(import.meta.dirname, 'support/take-port.ts'), RANGE.map(String))
  t.teardown(() => void other.kill('SIGKILL'))
  const [theirs] = (await once(other, 'message')) as [number]
  t.ok(isOfRange(theirs))
  const left = [0, 1, 2].map((i) => FIRST + i).filter((port) => port !== theirs)
  const server = createServer().listen(left[0], '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => void server.close())

  t.equal(await freePort(RANGE), left[1], 'the only one that is neither taken nor in use')
  t.notOk(isOfRange(await freePort(RANGE)), 'then any that the system has')
  const ended = once(other, 'exit')
  other.kill('SIGKILL')
  await ended
  t.equal(await freePort(RANGE), theirs, 'the end of a process gives back what it had, whether or not it used it')
})
