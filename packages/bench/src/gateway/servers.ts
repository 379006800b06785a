import { join } from 'node:path'
import { startOurs } from './ours.ts'
import { type Started, startNode } from './processes.ts'
import type { ServerId } from './rows.ts'

/** What all proxies stand before: one server that can be reached under two base URLs. */
export type Origin = { readonly instances: readonly string[]; stop(): Promise<void> }

/** A server of a row; `headers` are those of a signed-in user. */
export type RowServer = Started & { readonly headers: Record<string, string> }

export type StartOptions = { origin: Origin; folder: string; execArgv?: string[]; say(line: string): void }

const PEERS = join(import.meta.dirname, '../peers')

/** Starts the origin. */
export async function startOrigin(): Promise<Origin> {
  const node = await startNode(join(PEERS, 'json-upstream.ts'))
  return { instances: node.urls, stop: node.stop }
}

/** Starts the server of a row. */
export async function startRowServer(id: ServerId, options: StartOptions): Promise<RowServer> {
  const { origin, execArgv = [] } = options
  if (id === 'ours') {
    const ours = await startOurs({ ...options, instances: origin.instances })
    return { ...ours, headers: { authorization: ours.authorization } }
  }
  const bare = await startNode(join(PEERS, 'bare-http-proxy.ts'), { args: [origin.instances[0]!], execArgv })
  return { ...bare, headers: {} }
}
