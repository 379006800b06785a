import { bucketOf } from '@skerry/store'
import { buryCommentsOf } from '../data/comments.ts'
import type { Deps } from './deps.ts'

const CHUNK = 500

/** Empties the comments of a post that is gone. Nobody can reach them any more; this is so that nothing stays that was to go. */
export async function clearPost({ store }: Deps, postId: string): Promise<void> {
  const post = { postId, bucket: bucketOf(postId) }
  let buried: number
  do buried = await buryCommentsOf(store, post, new Date(), CHUNK)
  while (buried === CHUNK)
}
