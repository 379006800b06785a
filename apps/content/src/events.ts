import {
  FollowCreated,
  FollowDeleted,
  PostCreated,
  PostDeleted,
  ProfileCreated,
  ProfileUpdated
} from '@skerry/contracts'
import {
  answerFormerNames,
  cleanUp,
  eventMetrics,
  type Log,
  onIdempotent,
  onManyIdempotent,
  startConsumer,
  startJobs,
  startReadModel,
  startRelay,
  takePart,
  together
} from '@skerry/events'
import type { Checks, Metrics, NatsConnection } from '@skerry/service'
import type { Store } from '@skerry/store'
import { authors as authorsCollection, saveAuthor } from './data/authors.ts'
import { clearPost } from './domain/clear-post.ts'
import type { Deps } from './domain/deps.ts'
import { fanOut } from './domain/fan-out.ts'
import { follow, unfollow } from './domain/follow.ts'
import { findFormerTags } from './domain/former-tags.ts'
import { contentPart } from './domain/take-part.ts'
import { trendsJob } from './domain/trends.ts'

export type EventsOptions = {
  nc: NatsConnection
  instance: string
  log: Log
  metrics: Metrics
  leaseMs?: number
  jobsTickMs?: number
}

/** Publishes what this service's outbox holds, fills feeds from its own events and keeps what it knows of people from those of users. */
export function startEvents(deps: Deps, options: EventsOptions): { checks: Checks; stop(): Promise<void> } {
  const shared = { ...options, store: deps.store, service: 'content', metrics: eventMetrics(options.metrics) }
  const relay = startRelay(shared)
  const feeds = startConsumer({
    ...shared,
    purpose: 'feeds',
    replays: 'safe',
    concurrency: deps.feeds.FANOUT_CONCURRENCY,
    subscriptions: [
      // An entry is what it is however often it is written, and one of a post that is gone is not shown.
      ...onManyIdempotent(
        [PostCreated],
        (posts) =>
          fanOut(
            deps,
            posts.map(({ data }) => ({ postId: data.postId, authorId: data.authorId }))
          ),
        // A post after a pause is in feeds at once; of what follows it closely some share a write.
        { inbox: 'never', paceMs: 200 }
      ),
      onIdempotent(PostDeleted, ({ data }) => clearPost(deps, data.postId), { inbox: 'never' })
    ]
  })
  const people = startConsumer({
    ...shared,
    purpose: 'people',
    replays: 'safe',
    concurrency: deps.feeds.PEOPLE_CONCURRENCY,
    subscriptions: [
      onIdempotent(FollowCreated, ({ data }) => follow(deps, data)),
      onIdempotent(FollowDeleted, ({ data }) => unfollow(deps, data))
    ]
  })
  const authors = startReadModel({
    ...shared,
    purpose: 'authors',
    collections: [authorsCollection],
    concurrency: deps.feeds.PEOPLE_CONCURRENCY,
    subscriptions: (model) => [
      // The version says whether it is news.
      onIdempotent(ProfileCreated, ({ data }) => keepProfile(model, data), { inbox: 'never' }),
      onIdempotent(ProfileUpdated, ({ data }) => keepProfile(model, data), { inbox: 'never' })
    ]
  })
  const jobs = startJobs({
    ...shared,
    handlers: [cleanUp(deps.store, 'content'), trendsJob(deps)],
    now: deps.now,
    ...(options.jobsTickMs === undefined ? {} : { tickMs: options.jobsTickMs })
  })
  const sagas = startConsumer({ ...shared, purpose: 'sagas', subscriptions: takePart(contentPart(deps)) })
  const parts = { relay, feeds, people, authors, ...jobs }
  const tags = answerFormerNames(options.nc, { ...shared, page: (after) => findFormerTags(deps.store, after) })
  const all = together(parts, [sagas])
  return {
    checks: all.checks,
    stop() {
      tags.stop()
      return all.stop()
    }
  }
}

type Profile = {
  userId: string
  username: string
  displayName: string
  avatar: { id: string; url: string } | null
  version: number
}

async function keepProfile(store: Store, profile: Profile): Promise<void> {
  const { userId: id, username, displayName, avatar, version } = profile
  await saveAuthor(store, { id, username, displayName, avatar }, version)
}
