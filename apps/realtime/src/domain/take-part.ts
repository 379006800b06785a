import { NotificationCreated, RealtimeExportPart } from '@skerry/contracts'
import { type ExportItem, eraseEvents, type Part, pageByPage } from '@skerry/events'
import type { Store } from '@skerry/store'
import { markErased } from '../data/erased.ts'
import { deleteFollowersOf } from '../data/followers.ts'
import { deleteNotifications, findNotifications } from '../data/notifications.ts'
import { deleteSubscriber } from '../data/subscribers.ts'

export type PartDeps = { store: Store; log: { erase(userId: string): Promise<number> } }

const PAGE = 500

/** What realtime does when somebody's account ends or is exported. Their streams end with their sessions. */
export function realtimePart({ store, log }: PartDeps): Part {
  return {
    store,
    service: 'realtime',
    async erase(userId) {
      await markErased(store, userId, new Date())
      const notifications = await deleteNotifications(store, userId)
      const followers = await deleteFollowersOf(store, userId)
      const liveMessages = await log.erase(userId)
      await deleteSubscriber(store, userId)
      await eraseEvents(store, [NotificationCreated, RealtimeExportPart], [userId])
      return { notifications, followers, liveMessages }
    },
    exportItems: (userId) => exportItems(store, userId)
  }
}

async function* exportItems(store: Store, userId: string): AsyncGenerator<ExportItem> {
  const all = pageByPage(
    (before: string | undefined, limit) => findNotifications(store, userId, { before, limit }),
    ({ _id }) => _id,
    PAGE
  )
  for await (const { _id: id, kind, actorId, postId, createdAt } of all)
    yield { section: 'notifications', item: { id, kind, actorId, postId, createdAt } }
}
