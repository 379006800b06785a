import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Problem } from '@skerry/contracts'
import type { Phone } from './phone.ts'
import { insist } from './writers.ts'

/** What the deadline of a request is, as its client says. */
export const DEADLINE_MS = 2_000
/** Above every bound of the gateway and of services: what takes longer was not bounded. */
const UNBOUNDED_MS = 120_000
/** So many write at a time, each with a pause after each post: a load that is bounded, and goes on. */
const LANES = 4
const PAUSE_MS = 100

/** What a client was told: 0 where nothing came. */
export type Told = { status: number; code: string; ms: number }

export type OnceWriters = {
  readonly told: readonly Told[]
  /** Ids of the posts that were acknowledged. */
  readonly acknowledged: readonly string[]
  /** Ends them. */
  stop(): Promise<void>
  /** Ends them; then each post that was refused is sent again with its key until it is accepted. */
  settle(): Promise<void>
}

/** Clients that send each post once, some at a time, and note what they are told. */
export function startOnceWriters(base: string, author: Phone): OnceWriters {
  const told: Told[] = []
  const acknowledged: string[] = []
  const refused: { key: string; text: string }[] = []
  let stopped = false
  let number = 0

  async function lane(): Promise<void> {
    while (!stopped) {
      const post = { key: randomUUID(), text: `once ${number++}` }
      const start = performance.now()
      const { status, code, id } = await send(base, author, post)
      told.push({ status, code, ms: performance.now() - start })
      if (status === 201) acknowledged.push(id)
      else refused.push(post)
      await delay(PAUSE_MS)
    }
  }
  const lanes = Promise.all(Array.from({ length: LANES }, lane))
  async function stop(): Promise<void> {
    stopped = true
    await lanes
  }
  return {
    told,
    acknowledged,
    stop,
    async settle() {
      await stop()
      for (const { key, text } of refused.splice(0)) {
        const { id } = await insist(author, 'POST', '/v1/posts', { text }, key)
        acknowledged.push(id)
      }
    }
  }
}

async function send(base: string, author: Phone, { key, text }: { key: string; text: string }) {
  try {
    const response = await fetch(`${base}/v1/posts`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${author.grant.accessToken}`,
        'content-type': 'application/json',
        'idempotency-key': key,
        'x-skerry-deadline': String(DEADLINE_MS)
      },
      body: JSON.stringify({ text }),
      signal: AbortSignal.timeout(UNBOUNDED_MS)
    })
    const body = (await response.json()) as Partial<Problem> & { id?: string }
    const { code = '', id = '' } = body
    return { status: response.status, code, id }
  } catch (error) {
    return { status: 0, code: `${error} ${(error as Error).cause ?? ''}`, id: '' }
  }
}
