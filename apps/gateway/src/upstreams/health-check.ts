import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Balancer } from './balancer.ts'
import type { Upstream } from './upstream.ts'

export type HealthCheckOptions = {
  /** Between two checks of one instance, ms; 0 for none. */
  everyMs: number
  /** The same at most for one that is ejected and goes on failing: then it doubles with each check. */
  longestMs: number
  timeoutMs: number
  /** Asked at the operations port of an instance, or where it has none at the instance itself. */
  path: string
  ca: string | undefined
}

/** An instance that has had no request for so long is checked only each so many turns: most of what an idle system costs would be checks. */
const QUIET_MS = 15_000
const QUIET_TURNS = 4

type CheckResult = 'ok' | 'refused' | 'hung' | 'status'

/**
 * Asks each instance how it is. What does not answer in time twice in a row, or refuses the connection, is ejected whatever its traffic
 * says, so a service that nobody calls is known, too. An instance whose path answers 404 has no check: that it answers is enough.
 * One that has no requests is asked less often, as long as all is well.
 */
export function startHealthChecks(balancer: Balancer, options: HealthCheckOptions): { close(): void } {
  const { everyMs, longestMs } = options
  if (everyMs === 0) return { close: () => undefined }
  const checking = new Set<Upstream>()
  /** Those that go on failing: how often in a row, and when they are due. */
  const failing = new WeakMap<Upstream, { instance: string; times: number; dueAt: number }>()
  /** Turns until a quiet one is checked. */
  const turns = new WeakMap<Upstream, number>()
  const timer = setInterval(() => {
    const now = performance.now()
    for (const upstream of balancer.checked()) {
      if (checking.has(upstream) || rests(upstream, now) || !isDue(upstream, now)) continue
      checking.add(upstream)
      // Spread over the interval: services should not feel a beat.
      setTimeout(() => look(upstream), Math.random() * everyMs * 0.2).unref()
    }
  }, everyMs)
  timer.unref()
  return { close: () => clearInterval(timer) }

  function rests(upstream: Upstream, now: number): boolean {
    const left = turns.get(upstream) ?? 0
    turns.set(upstream, left > 0 ? left - 1 : QUIET_TURNS - 1)
    return left > 0 && upstream.isQuiet(now, QUIET_MS) && !upstream.circuit.isOpen && !failing.has(upstream)
  }

  function isDue(upstream: Upstream, now: number): boolean {
    const state = failing.get(upstream)
    return (
      state === undefined ||
      now >= state.dueAt ||
      !upstream.circuit.isOpen ||
      upstream.instance.instance !== state.instance
    )
  }

  async function look(upstream: Upstream): Promise<void> {
    try {
      let result = await checkOnce(upstream, options)
      // Once is chance.
      if (result === 'hung') result = await checkOnce(upstream, options)
      const now = performance.now()
      if (result === 'ok') {
        failing.delete(upstream)
        balancer.checkSucceeded(upstream, now)
      } else {
        const times = (failing.get(upstream)?.times ?? 0) + 1
        // A part of a turn less, so that it is not missed by a moment.
        const pauseMs = Math.min(longestMs, everyMs * 2 ** Math.min(times - 1, 20)) - everyMs / 2
        failing.set(upstream, { instance: upstream.instance.instance, times, dueAt: now + pauseMs })
        balancer.checkFailed(upstream, result, now)
      }
    } finally {
      checking.delete(upstream)
    }
  }
}

/** One check, which never rejects. */
function checkOnce(
  upstream: Upstream,
  { path, timeoutMs, ca }: Pick<HealthCheckOptions, 'path' | 'timeoutMs' | 'ca'>
): Promise<CheckResult> {
  const base = upstream.instance.ops ?? upstream.url
  // An address that is none cannot be checked; its requests will tell.
  if (!URL.canParse(path, base)) return Promise.resolve('ok')
  const url = new URL(path, base)
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  return new Promise((resolve) => {
    const request = send(
      url,
      // A connection of its own each time: a kept one says nothing of whether new ones are taken.
      {
        agent: false,
        headers: { connection: 'close', 'user-agent': 'skerry-gateway' },
        ...(ca === undefined ? {} : { ca })
      },
      (response) => {
        const { statusCode = 0 } = response
        response.destroy()
        resolve(statusCode < 500 ? 'ok' : 'status')
      }
    )
    const late = setTimeout(() => {
      resolve('hung')
      request.destroy()
    }, timeoutMs)
    // For as long as it lives: an error that nobody hears ends the process.
    request.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(late)
      resolve(error.code === 'ECONNREFUSED' ? 'refused' : 'hung')
    })
    request.once('close', () => clearTimeout(late))
    request.end()
  })
}
