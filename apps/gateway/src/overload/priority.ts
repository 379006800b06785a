import type { IncomingHttpHeaders } from 'node:http'
import type { Priority } from '@skerry/contracts'

/** First what is given up last. */
export const PRIORITIES: readonly Priority[] = ['critical', 'high', 'normal', 'low']

/** Whether one priority is given up later than another. */
export function outranks(one: Priority, other: Priority): boolean {
  return PRIORITIES.indexOf(one) < PRIORITIES.indexOf(other)
}

/** What crawlers, monitors and scripts that take whole sites call themselves. No browser and no app does; Cubot makes phones. */
const CRAWLER = /(?<!\bcu)bot\b|crawl|spider|slurp|archiver|facebookexternalhit|preview|scrapy|wget|headless/i

/**
 * How much a request matters under overload: what its contract says; else signing in before writes before reads before crawlers and
 * prefetches. Whoever has sent a token is taken for a person here: those have limits of their own.
 */
export function priorityOf(
  rules: { readonly priority?: Priority; readonly limit?: string } | undefined,
  method: string,
  headers: IncomingHttpHeaders
): Priority {
  if (rules?.priority !== undefined) return rules.priority
  if (rules?.limit === 'sign-in') return 'critical'
  if (method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS') return 'high'
  const purpose = headers['sec-purpose']
  if (typeof purpose === 'string' && purpose.startsWith('prefetch')) return 'low'
  if (headers.authorization !== undefined) return 'normal'
  const agent = headers['user-agent']
  return agent !== undefined && CRAWLER.test(agent) ? 'low' : 'normal'
}
