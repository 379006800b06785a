import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { ALLOCATOR } from '@skerry/service/allocator'
import { findBinary, freePort, REDIS } from '@skerry/stores'
import { binCache } from '@skerry/testing'
import { accepts, type Started, startNode, startServer } from './processes.ts'
import type { Signer } from './token.ts'

export type OursOptions = {
  /** Base URLs of the instances that requests are balanced over. */
  instances: readonly string[]
  /** Base URL of the service whose answers take long, below `/v1/slow`. */
  slow: string
  /** Base URL of the service whose bodies are streams, below `/v1/bodies`; there need be none. */
  bodies?: string
  /** Whose tokens are good. */
  signer: Signer
  /** A folder of this run, for the file of rules. */
  folder: string
  execArgv?: string[]
  say(line: string): void
}

/** What `RULES_FILE` says of the paths that the bench asks for; the type is `RouteRules` of the contracts. */
const RULES = [
  { method: 'GET', path: '/v1/posts/:id', auth: 'optional' },
  { method: 'GET', path: '/v1/cached/:id', auth: 'none', cache: { scope: 'public', ttl: 3_600 } },
  { method: 'GET', path: '/v1/slow/:id', auth: 'none', cache: { scope: 'public', ttl: 3_600 } },
  { method: 'POST', path: '/v1/bodies/up', auth: 'optional', body: 'stream', bodyLimit: 1_099_511_627_776 },
  { method: 'GET', path: '/v1/bodies/:size', auth: 'optional', body: 'stream' }
]

const GATEWAY = join(import.meta.dirname, '../../../../apps/gateway/src/main.ts')
const UNLIMITED = '1000000'
/** Limits are counted as always, only wide enough for one user who sends everything; without a token this machine's address is exempt. */
const ENV = {
  PORT: '0',
  LOG_LEVEL: 'info',
  DRAIN_MS: '0',
  LIMIT_USER_PER_SECOND: UNLIMITED,
  LIMIT_USER_BURST: UNLIMITED,
  LIMIT_EXEMPT: '127.0.0.1'
}

/** Starts our gateway with all that it does switched on, alone: no NATS, but a Redis for its limits and its cache. */
export async function startOurs({
  instances,
  slow,
  bodies = slow,
  signer,
  folder,
  execArgv,
  say
}: OursOptions): Promise<Started> {
  const keys = await serveJson(signer.jwks)
  const rulesFile = join(folder, 'rules.json')
  await writeFile(rulesFile, JSON.stringify(RULES))
  const redis = await startRedis(say)
  const routes = [`/v1/posts=${instances}`, `/v1/cached=${instances}`, `/v1/slow=${slow}`, `/v1/bodies=${bodies}`]
  const close = async () => {
    keys.server.close()
    await redis.stop()
  }
  try {
    const gateway = await startNode(GATEWAY, {
      execArgv: execArgv ?? [],
      env: {
        ...ALLOCATOR,
        ...ENV,
        ROUTES: routes.join(';'),
        JWKS_URL: keys.url,
        RULES_FILE: rulesFile,
        REDIS_URL: redis.url.replace('http', 'redis')
      }
    })
    return { ...gateway, stop: () => gateway.stop().then(close) }
  } catch (error) {
    await close()
    throw error
  }
}

async function startRedis(say: (line: string) => void): Promise<Started> {
  const { path } = await findBinary(REDIS, binCache(), say)
  const port = await freePort()
  return startServer(path, ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], port, {
    ready: accepts
  })
}

async function serveJson(value: object): Promise<{ server: Server; url: string }> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json` }
}
