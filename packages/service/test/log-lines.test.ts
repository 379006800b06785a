import { execFile } from 'node:child_process'
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { logLines } from '../src/log-lines.ts'

const fault = (code: string) => Object.assign(new Error(`${code}: it does not fit`), { code })

t.test('lines that do not fit are left out, and counted once there is room', async (t) => {
  const path = join(t.testdir({}), 'log')
  const fd = openSync(path, 'a')
  t.teardown(() => closeSync(fd))
  /** Bytes that still fit. */
  let room = Number.POSITIVE_INFINITY
  const log = logLines(
    fd,
    (lost, why) => `${lost} lost (${why})\n`,
    (fd, bytes, offset) => {
      if (room === 0) throw fault('ENOSPC')
      const n = writeSync(fd, bytes, offset, Math.min(room, bytes.length - offset))
      room -= n
      return n
    }
  )
  log.write('one\n')
  room = 2
  log.write('two\n')
  for (let i = 0; i < 3; i++) log.write('three\n')
  // Enough for the end of the line that was cut, not for what would be told.
  room = 1
  log.write('four\n')
  room = Number.POSITIVE_INFINITY
  log.write('five\n')
  log.write('six\n')
  t.equal(readFileSync(path, 'utf8'), 'one\ntw\n5 lost (ENOSPC: it does not fit)\nfive\nsix\n')
})

t.test('a reader that is gone ends the writing; one that is slow is waited for', async (t) => {
  const written: string[] = []
  const codes = ['EAGAIN', 'EAGAIN', '', 'EPIPE']
  let calls = 0
  const log = logLines(
    1,
    () => 'lost\n',
    (_fd, bytes) => {
      calls++
      const code = codes.shift()
      if (code) throw fault(code)
      written.push(bytes.toString())
      return bytes.length
    }
  )
  for (const line of ['a\n', 'b\n', 'c\n']) log.write(line)
  t.same(written, ['a\n'])
  t.equal(calls, 4, 'c is not even tried')
})

t.test('what is no fault of a disk is thrown', async (t) => {
  const log = logLines(
    1,
    () => '',
    () => {
      throw fault('EBADF')
    }
  )
  t.throws(() => log.write('x\n'), { code: 'EBADF' })
})

t.test('a process whose log is on a full disk goes on', async (t) => {
  const log = JSON.stringify(new URL('../src/log.ts', import.meta.url).href)
  const program = `
    const { createLogger } = await import(${log})
    const log = createLogger({ service: 'x', instance: '1', level: 'info' })
    for (let i = 0; i < 3; i++) log.info('a line')
    process.stderr.write('went on')`
  const command = `exec "$0" --input-type=module -e "$1" > /dev/full`
  const { stderr } = await promisify(execFile)('sh', ['-c', command, process.execPath, program], {
    env: { ...process.env, NODE_OPTIONS: '' }
  })
  t.equal(stderr, 'went on')
})
