import { join } from 'node:path'
import { freePort } from '@skerry/stores'
import manifest from '../../package.json' with { type: 'json' }
import { findOnPath, versionOf } from './find.ts'
import { startOurs } from './ours.ts'
import { findPeer, PEERS } from './peers/index.ts'
import { NGINX, nginxOrigin } from './peers/nginx.ts'
import { answersOk, type Started, startNode, startServer } from './processes.ts'
import type { ServerId } from './rows.ts'
import type { Signer } from './token.ts'

/** What all proxies stand before: one server, reached under two base URLs that stand for two instances. */
export type Origin = { readonly name: string; readonly instances: readonly string[]; stop(): Promise<void> }

/** A server of rows, with its version; or what to install to have it. */
export type RowServer = (Started & { version: string }) | { install: string }

export type StartOptions = {
  origin: Origin
  /** Base URL of the service that takes its time. */
  slow: string
  signer: Signer
  folder: string
  execArgv?: string[]
  say(line: string): void
}

const NODE_PEERS = join(import.meta.dirname, '../peers')

/** Each answer of the origin has another value in it. */
export const ORIGIN_REQUEST = 'x-origin-request'

/** What the origin answers, whatever it is asked: 0.8 KB. */
export const ORIGIN_BODY = JSON.stringify({ id: '06b1n7v4kc0j5m3q8w2x9y6z1a', text: 'x'.repeat(760) })

/** Starts nginx as the origin where it is installed, else Node, which needs more of the machine. */
export async function startOrigin(folder: string): Promise<Origin> {
  const nginx = findOnPath('nginx')
  if (nginx === undefined) {
    const node = await startNode(join(NODE_PEERS, 'json-upstream.ts'), { args: [ORIGIN_BODY] })
    return { name: `Node ${process.versions.node}`, instances: node.urls, stop: node.stop }
  }
  const ports = [await freePort(), await freePort()]
  const server = await startServer(nginx, await nginxOrigin(folder, ports, ORIGIN_BODY), ports[0]!, {
    ready: answersOk
  })
  const name = `nginx ${await versionOf(nginx, NGINX.versionArgs)}`
  return { name, instances: ports.map((port) => `http://127.0.0.1:${port}`), stop: server.stop }
}

/** Starts the service that takes its time and counts. */
export function startSlow(): Promise<Started> {
  return startNode(join(NODE_PEERS, 'slow-upstream.ts'))
}

/** Starts the server of a row; a peer that is not installed answers how to install it. */
export async function startRowServer(id: ServerId, options: StartOptions): Promise<RowServer> {
  const upstream = options.origin.instances[0]!
  if (id === 'ours') return named(await startOurs({ ...options, instances: options.origin.instances }), '')
  if (id === 'http-proxy' || id === 'undici') {
    const node = await startNode(join(NODE_PEERS, `bare-${id}.ts`), {
      args: [upstream],
      execArgv: options.execArgv ?? []
    })
    return named(node, manifest.dependencies[id === 'undici' ? 'undici' : '@fastify/http-proxy'])
  }
  const peer = PEERS[id]
  const found = await findPeer(peer)
  if (found === undefined) return { install: peer.install }
  const port = await freePort()
  const { args, env } = await peer.configure({ upstream: new URL(upstream).host, port, folder: options.folder })
  return named(await startServer(found.binary, args, port, { env: env ?? {}, ready: answersOk }), found.version)
}

function named(server: Started, version: string): RowServer {
  return { ...server, version }
}
