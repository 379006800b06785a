import type { SkerryError } from '@skerry/contracts'
import type { Bound } from '../bounds.ts'
import { NoUpstreamError } from '../upstreams/errors.ts'

/** The bound that a request met which is refused with this error, if it was one. A route's own bound of a body counts under that of all. */
export function boundMetBy({ code, cause }: SkerryError): Bound | undefined {
  switch (code) {
    case 'URI_TOO_LONG':
      return 'URL_LIMIT'
    case 'BODY_TOO_LARGE':
      return 'BODY_LIMIT'
    case 'UNAVAILABLE':
      if (!(cause instanceof NoUpstreamError) || cause.reason !== 'full') return undefined
      return cause.stream ? 'UPSTREAM_STREAMS' : 'UPSTREAM_IN_FLIGHT'
    default:
      return undefined
  }
}
