import type { Balancer } from '../upstreams/balancer.ts'
import { failureOf, NoUpstreamError } from '../upstreams/errors.ts'
import { isRetried, Retries } from '../upstreams/retries.ts'
import { retryAfterMs } from '../upstreams/retry-after.ts'
import type { ServiceUpstreams } from '../upstreams/service-upstreams.ts'
import type { Upstream } from '../upstreams/upstream.ts'
import { type Handshake, type HandshakeRequest, shakeHands } from './handshake.ts'

export type Connected = Handshake & { upstream: Upstream }

export type ConnectRequest = Omit<HandshakeRequest, 'url'> & {
  service: string
  /** Asks for instances of this version, as long as there are any. */
  version: string | undefined
}

/**
 * Asks a service's instances for a WebSocket, one after another, within the same retry budget, circuits and ejections as requests: a
 * handshake changes nothing, so it may be repeated. The last refusal is the answer when nobody else is left. A connection that comes
 * counts for its instance until it closes.
 */
export async function connect(balancer: Balancer, request: ConnectRequest): Promise<Connected> {
  const service = balancer.service(request.service)
  if (service === undefined) throw new NoUpstreamError(request.service, 'away')
  service.budget.deposit()
  const wanted = { stream: true, repeatable: true, version: request.version }
  const first = service.pick(wanted, performance.now(), undefined)
  if (typeof first === 'string') throw new NoUpstreamError(service.name, first, true)
  const retries = new Retries(service, wanted, balancer.options.retries)
  let refusal: Connected | undefined
  let error: Error | undefined
  for (let upstream: Upstream | undefined = first; upstream !== undefined; ) {
    try {
      const answer: Connected = await attempt(balancer, service, upstream, request)
      if (!isRetried(answer.status, answer.headers)) return answer
      refusal = answer
    } catch (reason) {
      error = reason as Error
      if (!retries.mayFollow(error, true)) break
    }
    upstream = retries.next(upstream, false, performance.now())
    if (upstream !== undefined) balancer.events.retried(service.name)
  }
  if (refusal !== undefined) return refusal
  throw error
}

/** One handshake with one instance, and what it says of it. */
async function attempt(
  balancer: Balancer,
  service: ServiceUpstreams,
  upstream: Upstream,
  request: ConnectRequest
): Promise<Connected> {
  const probing = upstream.circuit.isOpen
  const sentAt = performance.now()
  upstream.streams++
  let kept = false
  try {
    const answer = await shakeHands({ ...request, url: upstream.url })
    const now = performance.now()
    if (answer.status >= 500)
      balancer.failed(service, upstream, 'status', now - sentAt, now, retryAfterMs(answer.status, answer.headers))
    else upstream.answered(now - sentAt, now)
    if (answer.socket !== undefined) {
      kept = true
      answer.socket.once('close', () => upstream.streams--)
    }
    return { ...answer, upstream }
  } catch (error) {
    const now = performance.now()
    const failure = failureOf(error as Error)
    if (failure !== undefined) balancer.failed(service, upstream, failure, now - sentAt, now)
    else if (probing) upstream.circuit.release()
    throw error
  } finally {
    if (!kept) upstream.streams--
  }
}
