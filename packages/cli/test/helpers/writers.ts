import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { PageOf } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import type { Phone } from './phone.ts'

/** A request is asked again for so long: any part is back by then, also on a machine that has other things to do. */
const INSIST_MS = 180_000

/**
 * A phone on a bad network: the same request (with the same key, where it writes) until it is answered with a success. What phones meet is
 * asked again: connections that break, no answer in time, 5xx, 409 while the first one is still at work, 429. Anything else throws.
 */
export async function insist<T = { id: string }>(
  phone: Phone,
  method: string,
  path: string,
  body?: unknown,
  key: string = randomUUID()
): Promise<T> {
  const headers: Record<string, string> = method === 'GET' ? {} : { 'idempotency-key': key }
  const until = Date.now() + INSIST_MS
  for (;;) {
    let met: string
    try {
      const answer = await phone.call<T & { code?: string }>(method, path, body, headers)
      if (answer.status < 300) return answer.body
      met = `${answer.status} ${answer.body?.code}`
      if (answer.status < 500 && answer.status !== 409 && answer.status !== 429)
        throw new Error(`${method} ${path} answered ${met}`)
    } catch (error) {
      if (!(error instanceof TypeError) && (error as Error).name !== 'TimeoutError') throw error
      met = `${(error as Error).name}: ${(error as Error).message}`
    }
    if (Date.now() > until)
      throw new Error(`${method} ${path} has no success within ${INSIST_MS} ms, the last was ${met}`)
    await delay(50)
  }
}

/** Everything of a list, page by page. */
export async function everything<T extends { id: string }>(phone: Phone, path: string): Promise<T[]> {
  const items: T[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const page: PageOf<T> = await insist(phone, 'GET', `${path}limit=100${cursor === '' ? '' : `&cursor=${cursor}`}`)
    items.push(...page.items)
    cursor = page.nextCursor
  }
  return items
}

export type Writers = {
  /** Ids of the acknowledged posts by their author's id. */
  readonly acknowledged: ReadonlyMap<string, readonly string[]>
  readonly liked: ReadonlySet<string>
  /** How many posts are acknowledged. */
  count(): number
  /** Lets all write so many more, and resolves when `of` them are acknowledged; the rest goes on. */
  write(more: number, of: number, what: string): Promise<void>
  /** Lets nobody begin another post, and resolves when what was begun has ended. */
  pause(): Promise<void>
  /** Ends them. */
  stop(): Promise<void>
}

/** Authors that write posts, as many as they are allowed; `reader` likes every third of each. */
export function startWriters(authors: readonly Phone[], reader: Phone): Writers {
  const acknowledged = new Map<string, string[]>(authors.map((author) => [author.grant.user.id, []]))
  const liked = new Set<string>()
  let count = 0
  let allowed = 0
  let underWay = 0
  let stopped = false
  let failure: unknown

  async function writeAll(author: Phone, number: number): Promise<void> {
    const mine = acknowledged.get(author.grant.user.id)!
    for (let n = 0; !stopped; n++) {
      while (count + underWay >= allowed && !stopped) await delay(5)
      if (stopped) return
      underWay++
      const { id } = await insist(author, 'POST', '/v1/posts', { text: `author ${number} number ${n}` })
      mine.push(id)
      if (n % 3 === 0) {
        await insist(reader, 'PUT', `/v1/posts/${id}/like`)
        liked.add(id)
      }
      underWay--
      count++
    }
  }
  const all = Promise.all(authors.map(writeAll)).catch((error) => {
    failure ??= error
    stopped = true
  })
  const until = (condition: () => boolean, message: string) =>
    waitFor(
      () => {
        if (failure !== undefined) throw failure
        return condition()
      },
      { timeoutMs: INSIST_MS, message }
    )

  return {
    acknowledged,
    liked,
    count: () => count,
    async write(more, of, what) {
      const target = count + of
      allowed = count + more
      await until(() => count >= target, `${of} more posts are acknowledged ${what}`)
    },
    async pause() {
      allowed = 0
      await until(() => underWay === 0, 'what was begun is acknowledged')
    },
    async stop() {
      stopped = true
      await all
    }
  }
}
