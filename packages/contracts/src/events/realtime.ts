import Type from 'typebox'
import { Id, Nullable, OpenEnum, Time } from '../common.ts'
import { defineEvent } from '../event.ts'
import { EXAMPLE_IDS, EXAMPLE_TIMES } from '../examples.ts'
import { erasureCompletedBy, exportCompletedBy, exportPartOf } from './sagas.ts'

export const NotificationCreated = defineEvent({
  subject: 'realtime.notification.created',
  version: 1,
  summary: 'Notification created',
  description: 'A notification for a user was created.',
  entity: (d) => d.userId,
  data: Type.Object({
    notificationId: Id(EXAMPLE_IDS.notification),
    userId: Id(EXAMPLE_IDS.ada),
    kind: OpenEnum(['follow', 'like', 'comment'], 'comment'),
    actorId: Id(EXAMPLE_IDS.bob),
    postId: Nullable(Id(EXAMPLE_IDS.post)),
    createdAt: Time(EXAMPLE_TIMES.commented)
  })
})

export const RealtimeErasureCompleted = erasureCompletedBy('realtime')
export const RealtimeExportPart = exportPartOf('realtime')
export const RealtimeExportCompleted = exportCompletedBy('realtime')
