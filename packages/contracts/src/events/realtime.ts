import Type from 'typebox'
import { IdSchema, Nullable, OpenEnum, TimeSchema } from '../common.ts'
import { defineEvent } from '../event.ts'
import { erasureCompletedBy, exportCompletedBy, exportPartOf } from './sagas.ts'

export const NotificationCreated = defineEvent({
  subject: 'realtime.notification.created',
  version: 1,
  summary: 'Somebody is to be told of something.',
  entity: (d) => d.userId,
  data: Type.Object({
    notificationId: IdSchema,
    userId: IdSchema,
    kind: OpenEnum(['follow', 'like', 'comment']),
    actorId: IdSchema,
    postId: Nullable(IdSchema),
    createdAt: TimeSchema
  })
})

export const RealtimeErasureCompleted = erasureCompletedBy('realtime')
export const RealtimeExportPart = exportPartOf('realtime')
export const RealtimeExportCompleted = exportCompletedBy('realtime')
