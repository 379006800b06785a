import type { Tx } from '@skerry/store'
import { addToPosts } from '../data/profiles.ts'
import type { Deps } from './deps.ts'

/** Counts a post that was published or deleted, also of an author whose account's event is still on its way. */
export async function countPost({ store }: Deps, tx: Tx, authorId: string, by: 1 | -1): Promise<void> {
  await addToPosts(store, tx, authorId, by)
}
