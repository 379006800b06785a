import type { IncomingHttpHeaders } from 'node:http'
import { failureOf } from './errors.ts'
import type { ServiceUpstreams } from './service-upstreams.ts'
import type { BalancedRequest } from './types.ts'
import type { Upstream } from './upstream.ts'
import { isSource } from './wire/body.ts'

/** Answers that another instance may give better. */
const RETRIED_STATUS = new Set([502, 503, 504])

/** Whether another instance may give a better answer. One whose time was up has nothing better anywhere. */
export function isRetried(status: number, headers: IncomingHttpHeaders): boolean {
  return RETRIED_STATUS.has(status) && headers['x-skerry-deadline'] === undefined
}

/** The further attempts of one request: each at an instance that was not asked yet, within the budget of its service. */
export class Retries {
  private readonly service: ServiceUpstreams
  private readonly request: Pick<BalancedRequest, 'stream' | 'repeatable' | 'version'> &
    Partial<Pick<BalancedRequest, 'body'>>
  private left: number
  private readonly asked: Upstream[] = []

  /** @param most further attempts */
  constructor(service: ServiceUpstreams, request: Retries['request'], most: number) {
    this.service = service
    this.request = request
    this.left = most
  }

  /** Whether a failed attempt may be followed by another: what may have arrived only when it may be repeated. */
  mayFollow(error: Error, sent: boolean): boolean {
    const { body = null } = this.request
    if (failureOf(error) === undefined || (isSource(body) && body.begun)) return false
    return !sent || this.request.repeatable
  }

  /**
   * Whom to ask after `failed`; undefined: nobody, or more than the budget allows. `free`: nothing arrived anywhere, so there is no more
   * traffic.
   */
  next(failed: Upstream, free: boolean, now: number): Upstream | undefined {
    if (this.left === 0) return undefined
    const upstream = this.another(failed, free, now)
    if (upstream !== undefined) this.left--
    return upstream
  }

  /** Whom to ask as well as `first`, which is still at work. */
  hedge(first: Upstream, now: number): Upstream | undefined {
    const upstream = this.another(first, false, now)
    if (upstream !== undefined) this.asked.push(upstream)
    return upstream
  }

  private another(asked: Upstream, free: boolean, now: number): Upstream | undefined {
    if (!this.asked.includes(asked)) this.asked.push(asked)
    const upstream = this.service.pick(this.request, now, this.asked)
    if (typeof upstream === 'string') return undefined
    if (free || this.service.budget.withdraw()) return upstream
    // A probe that was chosen gives its place back.
    if (upstream.circuit.isOpen) upstream.circuit.release()
    return undefined
  }
}
