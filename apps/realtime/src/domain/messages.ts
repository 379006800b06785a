import {
  CommentCreated,
  type DataOf,
  type EventContract,
  FollowCreated,
  LikeCreated,
  type LiveType,
  NotificationCreated,
  PostCreated,
  PostDeleted,
  PostUpdated
} from '@skerry/contracts'

/** Who gets an event as a live message: some users, or all followers of an author and the author's own devices. */
export type Audience = { users: readonly string[] } | { followersOf: string }

export type LiveRule<E extends EventContract = EventContract> = {
  readonly event: E
  readonly type: LiveType
  readonly audience: (data: DataOf<E>) => Audience
}

function rule<E extends EventContract>(event: E, type: LiveType, audience: (data: DataOf<E>) => Audience): LiveRule {
  return { event, type, audience: audience as LiveRule['audience'] }
}

/** Nobody is told of what they did themselves. */
const unlessOwn = (userId: string, actorId: string): Audience => ({ users: userId === actorId ? [] : [userId] })

/** Every event that becomes a live message. */
export const LIVE_RULES: readonly LiveRule[] = [
  rule(PostCreated, 'post.created', (d) => ({ followersOf: d.authorId })),
  rule(PostUpdated, 'post.updated', (d) => ({ followersOf: d.authorId })),
  rule(PostDeleted, 'post.deleted', (d) => ({ followersOf: d.authorId })),
  rule(LikeCreated, 'post.liked', (d) => unlessOwn(d.postAuthorId, d.userId)),
  rule(CommentCreated, 'comment.created', (d) => unlessOwn(d.postAuthorId, d.authorId)),
  rule(FollowCreated, 'user.followed', (d) => unlessOwn(d.followedId, d.followerId)),
  rule(NotificationCreated, 'notification.created', (d) => ({ users: [d.userId] }))
]

/** Long texts that a message can go without: its ids say where to read them. */
const OPTIONAL = ['text', 'summary'] as const

/** The data of a message as JSON: the event's members and its id. What exceeds `limit` bytes goes without texts, as `partial`. */
export function liveBody(eventId: string, data: object, limit: number): string {
  const whole = JSON.stringify({ eventId, ...data })
  if (whole.length <= limit && Buffer.byteLength(whole) <= limit) return whole
  const rest: Record<string, unknown> = { eventId, ...data }
  for (const name of OPTIONAL) delete rest[name]
  return JSON.stringify({ ...rest, partial: true })
}
