import Type, { type Static } from 'typebox'
import { Nullable, Strict, StringLike } from '../common.ts'
import { EXAMPLE_IDS, EXAMPLE_TEXTS } from '../examples.ts'
import { defineRoute } from '../route.ts'

/** Types of live messages. An open enum: expect new values. */
export const LIVE_TYPES = [
  'post.created',
  'post.updated',
  'post.deleted',
  'post.liked',
  'comment.created',
  'user.followed',
  'notification.created',
  'resync'
] as const
export type LiveType = (typeof LIVE_TYPES)[number]

/**
 * One live message. Over SSE: `id:`, `event:` (type) and `data:` (JSON). Over WebSocket: one JSON text frame of this shape.
 * `id` is opaque: send the last one seen back as `Last-Event-ID` (or `?lastEventId=`). `resync` has a null id's meaning: what was missed
 * is no longer known, so read afresh.
 */
export const LiveMessageSchema = Type.Object(
  {
    id: Nullable(StringLike(EXAMPLE_TEXTS.messageId)),
    type: StringLike('post.liked'),
    data: Type.Record(Type.String(), Type.Unknown(), {
      examples: [{ postId: EXAMPLE_IDS.post, userId: EXAMPLE_IDS.bob }]
    })
  },
  { title: 'LiveMessage' }
)
export type LiveMessage = Static<typeof LiveMessageSchema>

/** `lastEventId` as the query carries it, for clients that cannot set headers. */
export const LastEventIdSchema = StringLike(EXAMPLE_TEXTS.messageId, { maxLength: 512 })

const query = Strict({ lastEventId: Type.Optional(LastEventIdSchema) })

export const realtimeRoutes = {
  live: defineRoute({
    method: 'GET',
    path: '/v1/live',
    tag: 'realtime',
    auth: 'required',
    stream: true,
    summary: 'Open an SSE stream',
    description: 'Streams live messages as server-sent events. Resumes after the message named in `Last-Event-ID`.',
    query,
    response: { 200: null },
    errors: ['RT_TOO_MANY_STREAMS']
  }),
  liveWs: defineRoute({
    method: 'GET',
    path: '/v1/live/ws',
    tag: 'realtime',
    auth: 'required',
    stream: true,
    summary: 'Open a WebSocket stream',
    description: 'Streams live messages over a WebSocket. Resumes after the message named in `lastEventId`.',
    query,
    response: { 101: null },
    errors: ['RT_TOO_MANY_STREAMS']
  })
}
