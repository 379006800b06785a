import { type ChildProcess, fork } from 'node:child_process'
import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { announce, connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import autocannon from 'autocannon'

/** CPU of one proxy for one GET of 0.8 KB, user and system, µs: the median of the rounds; `ratio` is to the bare @fastify/http-proxy. */
export type CostRow = { name: string; cpuMicros: number; ratio: number; requestsPerSecond: number; p99Ms: number }

export type CostOptions = {
  /** A user that may do all in its account. */
  nats: { url: string; user: string; password: string }
  /** Where the gateway keeps its limits; without it in its memory. */
  redisUrl?: string
  rounds?: number
  /** Requests in a round of one proxy. */
  requests?: number
}

type Peer = { name: string; child: ChildProcess; url: string; headers: Record<string, string> }
type Sample = { cpuMicros: number; requestsPerSecond: number; p99Ms: number }

const GATEWAY = join(import.meta.dirname, '../../../apps/gateway/src/main.ts')
const CLOCK_TICKS = 100
const WARM_UP = 10_000

/**
 * Measures what a proxied GET costs our gateway (token, limit, balancing, metrics on) and bare @fastify/http-proxy, in rounds that
 * alternate, each in a process of its own before one upstream in a third.
 */
export async function gatewayCost(options: CostOptions): Promise<CostRow[]> {
  const { rounds = 5, requests = 20_000 } = options
  const started: ChildProcess[] = []
  const nc = await connectNats({ ...options.nats, name: 'bench' })
  try {
    const upstream = await start(started, 'peers/json-upstream.ts')
    const bare = await start(started, 'peers/bare-http-proxy.ts', [upstream.url])
    const token = await announceAll(nc, upstream.url)
    const gateway = await start(started, GATEWAY, [], gatewayEnv(options))
    const authorization = `Bearer ${token}`
    const peers: Peer[] = [
      { name: '@fastify/http-proxy alone', ...bare, headers: { authorization } },
      { name: 'gateway', ...gateway, headers: { authorization } },
      { name: 'gateway, no token', ...gateway, headers: {} }
    ]
    for (const peer of peers) await load(peer, WARM_UP)
    const samples = new Map<string, Sample[]>(peers.map((peer) => [peer.name, []]))
    for (let round = 0; round < rounds; round++) {
      for (const peer of peers) samples.get(peer.name)?.push(await load(peer, requests))
    }
    return rowsOf(samples)
  } finally {
    for (const child of started) child.kill('SIGKILL')
    await nc.close()
  }
}

function rowsOf(samples: Map<string, Sample[]>): CostRow[] {
  const rows = [...samples].map(([name, all]) => ({
    name,
    cpuMicros: median(all.map((one) => one.cpuMicros)),
    requestsPerSecond: median(all.map((one) => one.requestsPerSecond)),
    p99Ms: median(all.map((one) => one.p99Ms))
  }))
  const bare = rows[0]?.cpuMicros ?? Number.NaN
  return rows.map((row) => ({ ...row, ratio: row.cpuMicros / bare }))
}

async function load(peer: Peer, amount: number): Promise<Sample> {
  const before = await cpuSeconds(peer.child.pid ?? 0)
  const result = await autocannon({ url: `${peer.url}/v1/posts/1`, connections: 16, amount, headers: peer.headers })
  const cpu = (await cpuSeconds(peer.child.pid ?? 0)) - before
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${peer.name}: ${result.non2xx} bad answers and ${result.errors} errors of ${amount}`)
  }
  return { cpuMicros: (cpu / amount) * 1e6, requestsPerSecond: amount / result.duration, p99Ms: result.latency.p99 }
}

/** User and system time of a process, from Linux. */
async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS
}

async function start(started: ChildProcess[], file: string, args: string[] = [], env: Record<string, string> = {}) {
  const child = fork(join(file.startsWith('/') ? '' : import.meta.dirname, file), args, {
    env: { PATH: process.env.PATH, NODE_ENV: 'production', ...env },
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc']
  })
  started.push(child)
  const [message] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`${file} ended with ${code}`)))
  ])
  return { child, url: (message as { url: string }).url }
}

function gatewayEnv({ nats, redisUrl }: CostOptions): Record<string, string> {
  const unlimited = '1000000'
  return {
    NATS_URL: nats.url,
    NATS_USER: nats.user,
    NATS_PASSWORD: nats.password,
    PORT: '0',
    LOG_LEVEL: 'info',
    LIMIT_USER_PER_SECOND: unlimited,
    LIMIT_USER_BURST: unlimited,
    LIMIT_ADDRESS_PER_SECOND: unlimited,
    LIMIT_ADDRESS_BURST: unlimited,
    ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl, REDIS_PREFIX: 'gateway:bench:' })
  }
}

/** Puts the upstream and a signing key where the gateway looks for them; answers a token of that key. */
async function announceAll(nc: Awaited<ReturnType<typeof connectNats>>, url: string): Promise<string> {
  await ensureBuckets(nc)
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const identity = await publishIdentity(nc)
  await identity.setJwks({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'EdDSA', use: 'sig' }] })
  await announce(nc, { service: 'bench', version: '0', instance: '1', url, weight: 1, prefixes: ['/v1/posts'] })
  const now = Math.floor(Date.now() / 1_000)
  const claims = {
    iss: 'skerry',
    aud: 'skerry',
    sub: 'u',
    sid: 's',
    usr: 'ada',
    dnm: 'Ada',
    aat: now,
    iat: now,
    exp: now + 3_600
  }
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${encode({ alg: 'EdDSA', typ: 'at+jwt', kid: 'bench' })}.${encode(claims)}`
  return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
