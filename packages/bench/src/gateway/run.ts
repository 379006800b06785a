import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkAnswers } from './answers.ts'
import { countMisses } from './coalescing.ts'
import { CONNECTIONS, findLoadGenerator } from './load-generator.ts'
import { type LiveRow, type Measured, measureRows } from './measure.ts'
import type { GatewayOptions } from './options.ts'
import { type Counted, describeMachine, type GatewayResult, goalsOf, MISSES, resultRows } from './result.ts'
import { COALESCING, chooseRows, type RowSpec } from './rows.ts'
import { type RowServer, type StartOptions, startOrigin, startRowServer, startSlow } from './servers.ts'
import { makeSigner } from './token.ts'

/** Starts what the chosen rows need, checks that it answers as it should, and measures it. Everything it started is stopped again. */
export async function benchGateway(options: GatewayOptions, say: (line: string) => void): Promise<GatewayResult> {
  const machine = describeMachine()
  const stops: (() => Promise<unknown>)[] = []
  try {
    const folder = await mkdtemp(join(tmpdir(), 'skerry-bench-'))
    stops.push(() => rm(folder, { recursive: true, force: true }))
    const load = await findLoadGenerator()
    const origin = await startOrigin(folder)
    stops.push(origin.stop)
    const slow = await startSlow()
    stops.push(slow.stop)
    const start = { origin, slow: slow.url, signer: makeSigner(), folder, say }
    const servers = createServers(start, stops)

    const { rows, refused, missing } = await openRows(chooseRows(options.only), servers, start)
    const measured = rows.length === 0 ? [] : await measureRows(rows, load, options, say)
    const all = [...measured, ...refused]
    const misses: Counted =
      options.only?.includes(COALESCING) === false ? { why: 'not asked for' } : await missesOf(servers, slow.url, say)
    const { rounds, requests } = options
    return {
      at: new Date().toISOString(),
      machine,
      setup: { load: load.name, connections: CONNECTIONS, origin: origin.name, rounds, requests },
      rows: resultRows(all),
      goals: goalsOf(all, misses),
      missing: [...missing, ...(load.install === undefined ? [] : [`wrk is not installed: ${load.install}`])]
    }
  } finally {
    for (const stop of stops.reverse()) await stop()
  }
}

type Servers = (id: RowSpec['server']) => Promise<RowServer>

/** Servers by name, each started when it is first asked for. */
function createServers(options: StartOptions, stops: (() => Promise<unknown>)[]): Servers {
  const started = new Map<RowSpec['server'], RowServer>()
  return async (id) => {
    const known = started.get(id)
    if (known !== undefined) return known
    options.say(`starting ${id}`)
    const server = await startRowServer(id, options)
    if ('stop' in server) stops.push(server.stop)
    started.set(id, server)
    return server
  }
}

/** Splits rows into those that can be measured, those that say why not, and lines on what to install. */
async function openRows(specs: readonly RowSpec[], servers: Servers, { signer, say }: StartOptions) {
  const rows: LiveRow[] = []
  const refused: Measured[] = []
  const missing: string[] = []
  for (const spec of specs) {
    try {
      const server = await servers(spec.server)
      if ('install' in server) {
        missing.push(`${spec.label} is not installed: ${server.install}`)
        continue
      }
      const headers: Record<string, string> = spec.token ? { authorization: `Bearer ${signer.token}` } : {}
      const target = { url: `${server.url}${spec.path}`, headers }
      await checkAnswers(target, spec.cached)
      rows.push({ spec: { ...spec, label: `${spec.label} ${server.version}`.trim() }, pid: server.pid, target })
    } catch (error) {
      // A peer that does not start or does not do the same work is out; without ours there is nothing to compare.
      if (spec.id === 'ours') throw error
      say(`${spec.id}: ${(error as Error).message}`)
      refused.push({ spec, why: (error as Error).message })
    }
  }
  return { rows, refused, missing }
}

async function missesOf(servers: Servers, slow: string, say: (line: string) => void): Promise<Counted> {
  const ours = await servers('ours')
  if ('install' in ours) return { why: ours.install }
  say(`${MISSES} misses at once`)
  try {
    return { value: await countMisses(ours.url, '/v1/slow/1', slow, MISSES) }
  } catch (error) {
    return { why: (error as Error).message }
  }
}
