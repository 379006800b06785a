import type { Store } from '@skerry/store'
import { buryPerson } from '../data/people.ts'
import { savePicture } from '../data/pictures.ts'
import { deleteRelations, favorites, follows } from '../data/relations.ts'
import { deleteSessions } from '../data/sessions.ts'

/** Ends what only Conduit keeps of somebody whose account has ended. */
export async function forgetAccount(store: Store, userId: string): Promise<void> {
  await deleteSessions(store, userId)
  await savePicture(store, userId, null)
}

/** Takes them from the read model. What they wrote goes with the events of their posts and comments. */
export async function forgetPerson(store: Store, userId: string): Promise<void> {
  await buryPerson(store, userId)
  await deleteRelations(store, favorites, userId)
  await deleteRelations(store, follows, userId)
}
