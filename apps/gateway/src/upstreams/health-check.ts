import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Balancer } from './balancer.ts'
import type { Upstream } from './upstream.ts'

export type HealthCheckOptions = {
  /** Between two checks of one instance, ms; 0 for none. */
  everyMs: number
  timeoutMs: number
  /** Asked at the operations port of an instance, or where it has none at the instance itself. */
  path: string
  ca: string | undefined
}

export type CheckResult = 'ok' | 'refused' | 'hung' | 'status'

/**
 * Asks each instance how it is. What does not answer in time twice in a row, or refuses the connection, is ejected whatever its traffic
 * says, so a service that nobody calls is known, too. An instance whose path answers 404 has no check: that it answers is enough.
 */
export function startHealthChecks(balancer: Balancer, options: HealthCheckOptions): { close(): void } {
  const { everyMs } = options
  if (everyMs === 0) return { close: () => undefined }
  const checking = new Set<Upstream>()
  const timer = setInterval(() => {
    for (const [, upstreams] of balancer.all()) {
      for (const upstream of upstreams) {
        if (checking.has(upstream)) continue
        checking.add(upstream)
        // Spread over the interval: services should not feel a beat.
        setTimeout(() => look(upstream), Math.random() * everyMs * 0.2).unref()
      }
    }
  }, everyMs)
  timer.unref()
  return { close: () => clearInterval(timer) }

  async function look(upstream: Upstream): Promise<void> {
    try {
      let result = await checkOnce(upstream, options)
      // Once is chance.
      if (result === 'hung') result = await checkOnce(upstream, options)
      const now = performance.now()
      if (result === 'ok') balancer.checkSucceeded(upstream, now)
      else balancer.checkFailed(upstream, result, now)
    } finally {
      checking.delete(upstream)
    }
  }
}

/** One check, which never rejects. */
export function checkOnce(
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
    request.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(late)
      resolve(error.code === 'ECONNREFUSED' ? 'refused' : 'hung')
    })
    request.once('close', () => clearTimeout(late))
    request.end()
  })
}
