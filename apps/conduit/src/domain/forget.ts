import type { Store } from '@skerry/store'
import { buryPerson } from '../data/people.ts'
import { savePicture } from '../data/pictures.ts'
import { deleteRelations, favorites, follows } from '../data/relations.ts'
import { deleteSessions } from '../data/sessions.ts'

/** Forgets somebody whose account has ended. What they wrote goes with the events of their posts and comments. */
export async function forgetPerson(store: Store, userId: string): Promise<void> {
  await deleteSessions(store, userId)
  await buryPerson(store, userId)
  await savePicture(store, userId, null)
  await deleteRelations(store, favorites, userId)
  await deleteRelations(store, follows, userId)
}
