import type { BalancedRequest } from '../upstreams/types.ts'
import type { ExchangeDeps } from './exchange.ts'

/** Sends a copy of what goes to its service to a shadow version. Not of a write, which would be done twice: they share the stores. */
export function mirror({ traffic, balancer }: ExchangeDeps, request: BalancedRequest): void {
  const version = request.hedgeable ? traffic?.mirrorOf(request.origin) : undefined
  if (version !== undefined) balancer.mirror(request, version)
}
