import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '@skerry/stores'
import manifest from '../../package.json' with { type: 'json' }
import { findOnPath, versionOf } from '../gateway/find.ts'
import { startOurs } from '../gateway/ours.ts'
import { NGINX, nginxBodies } from '../gateway/peers/nginx.ts'
import { usageOf } from '../gateway/process-tree.ts'
import { accepts, type Started, startNode, startServer } from '../gateway/processes.ts'
import { describeMachine, type Machine } from '../gateway/result.ts'
import { makeSigner } from '../gateway/token.ts'
import { type Direction, MB, transfer } from './transfer.ts'

export type BodiesOptions = { megabytes: number; rounds: number }

/** Medians of the rounds: CPU of the proxy, how fast the bytes went, and how much its memory grew by at most. */
export type BodiesRow = {
  server: string
  direction: Direction
  cpuMicrosPerMb: number
  mbPerSecond: number
  grownMb: number
}
export type BodiesResult = {
  at: string
  machine: Machine
  options: BodiesOptions
  rows: BodiesRow[]
  missing: string[]
}

const PEERS = join(import.meta.dirname, '../peers')
const WARM_UP_MB = 64
const LOOK_MS = 20

type Subject = { name: string; server: Started; headers: Readonly<Record<string, string>> }

/** Measures one body at a time up and down through each proxy, in rounds that take turns. */
export async function benchBodies(options: BodiesOptions, say: (line: string) => void): Promise<BodiesResult> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-bodies-'))
  const started: Started[] = []
  const keep = <S extends Started>(server: S): S => {
    started.push(server)
    return server
  }
  try {
    const upstream = keep(await startNode(join(PEERS, 'bodies-upstream.ts')))
    const signer = makeSigner()
    const subjects: Subject[] = []
    const missing: string[] = []
    const { url } = upstream
    const ours = await startOurs({ ...{ instances: [url], slow: url, bodies: url }, ...{ signer, folder, say } })
    subjects.push({ name: 'Skerry', server: keep(ours), headers: { authorization: `Bearer ${signer.token}` } })
    const bare = await startNode(join(PEERS, 'bare-http-proxy.ts'), { args: [url] })
    const version = manifest.dependencies['@fastify/http-proxy']
    subjects.push({ name: `@fastify/http-proxy ${version}`, server: keep(bare), headers: {} })
    const nginx = findOnPath(NGINX.program)
    if (nginx === undefined) missing.push(`nginx is not installed: ${NGINX.install}`)
    else {
      const port = await freePort()
      const args = await nginxBodies({ upstream: new URL(url).host, port, folder })
      const server = keep(await startServer(nginx, args, port, { ready: accepts }))
      subjects.push({ name: `nginx ${await versionOf(nginx, NGINX.versionArgs)}`, server, headers: {} })
    }
    const rows = await measure(subjects, options, say)
    return { at: new Date().toISOString(), machine: describeMachine(), options, rows, missing }
  } finally {
    for (const server of started.reverse()) await server.stop()
    await rm(folder, { recursive: true })
  }
}

async function measure(subjects: readonly Subject[], options: BodiesOptions, say: (line: string) => void) {
  const samples = new Map<string, BodiesRow[]>()
  const directions = ['up', 'down'] as const
  say(`warm-up of ${subjects.length} proxies`)
  for (const { server, headers } of subjects)
    for (const direction of directions) await transfer(server.url, direction, WARM_UP_MB * MB, headers)
  for (let round = 1; round <= options.rounds; round++) {
    // Back and forth, so that a machine that grows slower or faster favours none.
    for (const subject of round % 2 === 1 ? subjects : subjects.toReversed()) {
      for (const direction of directions) {
        const row = await measureOnce(subject, direction, options.megabytes)
        const key = `${subject.name} ${direction}`
        samples.set(key, [...(samples.get(key) ?? []), row])
      }
    }
    say(`round ${round} of ${options.rounds}`)
  }
  return subjects.flatMap(({ name }) => directions.map((direction) => medianOf(samples.get(`${name} ${direction}`)!)))
}

async function measureOnce(
  { name, server, headers }: Subject,
  direction: Direction,
  megabytes: number
): Promise<BodiesRow> {
  const before = await usageOf(server.pid)
  let most = before.rssBytes
  let over = false
  const look = async () => {
    while (!over) {
      most = Math.max(most, (await usageOf(server.pid)).rssBytes)
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }
  const looking = look()
  const startedAt = performance.now()
  await transfer(server.url, direction, megabytes * MB, headers)
  const seconds = (performance.now() - startedAt) / 1_000
  const { cpuSeconds } = await usageOf(server.pid)
  over = true
  await looking
  return {
    server: name,
    direction,
    cpuMicrosPerMb: ((cpuSeconds - before.cpuSeconds) * 1e6) / megabytes,
    mbPerSecond: megabytes / seconds,
    grownMb: (most - before.rssBytes) / MB
  }
}

function medianOf(rows: readonly BodiesRow[]): BodiesRow {
  const of = (value: (row: BodiesRow) => number) =>
    rows.map(value).sort((a, b) => a - b)[Math.floor((rows.length - 1) / 2)]!
  return {
    ...rows[0]!,
    cpuMicrosPerMb: of((row) => row.cpuMicrosPerMb),
    mbPerSecond: of((row) => row.mbPerSecond),
    // The most of all rounds: once is often enough.
    grownMb: Math.max(...rows.map((row) => row.grownMb))
  }
}
