import { CommentCreated, FollowCreated, FollowDeleted, LikeCreated } from '@skerry/contracts'
import {
  cleanUp,
  type EventMetrics,
  type Owned,
  on,
  onManyIdempotent,
  startConsumer,
  startJobs,
  startReadModel,
  startRelay,
  takePart
} from '@skerry/events'
import type { Logger, NatsConnection } from '@skerry/service'
import type { Store } from '@skerry/store'
import { followers, putFollower, removeFollower } from './data/followers.ts'
import { CLOCK_SKEW_MS, type FanOutDeps, fanOut } from './domain/fan-out.ts'
import { LIVE_RULES } from './domain/messages.ts'
import { notify } from './domain/notify.ts'
import { type PartDeps, realtimePart } from './domain/take-part.ts'
import { tellingOf } from './domain/telling.ts'
import { DUPLICATE_WINDOW_MS } from './log/log-stream.ts'

export type EventsDeps = {
  store: Store
  nc: NatsConnection
  instance: string
  fanOut: FanOutDeps
  part: PartDeps
  log: Logger
  metrics: EventMetrics
}

/** What realtime handles and publishes. Ends with `stop`. */
export function startEvents(deps: EventsDeps): Owned {
  const { store, nc, instance, log, metrics } = deps
  const base = { store, nc, instance, log, metrics, service: 'realtime' }
  const parts = [
    // Notifications alone, each handled by one append.
    startRelay({ ...base, partitions: 1 }),
    startConsumer({
      ...base,
      purpose: 'live',
      replays: { refused: 'phones would be told again' },
      subscriptions: onManyIdempotent(
        LIVE_RULES.map(({ event }) => event),
        (events) =>
          fanOut(
            deps.fanOut,
            events.map((event) => tellingOf(event, deps.fanOut.messageBytes)),
            Date.now()
          ),
        // Of a repeat that comes sooner the log knows the id, by clocks that differ by no more than they may. Who listens is asked for all that
        // comes within a moment.
        { inbox: { afterMs: DUPLICATE_WINDOW_MS - CLOCK_SKEW_MS }, paceMs: 10 }
      )
    }),
    startReadModel({
      ...base,
      purpose: 'followers',
      collections: [followers],
      subscriptions: (model) => [
        on(FollowCreated, ({ data }, tx) => putFollower(model, tx, data.followedId, data.followerId)),
        on(FollowDeleted, ({ data }, tx) => removeFollower(model, tx, data.followedId, data.followerId))
      ]
    }),
    startConsumer({
      ...base,
      purpose: 'notifications',
      replays: { refused: 'people would be told again of what their notifications have forgotten' },
      subscriptions: [
        on(LikeCreated, ({ data: d, time }, tx) =>
          notify(store, tx, {
            userId: d.postAuthorId,
            kind: 'like',
            actorId: d.userId,
            postId: d.postId,
            at: new Date(time)
          })
        ),
        on(CommentCreated, ({ data: d, time }, tx) =>
          notify(store, tx, {
            userId: d.postAuthorId,
            kind: 'comment',
            actorId: d.authorId,
            postId: d.postId,
            at: new Date(time)
          })
        ),
        on(FollowCreated, ({ data: d, time }, tx) =>
          notify(store, tx, {
            userId: d.followedId,
            kind: 'follow',
            actorId: d.followerId,
            postId: null,
            at: new Date(time)
          })
        )
      ]
    }),
    ...Object.values(startJobs({ ...base, handlers: [cleanUp(store, 'realtime')] }))
  ]
  const sagas = startConsumer({ ...base, purpose: 'sagas', subscriptions: takePart(realtimePart(deps.part)) })
  return {
    attached: () => parts.every((part) => part.attached()),
    owner: () => parts.every((part) => part.owner()),
    async stop() {
      await Promise.all([...parts, sagas].map((part) => part.stop()))
    }
  }
}
