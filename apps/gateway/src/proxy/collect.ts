import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import type { LoadedAnswer } from '../cache/answer.ts'
import { AnswerTooLargeError } from '../cache/response-cache.ts'
import type { Balancer } from '../upstreams/balancer.ts'
import { CallerGoneError } from '../upstreams/errors.ts'
import type { BalancedRequest } from '../upstreams/types.ts'

/**
 * Asks a service for an answer as a whole. Rejects with AnswerTooLargeError as soon as it is known to be above `limit` bytes, and with the
 * dispatcher's errors when there is none.
 */
export function collect(
  balancer: Balancer,
  request: BalancedRequest,
  limit: number,
  signal: AbortSignal
): Promise<LoadedAnswer> {
  return new Promise((resolve, reject) => {
    let status = 0
    let headers: string[] = []
    const parts: Buffer[] = []
    let size = 0
    let call: Dispatcher.DispatchController | undefined
    const abort = () => {
      call?.abort(new CallerGoneError())
      settle(new CallerGoneError())
    }
    signal.addEventListener('abort', abort, { once: true })
    // The handler may be called before this returns.
    call = balancer.call(request, {
      onResponseStart(controller, code, came) {
        status = code
        headers = pairsOf(came)
        if (Number(came['content-length'] ?? 0) <= limit) return
        controller.abort(new CallerGoneError())
        settle(new AnswerTooLargeError())
      },
      onResponseData(controller, part) {
        size += part.length
        if (size <= limit) parts.push(Buffer.from(part))
        else {
          controller.abort(new CallerGoneError())
          settle(new AnswerTooLargeError())
        }
      },
      onResponseEnd: () => settle(undefined),
      onResponseError: (_controller, error) => settle(error)
    })

    function settle(error: Error | undefined): void {
      signal.removeEventListener('abort', abort)
      if (error !== undefined) reject(error)
      else resolve({ status, headers, body: Buffer.concat(parts, size) })
    }
  })
}

/** Headers as name, value, name, value. */
function pairsOf(came: IncomingHttpHeaders): string[] {
  const pairs: string[] = []
  for (const name in came) {
    const value = came[name]
    if (typeof value === 'string') pairs.push(name, value)
    else if (value !== undefined) for (const one of value) pairs.push(name, one)
  }
  return pairs
}
