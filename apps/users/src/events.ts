import {
  AccountCreated,
  AccountDeleted,
  AccountUpdated,
  PostCreated,
  PostDeleted,
  wireSubject
} from '@skerry/contracts'
import {
  cleanUp,
  eventMetrics,
  type Log,
  on,
  onIdempotent,
  onMany,
  startConsumer,
  startJobs,
  startRelay,
  takePart,
  together
} from '@skerry/events'
import type { Checks, Metrics, NatsConnection } from '@skerry/service'
import type { Store } from '@skerry/store'
import { countPosts } from './domain/count-posts.ts'
import { createProfile } from './domain/create-profile.ts'
import { removePerson } from './domain/delete-profile.ts'
import { createDeps } from './domain/deps.ts'
import { renameProfile } from './domain/rename-profile.ts'
import { usersPart } from './domain/take-part.ts'

export type EventsOptions = { nc: NatsConnection; instance: string; log: Log; metrics: Metrics; leaseMs?: number }

const DELETED = wireSubject(PostDeleted)

/** Publishes what this service's outbox holds; makes and renames profiles as auth tells; counts posts as content tells. */
export function startEvents(store: Store, options: EventsOptions): { checks: Checks; stop(): Promise<void> } {
  const deps = createDeps(store)
  const shared = { ...options, store, service: 'users', metrics: eventMetrics(options.metrics) }
  const parts = {
    relay: startRelay(shared),
    accounts: startConsumer({
      ...shared,
      purpose: 'accounts',
      replays: { refused: 'profiles would be made, renamed and announced again' },
      subscriptions: [
        on(AccountCreated, async ({ data }, tx) => {
          await createProfile(deps, tx, data)
        }),
        on(AccountUpdated, ({ data, time }, tx) => renameProfile(deps, tx, { ...data, at: new Date(time) })),
        onIdempotent(AccountDeleted, async ({ data, traceparent }) => {
          await removePerson(deps, data.userId, traceparent === undefined ? {} : { traceparent })
        })
      ]
    }),
    posts: startConsumer({
      ...shared,
      purpose: 'posts',
      replays: { refused: 'posts would be counted twice' },
      subscriptions: onMany(
        [PostCreated, PostDeleted],
        (posts, tx) =>
          countPosts(
            deps,
            tx,
            posts.map(({ subject, data }) => ({ authorId: data.authorId, by: subject === DELETED ? -1 : 1 }))
          ),
        // A number on a profile: of what is posted one after the other some share a transaction.
        { paceMs: 400 }
      )
    }),
    ...startJobs({ ...shared, handlers: [cleanUp(store, 'users')] })
  }
  const sagas = startConsumer({ ...shared, purpose: 'sagas', subscriptions: takePart(usersPart(deps)) })
  return together(parts, [sagas])
}
