import {
  AccountCreated,
  AccountDeleted,
  AccountUpdated,
  CommentCreated,
  CommentDeleted,
  FollowCreated,
  FollowDeleted,
  LikeCreated,
  LikeDeleted,
  PostCreated,
  PostDeleted,
  PostUpdated,
  ProfileCreated,
  ProfileUpdated,
  SessionRevoked
} from '@skerry/contracts'
import {
  cleanUp,
  eventMetrics,
  type Log,
  on,
  onIdempotent,
  type Subscription,
  startConsumer,
  startJobs,
  startReadModel,
  startRelay,
  takePart,
  together
} from '@skerry/events'
import type { Checks, Metrics, NatsConnection } from '@skerry/service'
import type { Store } from '@skerry/store'
import { modelCollections } from './data/collections.ts'
import { deleteComments } from './data/comments.ts'
import { numberOf } from './data/numbers.ts'
import { saveName, saveProfile } from './data/people.ts'
import { favorites, follows } from './data/relations.ts'
import { deleteSession, markStale } from './data/sessions.ts'
import { forgetPerson } from './domain/forget.ts'
import { applyComment, applyCommentDeleted, applyPost, applyPostDeleted, applyRelationEvent } from './domain/model.ts'
import { conduitPart } from './domain/take-part.ts'

export type EventsOptions = { nc: NatsConnection; instance: string; log: Log; metrics: Metrics; leaseMs?: number }

/**
 * Keeps the read model as events tell (docs/conduit.md), and takes part in erasures and exports: what it answers to those is all that it
 * publishes. What it changes otherwise it changes through the API.
 */
export function startEvents(store: Store, options: EventsOptions): { checks: Checks; stop(): Promise<void> } {
  const shared = { ...options, store, service: 'conduit', metrics: eventMetrics(options.metrics) }
  const parts = {
    relay: startRelay({ ...shared, partitions: 1 }),
    model: startReadModel({
      ...shared,
      purpose: 'model',
      collections: modelCollections,
      subscriptions: modelSubscriptions
    }),
    sessions: startConsumer({
      ...shared,
      purpose: 'sessions',
      replays: 'safe',
      subscriptions: [
        onIdempotent(SessionRevoked, ({ data }) => deleteSession(store, data.sessionId)),
        onIdempotent(AccountUpdated, ({ data }) => markStale(store, data.userId))
      ]
    }),
    // Apart, since an article may have more comments than a transaction should delete.
    clearing: startConsumer({
      ...shared,
      purpose: 'clearing',
      replays: 'safe',
      subscriptions: [onIdempotent(PostDeleted, ({ data }) => deleteComments(store, data.postId))]
    }),
    ...startJobs({ ...shared, handlers: [cleanUp(store, 'conduit')] })
  }
  const sagas = startConsumer({ ...shared, purpose: 'sagas', subscriptions: takePart(conduitPart(store)) })
  return together(parts, [sagas])
}

/** What fills the read model, and nothing else. */
export function modelSubscriptions(store: Store): readonly Subscription[] {
  const like = (data: { userId: string; postId: string }) => ({ from: data.userId, to: data.postId })
  const follow = (data: { followerId: string; followedId: string }) => ({ from: data.followerId, to: data.followedId })
  return [
    onIdempotent(AccountCreated, ({ data }) => saveName(store, { ...data, version: 1 })),
    onIdempotent(AccountUpdated, ({ data }) => saveName(store, data)),
    onIdempotent(AccountDeleted, async ({ data }) => {
      await forgetPerson(store, data.userId)
    }),
    onIdempotent(ProfileCreated, ({ data }) => keepProfile(store, data)),
    onIdempotent(ProfileUpdated, ({ data }) => keepProfile(store, data)),
    on(FollowCreated, ({ data }, tx) => applyRelationEvent(store, follows, tx, follow(data), true)),
    on(FollowDeleted, ({ data }, tx) => applyRelationEvent(store, follows, tx, follow(data), false)),
    on(PostCreated, ({ data }, tx) => applyPost(store, tx, data)),
    on(PostUpdated, ({ data }, tx) => applyPost(store, tx, data)),
    on(PostDeleted, ({ data }, tx) => applyPostDeleted(store, tx, data)),
    on(LikeCreated, ({ data }, tx) => applyRelationEvent(store, favorites, tx, like(data), true)),
    on(LikeDeleted, ({ data }, tx) => applyRelationEvent(store, favorites, tx, like(data), false)),
    on(CommentCreated, async ({ data }, tx) => applyComment(store, tx, data, await numberOf(store, data.commentId))),
    on(CommentDeleted, ({ data }, tx) => applyCommentDeleted(store, tx, data))
  ]
}

type Profile = { userId: string; username: string; bio: string; avatar: { url: string } | null; version: number }

async function keepProfile(store: Store, { avatar, ...profile }: Profile): Promise<void> {
  await saveProfile(store, { ...profile, avatarUrl: avatar?.url ?? null })
}
