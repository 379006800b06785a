import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import autocannon from 'autocannon'
import { findOnPath, versionOf } from './find.ts'

/** What a load generator saw: answers, the time it took in seconds, latencies in milliseconds, and what went wrong. */
export type LoadResult = { requests: number; seconds: number; p50Ms: number; p99Ms: number; failures: number }

/** One request of a load. */
export type LoadRequest = {
  method: 'GET' | 'POST'
  path: string
  headers: Readonly<Record<string, string>>
  body?: string
}

/** What is loaded: one URL, or `requests` of a base URL one after the other, again and again. */
export type LoadTarget = {
  url: string
  headers: Readonly<Record<string, string>>
  requests?: readonly LoadRequest[]
}

/** Loads a target with at least `requests` requests; `rate` is what it is expected to answer a second. */
export type LoadGenerator = {
  readonly name: string
  /** How to have the better one, when this is the other. */
  readonly install?: string
  run(target: LoadTarget, requests: number, rate: number): Promise<LoadResult>
}

export const CONNECTIONS = 32
/** wrk runs for a time, not for a number: this much longer than the rate says, so that a slower round has its requests too. */
const MARGIN = 1.15
const LONGEST_SECONDS = 120

const MILLISECONDS: Record<string, number> = { us: 0.001, ms: 1, s: 1_000, m: 60_000 }

/** Reads what `wrk --latency` prints. Throws when it is something else. */
export function parseWrk(text: string): LoadResult {
  const done = /^\s*(\d+) requests in ([\d.]+)(us|ms|s|m),/m.exec(text)
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)
  const refused = /Non-2xx or 3xx responses: (\d+)/.exec(text)
  const result = {
    requests: Number(done?.[1]),
    seconds: (Number(done?.[2]) * (MILLISECONDS[done?.[3] ?? ''] ?? Number.NaN)) / 1_000,
    p50Ms: percentile(text, 50),
    p99Ms: percentile(text, 99),
    failures: [...(sockets?.slice(1) ?? []), refused?.[1] ?? '0'].reduce((sum, count) => sum + Number(count), 0)
  }
  if (Object.values(result).some(Number.isNaN)) throw new Error(`wrk printed something else:\n${text}`)
  return result
}

function percentile(text: string, share: number): number {
  const found = new RegExp(`^\\s*${share}%\\s+([\\d.]+)(us|ms|s|m) *$`, 'm').exec(text)
  return Number(found?.[1]) * (MILLISECONDS[found?.[2] ?? ''] ?? Number.NaN)
}

/** wrk where it is installed, else autocannon, which needs more of the machine for the same load. */
export async function findLoadGenerator(): Promise<LoadGenerator> {
  const wrk = findOnPath('wrk')
  if (wrk === undefined) return { name: 'autocannon', install: 'apt-get install wrk', run: runAutocannon }
  return { name: `wrk ${await versionOf(wrk, ['-v'])}`, run: runWrk(wrk) }
}

function runWrk(binary: string): LoadGenerator['run'] {
  const execute = promisify(execFile)
  return async ({ url, headers, requests: several }, requests, rate) => {
    const seconds = Math.min(LONGEST_SECONDS, Math.ceil((requests / rate) * MARGIN))
    const given = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
    const folder = several === undefined ? undefined : await mkdtemp(join(tmpdir(), 'skerry-wrk-'))
    try {
      if (folder !== undefined) {
        await writeFile(join(folder, 'requests.lua'), wrkScript(several ?? []))
        given.push('-s', join(folder, 'requests.lua'))
      }
      const { stdout } = await execute(binary, [
        '-t1',
        `-c${CONNECTIONS}`,
        `-d${seconds}s`,
        '--timeout',
        '15s',
        '--latency',
        ...given,
        url
      ])
      return parseWrk(stdout)
    } finally {
      if (folder !== undefined) await rm(folder, { recursive: true })
    }
  }
}

/** wrk's script for several requests: each is made once, before the load begins. */
export function wrkScript(requests: readonly LoadRequest[]): string {
  const made = requests.map(({ method, path, headers, body }) => {
    const fields = Object.entries(headers).map(([name, value]) => `[${luaText(name)}]=${luaText(value)}`)
    const parts = [luaText(method), luaText(path), `{${fields.join(',')}}`, body === undefined ? 'nil' : luaText(body)]
    return `  all[#all + 1] = wrk.format(${parts.join(', ')})`
  })
  return [
    'local all, turn = {}, 0',
    'function init()',
    ...made,
    'end',
    'function request()',
    '  turn = turn % #all + 1',
    '  return all[turn]',
    'end\n'
  ].join('\n')
}

/** A string as Lua 5.1 reads it; bytes that are no visible ASCII by number. */
function luaText(text: string): string {
  const written = Buffer.from(text)
    .toString('latin1')
    .replace(/[^ -~]|["\\]/g, (sign) => `\\${String(sign.charCodeAt(0)).padStart(3, '0')}`)
  return `"${written}"`
}

async function runAutocannon({ url, headers, requests: several }: LoadTarget, requests: number): Promise<LoadResult> {
  let turn = 0
  // Each connection would go through a list by itself, all at the same place of it.
  const next = several && [
    { setupRequest: (request: object) => ({ ...request, ...several[turn++ % several.length]! }) }
  ]
  const result = await autocannon({
    ...{ url, connections: CONNECTIONS, amount: requests, headers },
    ...(next === undefined ? {} : { requests: next as never })
  })
  return {
    requests,
    seconds: result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    failures: result.errors + result.non2xx
  }
}
