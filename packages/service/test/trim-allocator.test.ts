import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }

// In a process of its own, with a heap that nobody else has used. Pieces of which every 64th stays: what is free between them, glibc keeps.
const PROGRAM = `
import { trimAllocator } from ${JSON.stringify(join(import.meta.dirname, '../src/trim-allocator.ts'))}
let pieces = Array.from({ length: 50_000 }, () => Buffer.allocUnsafeSlow(2_048).fill(1))
const kept = pieces.filter((_, at) => at % 64 === 0)
pieces = undefined
gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
const before = process.memoryUsage.rss()
trimAllocator()
console.log(JSON.stringify({ before, after: process.memoryUsage.rss(), kept: kept.every((piece) => piece.every((byte) => byte === 1)) }))
`

const skip = header.glibcVersionRuntime === undefined && 'the C library of this machine is not glibc'

t.test('what is free between pieces in use is given back, without a word', { skip }, async (t) => {
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--expose-gc', '--input-type=module-typescript', '-e', PROGRAM],
    { env: { PATH: process.env.PATH } }
  )
  const { before, after, kept } = JSON.parse(stdout)
  t.ok(before - after > 40e6, `${before} bytes before, ${after} after`)
  t.equal(kept, true, 'what is in use stays as it is')
  t.equal(stderr, '')
})
