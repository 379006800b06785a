import { type Dispatcher, Pool } from 'undici'
import { seeded } from './simulate.ts'

export type LoadRequest = {
  method: Dispatcher.HttpMethod
  path: string
  headers?: Record<string, string>
  body?: string
  /** Under which its answers are counted besides. */
  name?: string
}

export type LoadOptions = {
  /** Origin, e.g. http://127.0.0.1:8080. */
  url: string
  /** Requests a second on average, at random moments (a Poisson process), whatever the answers do. */
  rate: number
  seconds: number
  /** Of the first seconds nothing is counted. */
  skipSeconds?: number
  /** Equal parts of the counted time that are counted each for itself besides. */
  slices?: number
  connections?: number
  /** Requests under way or waiting for a connection; what comes above is counted as unsent. */
  maxOutstanding?: number
  /** Without any answer for so long, a request counts as an error. */
  timeoutMs?: number
  seed?: number
  /** The request of an index. */
  request: (index: number) => LoadRequest
  /** Ends the load early. */
  signal?: AbortSignal
}

/** Latencies in ms. */
export type Latencies = { count: number; p50: number; p95: number; p99: number; max: number }

export type LoadResult = {
  /** All that were due, and of those what had no room. */
  offered: number
  unsent: number
  /** From when a request was due, so that waiting for a connection or for this process counts. */
  statuses: Record<number, Latencies>
  /** By the name of the request, then by status. */
  names: Record<string, Record<number, number>>
  /** By the code of the error. */
  errors: Record<string, number>
  /** Requests answered below 400 of those due in a second, over the seconds that are counted. */
  goodput: number
  slices: { statuses: Record<number, Latencies>; goodput: number }[]
}

/**
 * Sends requests at a given rate and does not wait for answers before sending more (an open loop), as many phones do: a server that
 * becomes slow does not become less busy by it. Resolves when all have ended; what has no answer `timeoutMs` after the last was sent is
 * an error.
 */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const {
    rate,
    seconds,
    request,
    skipSeconds = 0,
    connections = 256,
    maxOutstanding = 4_000,
    timeoutMs = 10_000
  } = options
  const pool = new Pool(options.url, {
    connections,
    pipelining: 1,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    connectTimeout: timeoutMs
  })
  const random = seeded(options.seed ?? 1)
  const result: LoadResult = { offered: 0, unsent: 0, statuses: {}, names: {}, errors: {}, goodput: 0, slices: [] }
  const { slices = 1 } = options
  const latencies = Array.from({ length: slices }, (): Record<number, number[]> => ({}))
  const started = performance.now()
  const end = started + seconds * 1_000
  const counted = started + skipSeconds * 1_000
  let outstanding = 0
  let answeredAll: (() => void) | undefined

  const ended = () => {
    outstanding--
    if (outstanding === 0) answeredAll?.()
  }
  const send = (index: number, due: number) => {
    const counts = due >= counted
    if (counts) result.offered++
    if (outstanding >= maxOutstanding) {
      if (counts) result.unsent++
      return
    }
    const { method, path, headers = {}, body, name } = request(index)
    let status = 0
    outstanding++
    pool.dispatch(
      { method, path, headers, body: body ?? null },
      {
        onRequestStart: () => undefined,
        onResponseStart(_controller, code) {
          status = code
        },
        onResponseData: () => undefined,
        onResponseEnd() {
          if (counts) {
            const slice = latencies[Math.floor(((due - counted) / (end - counted)) * slices)]!
            const list = slice[status] ?? []
            list.push(performance.now() - due)
            slice[status] = list
            if (name !== undefined) count(result.names, name, status)
          }
          ended()
        },
        onResponseError(_controller, error) {
          const code = (error as NodeJS.ErrnoException).code ?? error.name
          if (counts) result.errors[code] = (result.errors[code] ?? 0) + 1
          ended()
        }
      }
    )
  }

  let due = started
  for (let index = 0; options.signal?.aborted !== true; ) {
    const now = performance.now()
    for (; due <= now && due < end; index++) {
      send(index, due)
      due -= (Math.log(1 - random()) * 1_000) / rate
    }
    if (due >= end) break
    await new Promise((resolve) => setTimeout(resolve, Math.min(due - now, 50)))
  }
  if (outstanding > 0) {
    await new Promise<void>((resolve) => {
      answeredAll = resolve
    })
  }
  await pool.close()
  const sliceSeconds = (seconds - skipSeconds) / slices
  result.slices = latencies.map((slice) => summarise(slice, sliceSeconds))
  const all: Record<number, number[]> = {}
  for (const slice of latencies) {
    for (const [status, list] of Object.entries(slice)) all[Number(status)] = (all[Number(status)] ?? []).concat(list)
  }
  return Object.assign(result, summarise(all, seconds - skipSeconds))
}

function summarise(latencies: Record<number, number[]>, seconds: number): LoadResult['slices'][number] {
  const statuses: Record<number, Latencies> = {}
  let good = 0
  for (const [status, list] of Object.entries(latencies)) {
    statuses[Number(status)] = summary(list)
    if (Number(status) < 400) good += list.length
  }
  return { statuses, goodput: good / seconds }
}

function count(names: LoadResult['names'], name: string, status: number): void {
  const statuses = names[name] ?? {}
  statuses[status] = (statuses[status] ?? 0) + 1
  names[name] = statuses
}

function summary(list: number[]): Latencies {
  const sorted = list.sort((a, b) => a - b)
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!
  return { count: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1)! }
}

type Slice = LoadResult['slices'][number]

export const goodputOf = ({ goodput }: Slice) => goodput

/** Of a figure of the parts of a load the one in the middle: a pause of the machine belongs to none of the programs that are measured. */
export function median({ slices }: LoadResult, of: (slice: Slice) => number): number {
  return slices.map(of).sort((a, b) => a - b)[Math.floor(slices.length / 2)]!
}
