import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parseBodiesOptions } from '../src/bodies/options.ts'
import { bodiesText } from '../src/bodies/report.ts'
import type { BodiesResult } from '../src/bodies/run.ts'

const ROOT = join(import.meta.dirname, '../../..')
const kept = JSON.parse(await readFile(join(ROOT, 'packages/bench/results/bodies.json'), 'utf8')) as BodiesResult

t.test('options', (t) => {
  t.same(parseBodiesOptions([]), { megabytes: 1_024, rounds: 5 })
  t.same(parseBodiesOptions(['--mb', '64', '--rounds', '3']), { megabytes: 64, rounds: 3 })
  for (const bad of ['0', '1.5', 'many', '-1', '1000000000'])
    t.throws(() => parseBodiesOptions([`--mb=${bad}`]), /^--mb is a whole number from 1 to /, bad)
  t.throws(() => parseBodiesOptions(['--rounds=101']), /^--rounds is a whole number from 1 to 100/)
  t.end()
})

t.test('a result as text: beside nginx, and without it', (t) => {
  const row = { direction: 'up', mbPerSecond: 900.4, grownMb: 1.25 } as const
  const ours = { ...row, server: 'Skerry', cpuMicrosPerMb: 500 }
  const nginx = { ...row, server: 'nginx 1.0', cpuMicrosPerMb: 400 }
  t.match(bodiesText({ ...kept, rows: [ours, nginx] }), /^.*Skerry .*\bup .*\b500 +.*1\.25 .*\b900 .*1\.3/m)
  const alone = bodiesText({ ...kept, rows: [ours], missing: ['nginx is not installed: here is how'] })
  t.notMatch(alone, /1\.25 /)
  t.match(alone, /^nginx is not installed: here is how$/m)
  t.end()
})

t.test('docs/gateway-bodies.md says what was measured', async (t) => {
  const page = await readFile(join(ROOT, 'docs/gateway-bodies.md'), 'utf8')
  const lines = page.split('\n').map((line) => line.replaceAll(/[`,]/g, ''))
  const of = (server: string, direction: string) =>
    kept.rows.find((row) => row.server.startsWith(server) && row.direction === direction)!
  const grown = (mb: number) => (mb === 0 ? '0' : `+${mb.toFixed(1)} MB`)
  for (const server of new Set(kept.rows.map((row) => row.server))) {
    const cells = (['up', 'down'] as const).flatMap((direction) => {
      const { cpuMicrosPerMb } = of(server, direction)
      const beside = (cpuMicrosPerMb / of('nginx', direction).cpuMicrosPerMb).toFixed(2)
      return [cpuMicrosPerMb.toFixed(0), server.startsWith('nginx') ? '' : beside]
    })
    const memory = [grown(of(server, 'up').grownMb), grown(of(server, 'down').grownMb)]
    const shown = lines.find((line) => line.startsWith(`| ${server}`))
    t.same(
      shown
        ?.split('|')
        .slice(2, -1)
        .map((cell) => cell.trim()),
      [...cells, ...memory],
      server
    )
  }
})
