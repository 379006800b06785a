import type { Tx } from '@skerry/store'
import { addToPosts } from '../data/profiles.ts'
import type { Deps } from './deps.ts'

/** A post that was published or deleted. */
export type PostCount = { authorId: string; by: 1 | -1 }

/** Counts posts, also of authors whose account's event is still on its way: one change of each author, however many posts. */
export async function countPosts({ store }: Deps, tx: Tx, posts: readonly PostCount[]): Promise<void> {
  const counts = new Map<string, number>()
  for (const { authorId, by } of posts) counts.set(authorId, (counts.get(authorId) ?? 0) + by)
  for (const [authorId, by] of counts) if (by === 0) counts.delete(authorId)
  if (counts.size > 0) await addToPosts(store, tx, counts)
}
