import type { RetryBudget } from './retry-budget.ts'
import { select, type Unavailable } from './select.ts'
import type { BalancedRequest } from './types.ts'
import type { Upstream } from './upstream.ts'

/** The live instances of one service, and what they share. */
export class ServiceUpstreams {
  readonly name: string
  readonly budget: RetryBudget
  private list: readonly Upstream[] = []
  private byVersion = new Map<string, Upstream[]>()
  private weights = new Map<string, number>()

  constructor(name: string, budget: RetryBudget) {
    this.name = name
    this.budget = budget
  }

  get all(): readonly Upstream[] {
    return this.list
  }

  get size(): number {
    return this.list.length
  }

  /** The versions that are live, with the weight of their instances together; the same map until that changes. */
  get versions(): ReadonlyMap<string, number> {
    return this.weights
  }

  /** The instances of a version. */
  of(version: string): readonly Upstream[] {
    return this.byVersion.get(version) ?? []
  }

  set(upstreams: readonly Upstream[]): void {
    this.list = upstreams
    this.byVersion = new Map()
    const weights = new Map<string, number>()
    for (const upstream of upstreams) {
      weights.set(upstream.version, (weights.get(upstream.version) ?? 0) + upstream.instance.weight)
      const same = this.byVersion.get(upstream.version)
      if (same === undefined) this.byVersion.set(upstream.version, [upstream])
      else same.push(upstream)
    }
    const changed = weights.size !== this.weights.size || [...weights].some(([v, w]) => this.weights.get(v) !== w)
    if (changed) this.weights = weights
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
