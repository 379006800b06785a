import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { childEnv, faultRun } from '@skerry/testing'
import { makeCertificate } from '../helpers/self-signed.ts'
import { METHODS } from './bytes.ts'
import type { ProbeAnswer } from './probe.ts'

export type Gateway = {
  readonly port: number
  /** Why it ended, with the last that it said; undefined while it lives. */
  death(): string | undefined
  /** Faults of its own that it has logged and gone on after, since they were last taken; the first of them. */
  readonly faults: string[]
  /** Asks it what it holds. */
  probe(): Promise<ProbeAnswer>
  stop(): Promise<void>
}

/** Bounds that a fuzzer waits for are short; those by which a gateway protects itself from load are out of the way. */
const SETTINGS = {
  HOST: '127.0.0.1',
  PORT: '0',
  LOG_LEVEL: 'error',
  DRAIN_MS: '50',
  IDLE_KEPT_MS: '0',
  HEADERS_TIMEOUT_MS: '2000',
  // A client whose window is used up and stays so.
  UNREAD_PERIOD_MS: '2000',
  REQUEST_TIMEOUT_MS: '3000',
  KEEP_ALIVE_TIMEOUT_MS: '2000',
  UPSTREAM_IDLE_TIMEOUT_MS: '500',
  STREAM_IDLE_TIMEOUT_MS: '600',
  // Where a route says nothing of its own.
  UPSTREAM_HEADERS_TIMEOUT_MS: '1000',
  UPSTREAM_CONNECTIONS: '48',
  UPSTREAM_IN_FLIGHT: '5000',
  HEALTH_INTERVAL_MS: '0',
  HEDGE_MIN_MS: '0',
  SLOW_START_MS: '0',
  EJECT_FAILURES: '1000000',
  EJECT_MAX_SHARE: '0',
  // What is kept for others, up to a bound, is not to be taken for what a conversation leaves behind.
  CACHE_BYTES: '1048576',
  LIMIT_EXEMPT: '127.0.0.0/8',
  CONCURRENCY_INITIAL: '2048',
  CONCURRENCY_IDLE: '2048',
  CONCURRENCY_MIN: '2048',
  PRESSURE_TARGET_MS: '3600000'
}
export const HEADER_LIMIT = 14_336
/** For what a hostile service may hold. */
const ROUTE_TIMEOUT_MS = 1_000
/** For the service that behaves. Its clients must be answered: in npm test, beside other tests on a busy machine, late, too. */
const CALM_TIMEOUT_MS = faultRun({ short: 1, long: 1 }).long ? ROUTE_TIMEOUT_MS : 20_000
/** How long the answers of the public route are kept. */
export const PUBLIC_TTL_MS = 1_000

/** Where a gateway's routes lead. */
export type Routes = { hostile: string; calm: string }

/** What a gateway logs of an error that nobody caught, and that ends a request or a connection and not the process. */
const FAULT = '"fault: '
const MOST_FAULTS = 20

/**
 * Starts a gateway alone in front of two services, with a certificate or without.
 *
 * @param imports modules that are loaded into it before its own code
 */
export async function startGateway(
  routes: Routes,
  withTls: boolean,
  imports: readonly string[] = []
): Promise<Gateway> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-fuzz-'))
  const cache = { scope: 'public', ttl: PUBLIC_TTL_MS / 1_000 }
  const rules = [
    ...METHODS.map((method) => ({ method, path: '/s/:tag', auth: 'optional', timeoutMs: ROUTE_TIMEOUT_MS })),
    ...METHODS.map((method) => ({
      ...{ method, path: '/f/:tag', auth: 'optional', timeoutMs: ROUTE_TIMEOUT_MS },
      body: 'stream'
    })),
    { method: 'GET', path: '/pub/:key', auth: 'none', timeoutMs: ROUTE_TIMEOUT_MS, cache },
    { method: 'GET', path: '/calm/:number', auth: 'none', timeoutMs: CALM_TIMEOUT_MS }
  ]
  const rulesFile = join(folder, 'rules.json')
  await writeFile(rulesFile, JSON.stringify(rules))
  const tls: Record<string, string> = {}
  if (withTls) {
    const { cert, key } = makeCertificate('fuzz')
    tls.TLS_CERT_FILE = join(folder, 'cert.pem')
    tls.TLS_KEY_FILE = join(folder, 'key.pem')
    await writeFile(tls.TLS_CERT_FILE, cert)
    await writeFile(tls.TLS_KEY_FILE, key)
  }
  const { hostile, calm } = routes
  const child: ChildProcess = fork(join(import.meta.dirname, '../../src/main.ts'), [], {
    env: {
      ...childEnv(),
      ...SETTINGS,
      ...tls,
      HEADER_LIMIT: String(HEADER_LIMIT),
      RULES_FILE: rulesFile,
      ROUTES: `/s=${hostile};/f=${hostile};/pub=${hostile};/calm=${calm}`
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: [
      '--expose-gc',
      ...[join(import.meta.dirname, 'probe.ts'), ...imports].flatMap((file) => ['--import', file])
    ]
  })
  let output = ''
  const faults: string[] = []
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (chunk) => {
      output = `${output}${chunk}`.slice(-200_000)
    })
    createInterface({ input: stream }).on('line', (line) => {
      if (faults.length < MOST_FAULTS && line.includes(FAULT)) faults.push(line)
    })
  }
  let death: string | undefined
  let stopping = false
  const exited = once(child, 'close').then(async ([code, signal]) => {
    death = `${stopping ? 'stopped' : 'ended'} with ${code ?? signal}: ${output.slice(-4_000)}`
    for (const waiting of asked.values()) waiting(undefined)
    await rm(folder, { recursive: true, force: true })
  })
  let questions = 0
  const asked = new Map<number, (answer: ProbeAnswer | undefined) => void>()
  child.on('message', (message: { probe?: number }) => {
    if (message.probe === undefined) return
    asked.get(message.probe)?.(message as ProbeAnswer)
    asked.delete(message.probe)
  })
  const first = await Promise.race([once(child, 'message'), exited])
  if (!Array.isArray(first)) throw new Error(`the gateway ${death}`)
  const { url } = first[0] as { url: string }
  return {
    port: Number(new URL(url).port),
    death: () => death ?? (child.exitCode === null && child.signalCode === null ? undefined : 'ended'),
    faults,
    probe: () =>
      new Promise((resolve, reject) => {
        const number = ++questions
        asked.set(number, (answer) =>
          answer === undefined ? reject(new Error(`the gateway ${death}`)) : resolve(answer)
        )
        child.send({ probe: number }, (error) => {
          if (error !== null) reject(error)
        })
      }),
    async stop() {
      stopping = true
      child.kill('SIGKILL')
      await exited
    }
  }
}
