import type { Trends } from '@skerry/contracts'
import { definePeriodicJob, type JobHandler, onIdempotentJob } from '@skerry/events'
import { computeTrends, findTrends, saveTrends } from '../data/trends.ts'
import type { Deps } from './deps.ts'

const KEEP = 50
const HOUR_MS = 3_600_000

/** The job that computes which tags people write about. */
export function trendsJob(deps: Deps): JobHandler {
  const { TRENDS_EVERY_S, TRENDS_DAYS, TRENDS_HALF_LIFE_H, TRENDS_POSTS_MAX } = deps.trends
  const job = definePeriodicJob({
    service: 'content',
    name: 'trends',
    summary: 'Which tags people write about is computed.',
    everyMs: TRENDS_EVERY_S * 1_000
  })
  return onIdempotentJob(job, async () => {
    const now = deps.now()
    const items = await computeTrends(deps.store, {
      now: new Date(now),
      since: new Date(now - TRENDS_DAYS * 24 * HOUR_MS),
      max: TRENDS_POSTS_MAX,
      halfLifeMs: TRENDS_HALF_LIFE_H * HOUR_MS,
      keep: KEEP
    })
    await saveTrends(deps.store, new Date(now), items)
  })
}

/** The tags of the last computation; none before the first. */
export async function readTrends({ store }: Deps, limit = 20): Promise<Trends> {
  const last = await findTrends(store)
  return { items: (last?.items ?? []).slice(0, limit), computedAt: last?.computedAt.toISOString() ?? null }
}
