import type { BalancedRequest } from './balancer.ts'
import type { Budget } from './budget.ts'
import { select, type Unavailable } from './select.ts'
import type { Upstream } from './upstream.ts'

/** The live instances of one service, and what they share. */
export class ServiceUpstreams {
  readonly name: string
  readonly budget: Budget
  private list: readonly Upstream[] = []
  private byVersion = new Map<string, Upstream[]>()

  constructor(name: string, budget: Budget) {
    this.name = name
    this.budget = budget
  }

  get all(): readonly Upstream[] {
    return this.list
  }

  get size(): number {
    return this.list.length
  }

  /** The versions that are live. */
  get versions(): ReadonlyMap<string, readonly Upstream[]> {
    return this.byVersion
  }

  set(upstreams: readonly Upstream[]): void {
    this.list = upstreams
    this.byVersion = new Map()
    for (const upstream of upstreams) {
      const same = this.byVersion.get(upstream.version)
      if (same === undefined) this.byVersion.set(upstream.version, [upstream])
      else same.push(upstream)
    }
  }

  /** Whom to ask. A wish for a version holds as long as somebody of it can be asked. */
  pick(
    request: Pick<BalancedRequest, 'stream' | 'repeatable' | 'version'>,
    now: number,
    tried: readonly Upstream[] | undefined
  ): Upstream | Unavailable {
    if (request.version !== undefined) {
      const wished = this.byVersion.get(request.version)
      if (wished !== undefined) {
        const found = select(wished, request, now, tried)
        if (typeof found !== 'string') return found
      }
    }
    return select(this.list, request, now, tried)
  }
}
