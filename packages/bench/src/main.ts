import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { startTestStores } from '@skerry/testing'
import { GATEWAY_HELP, parseGatewayOptions } from './gateway/options.ts'
import { profileRow } from './gateway/profile-run.ts'
import { benchGateway } from './gateway/run.ts'
import { gatewayCost } from './gateway-cost.ts'
import { type Row, systemRows } from './system.ts'

const HELP = `npm run bench [-- system|gateway]

  system    start, memory, four routes through the gateway with 32 connections, and the way of an event to a follower's stream
  gateway   CPU of the gateway per proxied request, beside bare @fastify/http-proxy, in alternating rounds

Without a name both run. Goals are those of the plan; figures depend on the machine, so compare ratios.
`

const say = (line: string) => void process.stderr.write(`# ${line}\n`)

async function gatewayRows(): Promise<Row[]> {
  say('the gateway beside bare @fastify/http-proxy …')
  const { shared, stop } = await startTestStores(say)
  try {
    const nats = { url: shared.natsUrl, user: 'test0', password: 'test0' }
    const rows = await gatewayCost({ nats, redisUrl: shared.redisUrl })
    return rows.map(({ name, cpuMicros, ratio, requestsPerSecond, p99Ms }) => ({
      what: `CPU per proxied GET: ${name}`,
      value: `${cpuMicros.toFixed(0)} µs (${ratio.toFixed(2)}×), ${Math.round(requestsPerSecond)}/s`,
      p99: `${p99Ms} ms`,
      ...(name === 'gateway' ? { goal: '≤ 0.55× ' } : {})
    }))
  } finally {
    await stop()
  }
}

function print(rows: readonly Row[]): void {
  const cells = [
    ['what', 'value', 'p50', 'p99', 'goal'],
    ...rows.map((r) => [r.what, r.value, r.p50 ?? '', r.p99 ?? '', r.goal ?? ''])
  ]
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  for (const row of cells)
    process.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd()}\n`
    )
}

const names = process.argv.slice(2)
if (names[0] === 'gateway' && names.length > 1) {
  const options = parseGatewayOptions(names.slice(1))
  if (options === 'help') process.stdout.write(GATEWAY_HELP)
  else if (options.profile !== undefined) await profileRow(options.profile, options.requests, say)
  else await benchGateway(options, say)
  process.exit(0)
}
const kinds: Record<string, () => Promise<Row[]>> = { system: () => systemRows(say), gateway: gatewayRows }
if (names.some((name) => kinds[name] === undefined)) {
  process.stdout.write(HELP)
  process.exit(names.includes('--help') ? 0 : 1)
}
const rows: Row[] = []
for (const name of names.length === 0 ? Object.keys(kinds) : names) rows.push(...(await kinds[name]!()))
print(rows)
const folder = join(import.meta.dirname, '../results')
await mkdir(folder, { recursive: true })
const machine = {
  cores: cpus().length,
  model: cpus()[0]?.model,
  memoryGb: Math.round(totalmem() / 1e9),
  node: process.version
}
await writeFile(
  join(folder, `${names.length === 0 ? 'all' : names.join('-')}.json`),
  `${JSON.stringify({ at: new Date().toISOString(), machine, rows }, null, 2)}\n`
)
