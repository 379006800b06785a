import type { Tx } from '@skerry/store'
import { addToCount } from '../data/profiles.ts'
import type { Deps } from './deps.ts'

/** Counts a post that was published or deleted. The account's event may still be on its way: then this is tried again later. */
export async function countPost({ store }: Deps, tx: Tx, authorId: string, by: 1 | -1): Promise<void> {
  if (!(await addToCount(store, tx, authorId, 'posts', by))) throw new Error(`${authorId} has no profile yet`)
}
