import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { announce, connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import { findBinary, freePort, REDIS } from '@skerry/stores'
import { binCache, startTestStores } from '@skerry/testing'
import { accepts, type Started, startNode, startServer } from './processes.ts'
import type { Signer } from './token.ts'

export type OursOptions = {
  /** Base URLs of the instances that requests are balanced over. */
  instances: readonly string[]
  /** Base URL of the service whose answers take long, below `/v1/slow`. */
  slow: string
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
  { method: 'GET', path: '/v1/slow/:id', auth: 'none', cache: { scope: 'public', ttl: 3_600 } }
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

/** Starts our gateway with all that it does switched on, by itself; with NATS where this checkout's gateway does not run alone yet. */
export async function startOurs(options: OursOptions): Promise<Started> {
  try {
    return await startAlone(options)
  } catch (error) {
    options.say(`the gateway does not run alone (${(error as Error).message}): started with NATS instead`)
    return startWithNats(options)
  }
}

async function startAlone({ instances, slow, signer, folder, execArgv, say }: OursOptions): Promise<Started> {
  const keys = await serveJson(signer.jwks)
  const rulesFile = join(folder, 'rules.json')
  await writeFile(rulesFile, JSON.stringify(RULES))
  const redis = await startRedis(say)
  const routes = [`/v1/posts=${instances}`, `/v1/cached=${instances}`, `/v1/slow=${slow}`]
  const close = async () => {
    keys.server.close()
    await redis.stop()
  }
  try {
    const gateway = await startNode(GATEWAY, {
      execArgv: execArgv ?? [],
      env: {
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

async function startWithNats({ instances, signer, execArgv, say }: OursOptions): Promise<Started> {
  const { shared, stop } = await startTestStores(say)
  try {
    const account = { url: shared.natsUrl, user: 'test0', password: 'test0' }
    const nats = await connectNats({ ...account, name: 'bench' })
    await ensureBuckets(nats)
    await (await publishIdentity(nats)).setJwks({ ...signer.jwks })
    for (const [index, url] of instances.entries()) {
      const prefixes = ['/v1/posts']
      await announce(nats, { service: 'bench', version: '0', instance: `${index}`, url, weight: 1, prefixes })
    }
    const gateway = await startNode(GATEWAY, {
      execArgv: execArgv ?? [],
      env: {
        ...ENV,
        NATS_URL: account.url,
        NATS_USER: account.user,
        NATS_PASSWORD: account.password,
        REDIS_URL: shared.redisUrl,
        REDIS_PREFIX: 'gateway:bench:'
      }
    })
    const end = async () => {
      await gateway.stop()
      await nats.close()
      await stop()
    }
    return { ...gateway, stop: end }
  } catch (error) {
    await stop()
    throw error
  }
}
