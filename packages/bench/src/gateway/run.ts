import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findLoadGenerator } from './load-generator.ts'
import { type LiveRow, measureRows } from './measure.ts'
import type { GatewayOptions } from './options.ts'
import { chooseRows } from './rows.ts'
import { type RowServer, startOrigin, startRowServer } from './servers.ts'

/** Starts what the chosen rows need, measures and prints them. */
export async function benchGateway(options: GatewayOptions, say: (line: string) => void): Promise<void> {
  const specs = chooseRows(options.only)
  const folder = await mkdtemp(join(tmpdir(), 'skerry-bench-'))
  const load = findLoadGenerator()
  const origin = await startOrigin()
  const servers = new Map<string, RowServer>()
  try {
    const rows: LiveRow[] = []
    for (const spec of specs) {
      const server = servers.get(spec.server) ?? (await startRowServer(spec.server, { origin, folder, say }))
      servers.set(spec.server, server)
      const headers = spec.token ? server.headers : {}
      rows.push({ spec, pid: server.pid, target: { url: `${server.url}${spec.path}`, headers } })
    }
    const measured = await measureRows(rows, load, options, say)
    for (const row of measured) process.stdout.write(`${JSON.stringify(row)}\n`)
  } finally {
    for (const server of servers.values()) await server.stop()
    await origin.stop()
    await rm(folder, { recursive: true, force: true })
  }
}
